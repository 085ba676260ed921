-- Somebody is a customer for so many months after an order (var customer_window_months). Retained
-- are those who were customers when the month began and still are when it ends; new and won-back
-- buyers count on neither side, so that the rate never exceeds 1.
--
-- A customer belongs to one month, country and source for good: those of the first order. So nearly
-- everything is added up once per combination of the three, and only then by each of them.
{% set window = var('customer_window_months') %}
{% set dimensions = {
    'shop': "'all'",
    'first_order_month': 'cast(first_month as varchar)',
    'country': "coalesce(country, 'unknown')",
    'acquisition_source': "coalesce(acquisition_source, 'unknown')"
} %}
{% set parts = [
    'sums', 'latest_months', 'newcomers', 'second_orders', 'other_activity', 'top_tenths'
] %}
{% set parts_of_cells = [
    'sums', 'customer_counts', 'newcomers', 'second_orders', 'other_activity', 'top_tenths',
    'ad_costs'
] %}

with

-- What has no customer is nobody's: the sums of guests are made anew every day.
orders_of_guests as (

    select * from {{ ref('fct_orders') }}

    where customer_id is null

),

guest_orders as (

    {{ orders_with_months('orders_of_guests') }}

),

months_of_customers as not materialized (

    select * from {{ ref('int_customer_months') }}

),

customers as (

    select
        history.customer_id,
        {{ month_of('history.first_order_date') }} as first_month,
        {{ month_of('history.second_order_date') }} as second_month,
        {{ days_between('history.first_order_date', 'history.second_order_date') }}
            as days_to_second_order,
        first_orders.country,
        first_orders.acquisition_source

    from {{ ref('int_customer_history') }} as history

    left join months_of_customers as first_orders
        on
            history.customer_id = first_orders.customer_id
            and first_orders.has_first_order

    where history.order_count > 0

),

span as (

    select
        {{ month_of('min(ordered_date)') }} as first_month,
        {{ months_between('min(ordered_date)', as_of()) }} as last_number,
        max(currency) as currency

    from {{ ref('fct_orders') }}

),

months as (

    select {{ add_months('span.first_month', 'numbers.number') }} as month

    from span

    inner join {{ numbers_up_to('(select whole.last_number from span as whole)') }}
        on true

),

-- One row per customer and month; guests have one per month, country and source.
customer_months as (

    select
        months_of_customers.customer_id,
        months_of_customers.month,
        months_of_customers.next_month,
        customers.first_month,
        customers.country,
        customers.acquisition_source,
        months_of_customers.order_count,
        months_of_customers.net_revenue,
        months_of_customers.gross_margin,
        months_of_customers.costed_revenue,
        months_of_customers.discounted_revenue,
        months_of_customers.code_revenue,
        months_of_customers.code_known_revenue
    from months_of_customers
    left join customers
        on months_of_customers.customer_id = customers.customer_id

    union all

    select
        null as customer_id,
        month,
        null as next_month,
        null as first_month,
        country,
        acquisition_source,
        {{ monthly_sums() }}
    from guest_orders
    group by 2, 5, 6

),

sums_by_combination as (

    select
        month,
        first_month,
        country,
        acquisition_source,
        sum(order_count) as order_count,
        count(case when order_count > 0 and customer_id is not null then 1 end)
            as active_customers,
        sum(case when customer_id is null then order_count else 0 end) as guest_order_count,
        sum(net_revenue) as net_revenue,
        sum(case when first_month = month then net_revenue else 0 end) as new_revenue,
        sum(case when customer_id is null then net_revenue else 0 end) as guest_revenue,
        sum(gross_margin) as gross_margin,
        sum(costed_revenue) as costed_revenue,
        sum(discounted_revenue) as discounted_revenue,
        sum(code_revenue) as code_revenue,
        sum(code_known_revenue) as code_known_revenue

    from customer_months

    group by 1, 2, 3, 4

),

-- A customer's state at the end of a month depends on the latest month with an order alone.
latest_months_by_combination as (

    select
        first_month,
        country,
        acquisition_source,
        month,
        next_month,
        count(*) as customers

    from customer_months

    where
        order_count > 0
        and customer_id is not null

    group by 1, 2, 3, 4, 5

),

