drop view published_contacts;
