{#- Periods between a first order and a later day: calendar months, or whole blocks of 30 days
    (var cohort_method). -#}
{% macro months_since(first_date, later_date) -%}
    {%- if var('cohort_method') == 'calendar_month' -%}
        {{ months_between(first_date, later_date) }}
    {%- elif var('cohort_method') == 'age_30_days' -%}
        cast(floor({{ days_between(first_date, later_date) }} / 30) as bigint)
    {%- else -%}
        {{ exceptions.raise_compiler_error("cohort_method is calendar_month or age_30_days") }}
    {%- endif -%}
{%- endmacro %}

{#- The first day on which nobody of a cohort can be in a cell any more. -#}
{% macro day_after_cell(cohort_month, months_since) -%}
    {%- if var('cohort_method') == 'calendar_month' -%}
        {{ add_months(cohort_month, months_since ~ ' + 1') }}
    {%- else -%}
        {{ add_days(add_months(cohort_month, 1), '30 * (' ~ months_since ~ ' + 1) - 1') }}
    {%- endif -%}
{%- endmacro %}

{#- Numbers from 0 to a maximum, one row each, as the table expression `numbers(number)`. -#}
{% macro numbers_up_to(maximum) -%}
    generate_series(0, {{ maximum }}) as numbers(number)
{%- endmacro %}

{#- The orders of a table expression, with all that the sums of a month take, as a query. Whoever asks
    chooses the orders first: of a join with the documents all orders would come. -#}
{% macro orders_with_months(orders) -%}
    select
        orders.customer_id,
        {{ month_of('orders.ordered_date') }} as month,
        orders.is_counted,
        orders.is_first_order,
        orders.net_amount,
        orders.margin_amount,
        orders.discount_amount,
        orders.country,
        nullif(trim(documents.acquisition_source), '') as acquisition_source,
        len(documents.discount_codes) > 0 as has_code

    from {{ orders }} as orders

    left join {{ ref('stg_shop__orders') }} as documents
        on orders.order_id = documents.order_id
{%- endmacro %}

{#- The sums of a month's orders that the monthly figures are made of. -#}
{% macro monthly_sums() -%}
    count(case when is_counted then 1 end) as order_count,
        cast(sum(net_amount) as decimal(18, 4)) as net_revenue,
        cast(sum(margin_amount) as decimal(18, 4)) as gross_margin,
        cast(sum(case when margin_amount is not null then net_amount end) as decimal(18, 4))
            as costed_revenue,
        cast(sum(case when discount_amount > 0 then net_amount else 0 end) as decimal(18, 4))
            as discounted_revenue,
        cast(
            sum(case when has_code then net_amount when not has_code then 0 end)
            as decimal(18, 4)
        ) as code_revenue,
        cast(sum(case when has_code is not null then net_amount end) as decimal(18, 4))
            as code_known_revenue
{%- endmacro %}
