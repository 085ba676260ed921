-- One row per declared source, also for one of which nothing has ever landed.
with declared as (
    select unnest($declared_sources::varchar[]) as subject
),

lines as (
    select
        source as subject,
        count(*) as order_line_count,
        approx_count_distinct(order_id) as approximate_order_count,
        sum(gross_amount) as gross_sum,
        count(distinct currency) as currency_count,
        avg((
            order_id is null or line_id is null or ordered_at is null or ordered_date is null
            or gross_amount is null or currency is null
        )::integer) as incomplete_line_share,
        avg((customer_id is null)::integer) as guest_line_share,
        avg((sku is null)::integer) as line_without_product_share,
        avg((gross_amount < 0)::integer) as negative_line_share,
        avg((gross_amount = 0)::integer) as free_line_share,
        quantile_cont(gross_amount, 0.5) as median_line_amount,
        quantile_cont(gross_amount, 0.99) as high_line_amount,
        count(*) filter (where ordered_at > $now::timestamp + interval 1 day) as future_line_count,
        $as_of::date - min(ordered_date) as oldest_order_age_days,
        $as_of::date - max(ordered_date) filter (where ordered_date <= $as_of::date)
            as newest_order_age_days
    from raw.order_lines
    group by source
),

-- A week against the quarter before it shows prices in another unit and half-loaded days.
recent as (
    select
        source as subject,
        ordered_date > $as_of::date - 7 as is_this_week,
        count(*) as line_count,
        quantile_cont(gross_amount, 0.5) filter (where gross_amount > 0) as median_amount
    from raw.order_lines
    where ordered_date > $as_of::date - 98 and ordered_date <= $as_of::date
    group by all
),

weeks as (
    select
        this_week.subject,
        this_week.median_amount / nullif(quarter.median_amount, 0) as week_amount_ratio,
        13 * this_week.line_count / quarter.line_count as week_line_ratio
    from recent as this_week
    inner join recent as quarter on this_week.subject = quarter.subject
    where this_week.is_this_week and not quarter.is_this_week
        and least(this_week.line_count, quarter.line_count) >= 20
),

keys as (
    select 'order_lines' as table_name, source as subject, order_id as key, line_id as second_key
    from raw.order_lines
    union all
    select 'contacts', source, customer_id, null from raw.contacts
    union all
    select 'products', source, sku, null from raw.products
),

repeated as (
    select subject, count(*) - 1 as repeats
    from keys
    group by table_name, subject, key, second_key
    having count(*) > 1
),

duplicates as (
    select subject, sum(repeats) as duplicate_key_count
    from repeated
    group by subject
),

contacts as (
    select
        source as subject,
        count(*) as contact_count,
        count(email) / count(*) as contact_with_email_share,
        avg(coalesce(has_email_consent, false)::integer) as email_consent_share,
        avg((has_email_consent and consent_at is null)::integer) as undated_consent_share
    from raw.contacts
    group by source
),

products as (
    select source as subject, count(*) as product_count
    from raw.products
    group by source
),

files as (
    select
        source as subject,
        sum(row_count) as landed_row_count,
        count(*) filter (where row_count = 0) as empty_file_count
    from raw.landed_files
    group by source
)

select
    declared.subject,
    coalesce(lines.order_line_count, 0)::bigint as order_line_count,
    coalesce(contacts.contact_count, 0)::bigint as contact_count,
    coalesce(products.product_count, 0)::bigint as product_count,
    coalesce(files.landed_row_count, 0)::bigint as landed_row_count,
    coalesce(files.empty_file_count, 0)::bigint as empty_file_count,
    -- A catalogue may speak for another source (products_of); its own files tell that it is there.
    greatest(
        coalesce(lines.order_line_count, 0) + coalesce(contacts.contact_count, 0)
        + coalesce(products.product_count, 0),
        coalesce(files.landed_row_count, 0)
    )::bigint as row_count,
    coalesce(duplicates.duplicate_key_count, 0)::bigint as duplicate_key_count,
    lines.* exclude (subject, order_line_count),
    weeks.* exclude (subject),
    contacts.* exclude (subject, contact_count)
from declared
left join lines using (subject)
left join weeks using (subject)
left join contacts using (subject)
left join products using (subject)
left join files using (subject)
left join duplicates using (subject)
order by declared.subject
