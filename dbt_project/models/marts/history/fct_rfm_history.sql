-- Everything as of each month's end, from the orders as they were seen by then. A month is computed
-- again only when its orders, or those before it, are no longer what they were; the hook takes such
-- months out. As months follow upon each other, what is left is everything up to some month.
with

kept as (

    select {{ 'max(as_of_date)' if is_incremental() else 'cast(null as date)' }} as as_of_date

    {{ 'from ' ~ this if is_incremental() }}

),

month_ends as (

    select
        month_ends.*,
        kept.as_of_date is null or month_ends.as_of_date > kept.as_of_date as is_due

    from {{ ref('int_month_ends') }} as month_ends

    cross join kept

    where
        kept.as_of_date is null
        or month_ends.as_of_date >= kept.as_of_date

),

-- No row when no month is due. The month before the first one due tells what scores were before.
span as (

    select
        min(month_number) as first_number,
        max(month_number) as last_number,
        max(as_of_date) as last_date,
        {{ add_months(month_of('min(as_of_date)'), '1 - min(month_number)') }} as first_month

    from month_ends

    having max(case when is_due then 1 end) = 1

),

movements as (

    select
        movements.customer_id,
        movements.movement_date,
        movements.is_counted_order,
        movements.uncounted_date,
        movements.net_amount,
        movements.{{ monetary_amount() }} as monetary

    from {{ ref('int_order_movements') }} as movements

),

-- With order days, a day counts until the last of its orders is taken back.
counted_movements as (

    {% if var('rfm_frequency') == 'order_days' %}
        select
            customer_id,
            movement_date,
            true as is_counted_order,
            case when count(uncounted_date) = count(*) then max(uncounted_date) end as uncounted_date,
            0 as net_amount,
            0 as monetary
        from movements
        where is_counted_order
        group by customer_id, movement_date

        union all

        select
            customer_id,
            movement_date,
            false as is_counted_order,
            null as uncounted_date,
            net_amount,
            monetary
        from movements
    {% else %}
        select * from movements
    {% endif %}

),

numbered_movements as (

    select
        movements.*,
        greatest(
            {{ months_between('span.first_month', 'movements.movement_date') }} + 1,
            span.first_number
        ) as month_number,
        {{ months_between('span.first_month', 'movements.uncounted_date') }} + 1
            as uncounted_month_number

    from counted_movements as movements

    inner join span
        on movements.movement_date <= span.last_date

),

orders_for_a_while as (

    select
        customer_id,
        movement_date,
        uncounted_month_number,
        {{ each_element(numbers_between('month_number', 'uncounted_month_number + 1')) }}
            as month_number

    from numbered_movements

    where uncounted_month_number is not null

),

-- What was taken back later is in no running sum: it has a row for each month it counted in, and
-- one for the month in which it counts no longer.
monthly_rows as (

    select
        customer_id,
        month_number,
        net_amount,
        monetary,
        case when is_counted_order and uncounted_date is null then 1 else 0 end as order_count,
        case when is_counted_order and uncounted_date is null then movement_date end
            as last_order_date,
        0 as passing_order_count,
        cast(null as date) as passing_order_date
    from numbered_movements

    union all

    select
        customer_id,
        month_number,
        0 as net_amount,
        0 as monetary,
        0 as order_count,
        null as last_order_date,
        case when month_number < uncounted_month_number then 1 else 0 end as passing_order_count,
        case when month_number < uncounted_month_number then movement_date end
            as passing_order_date
    from orders_for_a_while

),

changes as (

    select
        customer_id,
        month_number,
        cast(sum(net_amount) as decimal(18, 4)) as net_amount,
        cast(sum(monetary) as decimal(18, 4)) as monetary,
        cast(sum(order_count) as integer) as order_count,
        max(last_order_date) as last_order_date,
        sum(passing_order_count) as passing_order_count,
        max(passing_order_date) as passing_order_date

    from monthly_rows

    group by customer_id, month_number

),

running as (

    select
        changes.customer_id,
        changes.month_number,
        least(
            coalesce(lead(changes.month_number) over by_month, span.last_number + 1),
            span.last_number + 1
        ) as next_number,
        cast(sum(changes.net_amount) over so_far as decimal(18, 4)) as net_spend,
        cast(sum(changes.monetary) over so_far as decimal(18, 4)) as monetary,
        cast(
            sum(changes.order_count) over so_far + changes.passing_order_count as integer
        ) as frequency,
        greatest(max(changes.last_order_date) over so_far, changes.passing_order_date)
            as last_order_date,
        cast(sum(changes.monetary) over so_far - changes.monetary as decimal(18, 4))
            as previous_monetary,
        cast(
            sum(changes.order_count) over so_far - changes.order_count
            + lag(changes.passing_order_count) over by_month
            as integer
        ) as previous_frequency,
        greatest(
            max(changes.last_order_date) over before,
            lag(changes.passing_order_date) over by_month
        ) as previous_last_order_date

    from changes

    cross join span

    window
        by_month as (partition by changes.customer_id order by changes.month_number),
        so_far as (
            partition by changes.customer_id
            order by changes.month_number
            rows between unbounded preceding and current row
        ),
        before as (
            partition by changes.customer_id
            order by changes.month_number
            rows between unbounded preceding and 1 preceding
        )

),

