-- The shop does not number the lines of an order, so a line is known by what it says, and equal
-- lines of one order by their number within one part of one page. Two equal lines on one invoice
-- stay two; the same line in two overlapping files or sheets is one; neither the order of the rows
-- nor the way an export is cut into files (at orders' ends) plays a role.
create or replace temp table chosen as
with

described as (
    select
        rowid as position,
        page,
        part,
        updated_at,
        md5(concat_ws(
            chr(31),
            order_id,
            epoch_us(ordered_at),
            coalesce(customer_id, ''),
            coalesce(sku, ''),
            coalesce(product_name, ''),
            coalesce(category, ''),
            coalesce(quantity::varchar, ''),
            coalesce(unit_price::varchar, ''),
            coalesce(gross_amount::varchar, ''),
            coalesce(discount_amount::varchar, ''),
            coalesce(currency, ''),
            coalesce(country, ''),
            coalesce(order_status, '')
        )) as content
    from incoming
),

numbered as (
    select
        *,
        row_number() over (
            partition by page, part, content order by updated_at, position
        ) as occurrence
    from described
)

select
    content || '-' || occurrence as line_id,
    last(position order by updated_at nulls first, position) as position
from numbered
group by
    content,
    occurrence;

create or replace temp view arrived as
select
    incoming.* exclude (line_id),
    chosen.line_id,
    chosen.position
from incoming
inner join chosen
    on incoming.rowid = chosen.position;
