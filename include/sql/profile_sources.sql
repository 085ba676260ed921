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

documents as (
    select
        source as subject,
        count(*) as order_count,
        coalesce(sum(len(lines)), 0) as document_line_count,
        coalesce(sum(len(refunds)), 0) as refund_count,
        count(distinct currency) as order_currency_count,
        avg((
            deleted_at is null
            and (ordered_at is null or ordered_date is null or currency is null)
        )::integer) as incomplete_order_share,
        avg((
            coalesce(payment_status, 'paid') not in (
                'pending', 'authorized', 'partially_paid', 'paid', 'partially_refunded', 'refunded',
                'voided', 'expired', 'failed'
            )
        )::integer) as unknown_status_share,
        avg((payment_status in ('paid', 'partially_refunded', 'refunded'))::integer)
            as paid_order_share,
        avg((payment_status in ('pending', 'authorized'))::integer) as unpaid_order_share,
        avg((cancelled_at is not null or payment_status = 'voided')::integer)
            as cancelled_order_share,
        avg((payment_status like '%refunded')::integer) as refunded_order_share,
        avg((customer_id is null)::integer) as guest_order_share,
        avg((coalesce(email, phone) is null)::integer) as order_without_address_share,
        avg(coalesce(is_test, false)::integer) as test_order_share,
        quantile_cont(total_amount, 0.5) as median_order_sum,
        count(*) filter (where ordered_at > $now::timestamp + interval 1 day) as future_order_count,
        $as_of::date - max(ordered_date) filter (where ordered_date <= $as_of::date)
            as newest_document_age_days
    from raw.orders
    group by source
),

-- A week against the quarter before it shows prices in another unit, half-loaded days, and states
-- that mean something else than before.
amounts as (
    select source as subject, ordered_date, gross_amount as amount, order_status as status
    from raw.order_lines
    where ordered_date > $as_of::date - 98 and ordered_date <= $as_of::date
    union all
    select source, ordered_date, total_amount, payment_status
    from raw.orders
    where ordered_date > $as_of::date - 98 and ordered_date <= $as_of::date
),

recent as (
    select
        subject,
        ordered_date > $as_of::date - 7 as is_this_week,
        count(*) as line_count,
        quantile_cont(amount, 0.5) filter (where amount > 0) as median_amount
    from amounts
    group by all
),

-- Half the sum of the differences: 0 when the states are as common as before, 1 when all are new.
statuses as (
    select
        subject,
        status,
        count(*) filter (where ordered_date > $as_of::date - 7) as this_week,
        count(*) filter (where ordered_date <= $as_of::date - 7) as quarter
    from amounts
    group by subject, status
),

status_shares as (
    select
        subject,
        this_week / sum(this_week) over (partition by subject) as week_share,
        quarter / sum(quarter) over (partition by subject) as quarter_share
    from statuses
),

status_moves as (
    select subject, sum(abs(week_share - quarter_share)) / 2 as week_status_ratio
    from status_shares
    group by subject
),

weeks as (
    select
        this_week.subject,
        this_week.median_amount / nullif(quarter.median_amount, 0) as week_amount_ratio,
        13 * this_week.line_count / quarter.line_count as week_line_ratio,
        status_moves.week_status_ratio
    from recent as this_week
    inner join recent as quarter on this_week.subject = quarter.subject
    inner join status_moves on this_week.subject = status_moves.subject
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
    union all
    select 'orders', source, order_id, null from raw.orders
    union all
    select 'consents', source, consent_id, null from raw.consents
    union all
    select 'survey_answers', source, answer_id, null from raw.survey_answers
    union all
    select 'points_redemptions', source, redemption_id, null from raw.points_redemptions
    union all
    select 'ad_spend', source, spend_date::varchar || platform, campaign_id from raw.ad_spend
    union all
    select 'erasure_requests', source, request_id, null from raw.erasure_requests
    union all
    select 'exchange_rates', source, currency || base_currency, rate_date::varchar
    from raw.exchange_rates
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

others as (
    select source as subject, count(*) as other_row_count
    from (
        select source from raw.consents
        union all
        select source from raw.survey_answers
        union all
        select source from raw.points_redemptions
        union all
        select source from raw.ad_spend
        union all
        select source from raw.erasure_requests
        union all
        select source from raw.exchange_rates
    )
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
    coalesce(documents.order_count, 0)::bigint as order_count,
    coalesce(contacts.contact_count, 0)::bigint as contact_count,
    coalesce(products.product_count, 0)::bigint as product_count,
    coalesce(files.landed_row_count, 0)::bigint as landed_row_count,
    coalesce(files.empty_file_count, 0)::bigint as empty_file_count,
    -- A catalogue may speak for another source (products_of); its own files tell that it is there.
    greatest(
        coalesce(lines.order_line_count, 0) + coalesce(contacts.contact_count, 0)
        + coalesce(products.product_count, 0) + coalesce(documents.order_count, 0)
        + coalesce(others.other_row_count, 0),
        coalesce(files.landed_row_count, 0)
    )::bigint as row_count,
    coalesce(duplicates.duplicate_key_count, 0)::bigint as duplicate_key_count,
    lines.* exclude (subject, order_line_count, newest_order_age_days),
    documents.* exclude (subject, order_count, newest_document_age_days),
    coalesce(lines.newest_order_age_days, documents.newest_document_age_days)
        as newest_order_age_days,
    coalesce(others.other_row_count, 0)::bigint as other_row_count,
    weeks.* exclude (subject),
    contacts.* exclude (subject, contact_count)
from declared
left join lines using (subject)
left join documents using (subject)
left join others using (subject)
left join weeks using (subject)
left join contacts using (subject)
left join products using (subject)
left join files using (subject)
left join duplicates using (subject)
order by declared.subject