-- A customer stays as they are until the next month in which anything changes.
customer_months as (

    select
        *,
        {{ each_element(numbers_between('month_number', 'next_number')) }} as number

    from running

    where frequency > 0

),

-- Whole numbers of 32 bits: a quantile holds all that it is of, past DuckDB's limit of memory.
customers as (

    select
        customer_months.customer_id,
        month_ends.month_number,
        month_ends.as_of_date,
        month_ends.orders_fingerprint,
        month_ends.is_due,
        customer_months.net_spend,
        customer_months.frequency,
        customer_months.monetary,
        cast(
            {{ days_between('customer_months.last_order_date', 'month_ends.as_of_date') }}
            as integer
        ) as recency_days,
        case
            when customer_months.number > customer_months.month_number
                then customer_months.frequency
            when customer_months.previous_frequency > 0 then customer_months.previous_frequency
        end as previous_frequency,
        case
            when customer_months.number > customer_months.month_number
                then customer_months.monetary
            when customer_months.previous_frequency > 0 then customer_months.previous_monetary
        end as previous_monetary,
        cast({{ days_between(
            'case
                when customer_months.number > customer_months.month_number
                    then customer_months.last_order_date
                when customer_months.previous_frequency > 0
                    then customer_months.previous_last_order_date
            end',
            add_days(month_of('month_ends.as_of_date'), -1)
        ) }} as integer) as previous_recency_days

    from customer_months

    inner join month_ends
        on customer_months.number = month_ends.month_number

),

populations as (

    select
        month_number,
        {{ recency_cut_points('recency_days') }} as recency_cuts,
        {{ cut_points('frequency') }} as frequency_cuts,
        {{ cut_points('monetary') }} as monetary_cuts

    from customers

    group by month_number

),

-- Those of the month before beside them; only whoever was a customer by then had scores.
cuts as (

    select
        month_number,
        {{ cut_columns('recency_cuts', 'recency_cut') }},
        {{ cut_columns('frequency_cuts', 'frequency_cut') }},
        {{ cut_columns('monetary_cuts', 'monetary_cut') }},
        {{ cut_columns('lag(recency_cuts) over by_month', 'previous_recency_cut') }},
        {{ cut_columns('lag(frequency_cuts) over by_month', 'previous_frequency_cut') }},
        {{ cut_columns('lag(monetary_cuts) over by_month', 'previous_monetary_cut') }}

    from populations

    window by_month as (order by month_number)

),

scores as (

    select
        customers.customer_id,
        customers.as_of_date,
        customers.orders_fingerprint,
        customers.recency_days,
        customers.frequency,
        customers.net_spend,
        5 - {{ cut_columns_below('customers.recency_days', 'cuts.recency_cut') }} as r_score,
        1 + {{ cut_columns_below('customers.frequency', 'cuts.frequency_cut') }} as f_score,
        1 + {{ cut_columns_below('customers.monetary', 'cuts.monetary_cut') }} as m_score,
        5 - {{ cut_columns_below('customers.previous_recency_days', 'cuts.previous_recency_cut') }}
            as previous_r_score,
        1 + {{ cut_columns_below('customers.previous_frequency', 'cuts.previous_frequency_cut') }}
            as previous_f_score,
        1 + {{ cut_columns_below('customers.previous_monetary', 'cuts.previous_monetary_cut') }}
            as previous_m_score

    from customers

    inner join cuts
        on customers.month_number = cuts.month_number

    where customers.is_due

),

final as (

    select
        customer_id,
        as_of_date,
        cast(recency_days as bigint) as recency_days,
        cast(frequency as bigint) as frequency,
        net_spend,
        r_score,
        f_score,
        m_score,
        {{ rfm_segment('r_score', 'f_score', 'm_score') }} as rfm_segment,
        previous_r_score,
        previous_f_score,
        previous_m_score,
        {{ rfm_segment('previous_r_score', 'previous_f_score', 'previous_m_score') }}
            as previous_rfm_segment,
        orders_fingerprint

    from scores

)

select * from final
