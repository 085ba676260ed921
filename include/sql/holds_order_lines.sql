select exists(select 1 from raw.order_lines where source = $source) as is_held;
