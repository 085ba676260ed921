-- What must be said so that the store holds the table `records`, by what the view `pushed` says that it
-- holds: one row per record, of one part of all. What is no longer wanted is deleted, except for what
-- others may still name. Doubtful is what Mailchimp would not create, and may have.
select
    coalesce(records.kind, pushed.kind) as kind,
    coalesce(records.record_id, pushed.record_id) as record_id,
    coalesce(records.parent_id, pushed.parent_id) as parent_id,
    case
        when records.record_id is null then 'delete'
        when pushed.record_id is null then 'create'
        else 'change'
    end as operation,
    records.document,
    records.fingerprint,
    pushed.record_id is not null and pushed.fingerprint is null as is_doubtful
from records
full join (
    select * from pushed
    where
        pushed.kind in (select unnest($kinds))
        and hash(pushed.record_id) % $parts = $part
) as pushed
    on records.kind = pushed.kind and records.record_id = pushed.record_id
where
    case
        when records.record_id is null then pushed.kind not in ('product', 'promo_rule')
        when pushed.record_id is null then true
        else records.fingerprint is distinct from pushed.fingerprint
    end
order by kind, record_id
