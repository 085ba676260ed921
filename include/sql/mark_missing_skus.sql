-- A product that comes with all its SKUs sells none that its newest version does not hold: a variant
-- was deleted, or has another code. What was known of such a SKU stays.
update raw.products as held
set is_active = false
from (
    select
        product_id,
        max((updated_at, file_name)) as version
    from raw.products
    where
        source = $source
        and sku not like 'product:%'
    group by product_id
) as newest
where
    held.source = $source
    and held.is_active
    and held.product_id = newest.product_id
    and (held.updated_at, held.file_name) < newest.version;
