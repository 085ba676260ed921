-- The entries of each customer add up to the balance, and what a refund reversed was earned.
with

entries as (

    select
        customer_id,
        sum(points) as points,
        -sum(case when entry_kind = 'reverse' then points else 0 end) as reversed_points,
        sum(case when entry_kind = 'earn' then points else 0 end) as earned_points

    from {{ ref('fct_points_ledger') }}

    group by customer_id

),

balances as (

    select * from {{ ref('fct_points_balances') }}

)

select
    entries.customer_id,
    entries.points,
    balances.balance

from entries

full outer join balances
    on entries.customer_id = balances.customer_id

where
    (entries.points = balances.balance) is not true
    or entries.reversed_points > entries.earned_points
