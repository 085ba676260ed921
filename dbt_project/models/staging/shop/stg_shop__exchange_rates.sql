with

source as (

    select * from {{ source('raw', 'exchange_rates') }}

),

final as (

    select
        source,
        upper(trim(currency)) as currency,
        upper(trim(base_currency)) as base_currency,
        rate_date,
        rate

    from source

    where
        rate_date <= {{ as_of() }}
        and rate > 0

)

select * from final
