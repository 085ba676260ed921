select
    customer_id,
    concat(
        expiring_soon_points, ' of ', balance, ' points expire within ',
        {{ var('points_expiring_days') }}, ' days, the first on ', expires_next_on
    ) as reason,
    balance as points_balance,
    expiring_soon_points as points_expiring,
    expires_next_on as points_expire_on

from {{ ref('fct_points_balances') }}

where expiring_soon_points >= {{ var('points_expiring_minimum') }}