-- Who did something else in a month in which they ordered nothing: answered a survey.
identities as (

    select * from {{ ref('dim_customer_identities') }}

),

answers as (

    select * from {{ ref('stg_shop__survey_answers') }}

),

answer_months as (

    select distinct
        {{ resolved_customer_id('answers') }} as customer_id,
        {{ month_of('cast(answers.answered_at as date)') }} as month

    from answers

    {{ identity_joins('answers') }}

),

other_activity_by_combination as (

    select
        answer_months.month,
        customers.first_month,
        customers.country,
        customers.acquisition_source,
        count(*) as customers

    from answer_months

    inner join customers
        on
            answer_months.customer_id = customers.customer_id
            and answer_months.month >= customers.first_month

    left join customer_months
        on
            answer_months.customer_id = customer_months.customer_id
            and answer_months.month = customer_months.month
            and customer_months.order_count > 0

    where customer_months.customer_id is null

    group by 1, 2, 3, 4

),

spend as (

    select
        {{ month_of('ad_spend.spend_date') }} as month,
        lower(trim(ad_spend.platform)) as platform,
        sum(ad_spend.amount * {{ ad_spend_rate() }}) as amount,
        -- One amount of unknown worth makes the sum unknown.
        count(*) = count({{ ad_spend_rate() }}) as is_known

    from {{ ref('stg_shop__ad_spend') }} as ad_spend

    cross join span

    left join {{ ref('int_exchange_rates') }} as rates
        on
            ad_spend.currency = rates.currency
            and ad_spend.spend_date = rates.ordered_date

    group by 1, 2

),

{%- for dimension, value in dimensions.items() %}

    {{ dimension }}_sums as (

        select
            '{{ dimension }}' as dimension,
            {{ value }} as dimension_value,
            month,
            sum(order_count) as order_count,
            sum(active_customers) as active_customers,
            sum(guest_order_count) as guest_order_count,
            sum(net_revenue) as net_revenue,
            sum(new_revenue) as new_revenue,
            sum(guest_revenue) as guest_revenue,
            sum(gross_margin) as gross_margin,
            sum(costed_revenue) as costed_revenue,
            sum(discounted_revenue) as discounted_revenue,
            sum(code_revenue) as code_revenue,
            sum(code_known_revenue) as code_known_revenue
        from sums_by_combination
        where {{ 'first_month is not null' if dimension == 'first_order_month' else 'true' }}
        group by 2, 3

    ),

    {{ dimension }}_latest_months as (

        select
            '{{ dimension }}' as dimension,
            {{ value }} as dimension_value,
            month,
            next_month,
            sum(customers) as customers
        from latest_months_by_combination
        group by 2, 3, 4

    ),

    {{ dimension }}_newcomers as (

        select
            '{{ dimension }}' as dimension,
            {{ value }} as dimension_value,
            first_month as month,
            count(*) as new_customers
        from customers
        group by 2, 3

    ),

    {{ dimension }}_second_orders as (

        select
            '{{ dimension }}' as dimension,
            {{ value }} as dimension_value,
            second_month as month,
            count(*) as new_repeat_customers,
            quantile_disc(days_to_second_order, 0.5) as median_days_to_second_order
        from customers
        where second_month is not null
        group by 2, 3

    ),

    {{ dimension }}_other_activity as (

        select
            '{{ dimension }}' as dimension,
            {{ value }} as dimension_value,
            month,
            sum(customers) as otherwise_engaged_customers
        from other_activity_by_combination
        group by 2, 3

    ),

    {{ dimension }}_deciles as (

        select
            '{{ dimension }}' as dimension,
            {{ value }} as dimension_value,
            month,
            count(*) as active_customers,
            quantile_disc(net_revenue, 0.9) as cut
        from customer_months
        where
            order_count > 0
            and customer_id is not null
        group by 2, 3

    ),

    -- The best tenth, rounded up. Whoever is above the cut is in it, and of those at the cut as
    -- many as are still missing.
    {{ dimension }}_top_tenths as (

        select
            deciles.dimension,
            deciles.dimension_value,
            deciles.month,
            sum(case when orders.net_revenue > deciles.cut then orders.net_revenue else 0 end)
            + max(deciles.cut) * (
                ceil(max(deciles.active_customers) / 10.0)
                - count(case when orders.net_revenue > deciles.cut then 1 end)
            ) as top_decile_revenue
        from customer_months as orders
        inner join {{ dimension }}_deciles as deciles
            on
                orders.month = deciles.month
                and {{ value }} = deciles.dimension_value
        where
            orders.order_count > 0
            and orders.customer_id is not null
        group by 1, 2, 3

    ),

