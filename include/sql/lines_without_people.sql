-- A line that is known by its content is known by another one without its customer: the same that
-- `lines_by_content.sql` gives it when its page is read again.
update raw.order_lines
set
    line_id = md5(concat_ws(
        chr(31),
        order_id,
        epoch_us(ordered_at),
        '',
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
    )) || '-' || split_part(line_id, '-', 2)
where
    {condition}
    and regexp_full_match(line_id, '[0-9a-f]{{32}}-[0-9]+')
