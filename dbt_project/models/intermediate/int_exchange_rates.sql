-- What one unit of an order's currency was worth in the reporting currency on the order's day, and
-- of an advertisement's on the day of its cost: by
-- the latest rate told on or before that day, direct or turned round, or through a third currency
-- that both have a rate with. A day without any such rate has no row.
{% set reporting_currency = var('reporting_currency') or '' %}

with

sold as (

    select
        currency,
        ordered_date
    from {{ ref('stg_shop__order_lines') }}
    where '{{ reporting_currency }}' != ''

    union

    select
        currency,
        ordered_date
    from {{ ref('stg_shop__orders') }}
    where '{{ reporting_currency }}' != ''

    union

    select
        currency,
        spend_date as ordered_date
    from {{ ref('stg_shop__ad_spend') }}
    where '{{ reporting_currency }}' != ''

),

wanted as (

    select
        currency,
        ordered_date
    from sold

    union

    select
        '{{ reporting_currency }}' as currency,
        ordered_date
    from sold

),

rates as (

    select
        source,
        currency,
        base_currency,
        rate_date,
        cast(rate as double) as rate,
        1 as preference
    from {{ ref('stg_shop__exchange_rates') }}

    union all

    select
        source,
        base_currency as currency,
        currency as base_currency,
        rate_date,
        1 / cast(rate as double) as rate,
        2 as preference
    from {{ ref('stg_shop__exchange_rates') }}

),

known_rates as (

    select
        wanted.currency,
        wanted.ordered_date,
        rates.base_currency,
        rates.rate,
        rates.rate_date,
        row_number() over (
            partition by wanted.currency, wanted.ordered_date, rates.base_currency
            order by rates.rate_date desc, rates.preference asc, rates.source asc
        ) as choice

    from wanted

    inner join rates
        on
            wanted.currency = rates.currency
            and rates.rate_date <= wanted.ordered_date
            and rates.rate_date >= {{ add_days('wanted.ordered_date', -var('rate_max_age_days')) }}

),

latest_rates as (

    select * from known_rates

    where choice = 1

),

ways as (

    select
        currency,
        ordered_date,
        rate,
        rate_date,
        '' as by_way_of
    from latest_rates
    where base_currency = '{{ reporting_currency }}'

    union all

    select
        latest_rates.currency,
        latest_rates.ordered_date,
        latest_rates.rate / reporting_rates.rate as rate,
        least(latest_rates.rate_date, reporting_rates.rate_date) as rate_date,
        latest_rates.base_currency as by_way_of
    from latest_rates
    inner join latest_rates as reporting_rates
        on
            latest_rates.base_currency = reporting_rates.base_currency
            and latest_rates.ordered_date = reporting_rates.ordered_date
    where
        reporting_rates.currency = '{{ reporting_currency }}'
        and latest_rates.currency != '{{ reporting_currency }}'

),

ranked_ways as (

    select
        *,
        row_number() over (
            partition by currency, ordered_date
            order by by_way_of = '' desc, rate_date desc, by_way_of asc
        ) as choice

    from ways

    where currency != '{{ reporting_currency }}'

),

final as (

    select
        currency,
        ordered_date,
        cast(rate as decimal(28, 14)) as exchange_rate,
        rate_date
    from ranked_ways
    where choice = 1

    union all

    select
        currency,
        ordered_date,
        cast(1 as decimal(28, 14)) as exchange_rate,
        ordered_date as rate_date
    from sold
    where currency = '{{ reporting_currency }}'

)

select * from final
