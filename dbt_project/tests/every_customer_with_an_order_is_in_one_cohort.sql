with

cohorts as (

    select sum(customers) as customers

    from {{ ref('fct_retention_cohorts') }}

    where months_since = 0

),

buyers as (

    select count(*) as customers

    from {{ ref('dim_customers') }}

    where order_count > 0

)

select
    cohorts.customers,
    buyers.customers as buyers

from cohorts

cross join buyers

where coalesce(cohorts.customers, 0) != buyers.customers
