select
    customer_id,
    reason,
    tier,
    keeps_until

from {{ ref('fct_loyalty_tiers') }}

where keeps_until <= {{ add_days(as_of(), var('tier_downgrade_risk_days')) }}
