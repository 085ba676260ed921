-- Up to when a destination has told us of its contacts.
select max(changed_at) as changed_at from statuses
