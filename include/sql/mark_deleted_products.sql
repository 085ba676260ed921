-- A shop that tells of a deleted product names the product, not its SKUs. What it told stays as a row
-- of its own (`product:` and the number), so that it counts whichever comes first.
update raw.products as held
set
    deleted_at = gone.deleted_at,
    is_active = false
from raw.products as gone
where
    held.source = $source
    and gone.source = $source
    and held.product_id = gone.product_id
    and held.deleted_at is null
    and gone.deleted_at is not null
    and gone.sku = 'product:' || gone.product_id;
