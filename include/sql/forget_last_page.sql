drop view if exists main.page_rows;