{%- endfor %}

{%- for part in parts %}

    {{ part }} as (

        {%- for dimension in dimensions %}

            select * from {{ dimension }}_{{ part }}

            {%- if not loop.last %}

                union all
            {%- endif %}

        {%- endfor %}

    ),

{%- endfor %}

advertised_sources as (

    select distinct
        dimension_value,
        {{ ad_platform('dimension_value') }} as platform

    from acquisition_source_newcomers

),

-- What a source's platform cost is that source's; what all cost is the shop's, and by the month of
-- it the newcomers' of that month. Nobody knows what a country cost.
ad_costs as (

    select
        'shop' as dimension,
        'all' as dimension_value,
        month,
        case when bool_and(is_known) then sum(amount) end as ad_spend
    from spend
    group by 3

    union all

    select
        'first_order_month' as dimension,
        cast(month as varchar) as dimension_value,
        month,
        case when bool_and(is_known) then sum(amount) end as ad_spend
    from spend
    group by 3

    union all

    select
        'acquisition_source' as dimension,
        sources.dimension_value,
        spend.month,
        case when bool_and(spend.is_known) then sum(spend.amount) end as ad_spend
    from spend
    inner join advertised_sources as sources
        on spend.platform = sources.platform
    group by 2, 3

),

first_months as (

    select
        dimension,
        dimension_value,
        min(month) as first_month

    from sums

    group by 1, 2

),

cells as (

    select
        first_months.dimension,
        first_months.dimension_value,
        months.month,
        months.month >= {{ add_months('span.first_month', window) }} as has_whole_window

    from first_months

    inner join months
        on first_months.first_month <= months.month

    cross join span

),

customer_counts as (

    select
        cells.dimension,
        cells.dimension_value,
        cells.month,
        sum(
            case
                when
                    latest.month < cells.month
                    and latest.month >= {{ add_months('cells.month', -window) }}
                    and (latest.next_month >= cells.month or latest.next_month is null)
                    then latest.customers
                else 0
            end
        ) as customers_at_start,
        sum(
            case
                when
                    latest.month = {{ add_months('cells.month', -window) }}
                    and (latest.next_month > cells.month or latest.next_month is null)
                    then latest.customers
                else 0
            end
        ) as lost_customers,
        sum(
            case
                when
                    latest.month <= cells.month
                    and latest.month > {{ add_months('cells.month', -window) }}
                    and (latest.next_month > cells.month or latest.next_month is null)
                    then latest.customers
                else 0
            end
        ) as customers_at_end

    from cells

    inner join latest_months as latest
        on
            cells.dimension = latest.dimension
            and cells.dimension_value = latest.dimension_value
            and cells.month >= latest.month
            and {{ add_months('cells.month', -window) }} <= latest.month

    group by 1, 2, 3

),

