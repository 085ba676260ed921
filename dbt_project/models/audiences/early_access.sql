-- Of several launches at a time the first one counts.
with

launches as (

    {%- for launch in var('launches') %}
    {%- for tier in launch.tiers %}

    select
        '{{ dbt.escape_single_quotes(launch.name) }}' as launch_name,
        cast('{{ launch.launch_date }}' as date) as launch_date,
        {{ add_days("cast('" ~ launch.launch_date ~ "' as date)", -launch.early_access_days) }}
            as access_date,
        '{{ tier }}' as tier

    union all

    {%- endfor %}
    {%- endfor %}

    select
        cast(null as varchar) as launch_name,
        cast(null as date) as launch_date,
        cast(null as date) as access_date,
        cast(null as varchar) as tier
    where false

),

tiers as (

    select * from {{ ref('fct_loyalty_tiers') }}

),

invited as (

    select
        tiers.customer_id,
        tiers.tier,
        launches.launch_name,
        launches.launch_date,
        row_number() over (
            partition by tiers.customer_id order by launches.launch_date, launches.launch_name
        ) as launch_number

    from tiers

    inner join launches
        on tiers.tier = launches.tier

    where
        launches.access_date <= {{ as_of() }}
        and launches.launch_date > {{ as_of() }}

)

select
    customer_id,
    concat(tier, ' customers see ', launch_name, ' before ', launch_date) as reason,
    tier,
    launch_name,
    launch_date

from invited

where launch_number = 1
