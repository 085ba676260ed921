-- What must be said so that the store holds the view `records`, by what the view `pushed` says that it
-- holds: one row per record. What is no longer wanted is deleted, except for products.
select
    coalesce(records.stage, 2) as stage,
    coalesce(records.kind, pushed.kind) as kind,
    coalesce(records.record_id, pushed.record_id) as record_id,
    coalesce(records.parent_id, pushed.parent_id) as parent_id,
    case
        when records.record_id is null then 'delete'
        when pushed.record_id is null then 'create'
        else 'change'
    end as operation,
    records.document,
    records.fingerprint
from records
full join pushed
    on records.kind = pushed.kind and records.record_id = pushed.record_id
where
    case
        when records.record_id is null then pushed.kind not in ('product', 'promo_rule')
        when pushed.record_id is null then true
        else records.fingerprint is distinct from pushed.fingerprint
    end
    and coalesce(records.stage, 2) = $stage
order by kind, record_id;
