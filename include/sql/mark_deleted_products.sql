-- Who tells that something is gone knows no more of it: Shopify names the product (`product:` and its
-- number), not its SKUs, WooCommerce's source a SKU that was there before (`deleted:` and the SKU).
-- What they told stays as a row of its own, so that it counts whichever comes first, and what was known
-- of a SKU stays, too. A later version of it is sold again.
update raw.products as held
set
    deleted_at = marked.deleted_at,
    is_active = false
from (
    select
        known.position,
        min(gone.deleted_at) as deleted_at
    from (
        select
            rowid as position,
            unnest(['product:' || product_id, 'deleted:' || sku]) as told_as,
            coalesce(updated_at, '-infinity') as updated_at,
            file_name
        from raw.products
        where
            source = $source
            and deleted_at is null
    ) as known
    inner join raw.products as gone
        on known.told_as = gone.sku
    where
        gone.source = $source
        and gone.deleted_at is not null
        and (gone.updated_at, gone.file_name) > (known.updated_at, known.file_name)
    group by known.position
) as marked
where held.rowid = marked.position;
