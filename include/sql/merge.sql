-- Newest version wins, whatever the order of arrival; an equal version changes nothing. Of the held
-- table only keys and versions are read, and only what changes is written.
create or replace temp table met as
with

versions as (
    select
        {key},
        arrived.position,
        coalesce(arrived.updated_at, '-infinity') as updated_at,
        pages.file_name,
        pages.file_modified_at,
        arrived.position - placed.first_position + 1 as row_number
    from arrived
    inner join pages
        on arrived.page = pages.page
    inner join placed
        on arrived.page = placed.page
)

select
    held.rowid as held_position,
    versions.position,
    (
        versions.updated_at,
        versions.file_name,
        versions.file_modified_at,
        versions.row_number
    ) > (
        coalesce(held.updated_at, '-infinity'),
        held.file_name,
        held.file_modified_at,
        held.row_number
    ) as is_newer
from raw.{table} as held
inner join versions
    using ({key})
where held.source = $source;

delete from raw.{table}
where rowid in (select held_position from met where is_newer);

insert into raw.{table} by name
select
    $source as source,
    arrived.* exclude (page, part, region, position),
    pages.file_name,
    pages.file_modified_at,
    arrived.position - placed.first_position + 1 as row_number
from arrived
inner join pages
    on arrived.page = pages.page
inner join placed
    on arrived.page = placed.page
anti join (select position from met where not is_newer) as outdone
    on arrived.position = outdone.position;