joined as (

    select
        cells.dimension,
        cells.dimension_value,
        cells.month,
        cells.has_whole_window,
        cast(coalesce(sums.active_customers, 0) as bigint) as active_customers,
        coalesce(newcomers.new_customers, 0) as new_customers,
        cast(coalesce(customer_counts.customers_at_start, 0) as bigint) as customers_at_start,
        cast(coalesce(customer_counts.customers_at_end, 0) as bigint) as customers_at_end,
        cast(coalesce(customer_counts.lost_customers, 0) as bigint) as lost_customers,
        cast(coalesce(sums.active_customers, 0) as bigint)
        + cast(coalesce(other_activity.otherwise_engaged_customers, 0) as bigint)
            as engaged_customers,
        cast(sum(newcomers.new_customers) over so_far as bigint) as customers_so_far,
        cast(sum(second_orders.new_repeat_customers) over so_far as bigint)
            as repeat_customers_so_far,
        second_orders.median_days_to_second_order,
        cast(coalesce(sums.order_count, 0) as bigint) as order_count,
        cast(coalesce(sums.guest_order_count, 0) as bigint) as guest_order_count,
        cast(coalesce(sums.net_revenue, 0) as decimal(18, 4)) as net_revenue,
        cast(coalesce(sums.new_revenue, 0) as decimal(18, 4)) as new_revenue,
        cast(coalesce(sums.guest_revenue, 0) as decimal(18, 4)) as guest_revenue,
        sum(sums.net_revenue - sums.guest_revenue) over so_far as customer_revenue_so_far,
        sums.gross_margin,
        sums.costed_revenue,
        sums.discounted_revenue,
        sums.code_revenue,
        sums.code_known_revenue,
        top_tenths.top_decile_revenue,
        ad_costs.ad_spend

    from
        cells

    {%- for part in parts_of_cells %}
    left join {{ part }}
        on
            cells.dimension = {{ part }}.dimension
            and cells.dimension_value = {{ part }}.dimension_value
            and cells.month = {{ part }}.month
    {%- endfor %}

    window so_far as (
        partition by cells.dimension, cells.dimension_value
        order by cells.month
        rows between unbounded preceding and current row
    )

),

final as (

    select
        dimension,
        dimension_value,
        month,
        active_customers,
        new_customers,
        active_customers - new_customers as returning_customers,
        customers_at_start,
        customers_at_end,
        lost_customers,
        case
            when has_whole_window
                then
                    (customers_at_start - lost_customers)
                    / cast(nullif(customers_at_start, 0) as double)
        end as retention_rate,
        case
            when has_whole_window
                then lost_customers / cast(nullif(customers_at_start, 0) as double)
        end as churn_rate,
        customers_so_far,
        coalesce(repeat_customers_so_far, 0) as repeat_customers_so_far,
        coalesce(repeat_customers_so_far, 0) / cast(customers_so_far as double)
            as repeat_purchase_rate,
        cast(median_days_to_second_order as integer) as median_days_to_second_order,
        engaged_customers,
        engaged_customers / cast(customers_so_far as double) as engagement_rate,
        cast(net_revenue / nullif(order_count, 0) as decimal(18, 4)) as average_order_value,
        order_count,
        guest_order_count,
        net_revenue,
        new_revenue,
        cast(net_revenue - new_revenue - guest_revenue as decimal(18, 4)) as returning_revenue,
        guest_revenue,
        cast(top_decile_revenue as decimal(18, 4)) as top_decile_revenue,
        case
            when net_revenue > guest_revenue
                then
                    cast(top_decile_revenue as double)
                    / cast(net_revenue - guest_revenue as double)
        end as top_decile_revenue_share,
        cast(customer_revenue_so_far as decimal(18, 4)) as customer_revenue_so_far,
        cast(customer_revenue_so_far / customers_so_far as decimal(18, 4))
            as customer_lifetime_value,
        cast(ad_spend as decimal(18, 4)) as ad_spend,
        cast(ad_spend / nullif(new_customers, 0) as decimal(18, 4)) as customer_acquisition_cost,
        cast(customer_revenue_so_far / customers_so_far as double)
        / cast(nullif(ad_spend / nullif(new_customers, 0), 0) as double)
            as lifetime_value_to_acquisition_cost,
        cast(gross_margin as decimal(18, 4)) as gross_margin,
        cast(costed_revenue as decimal(18, 4)) as costed_revenue,
        case when costed_revenue > 0 then cast(gross_margin as double) / costed_revenue end
            as gross_margin_rate,
        case when net_revenue > 0 then cast(coalesce(costed_revenue, 0) as double) / net_revenue end
            as costed_revenue_share,
        cast(discounted_revenue as decimal(18, 4)) as discounted_revenue,
        case when net_revenue > 0 then cast(discounted_revenue as double) / net_revenue end
            as discounted_revenue_share,
        cast(code_revenue as decimal(18, 4)) as code_revenue,
        cast(code_known_revenue as decimal(18, 4)) as code_known_revenue,
        case when code_known_revenue > 0 then cast(code_revenue as double) / code_known_revenue end
            as code_revenue_share,
        {{ add_months('month', 1) }} <= {{ add_days(as_of(), 1) }} as is_complete

    from joined

)

select * from final
