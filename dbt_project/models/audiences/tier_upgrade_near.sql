select
    customer_id,
    concat(
        cast(spend_to_next_tier as decimal(18, 2)), ' to ', next_tier, ', which begins above ',
        cast(next_tier_spend as decimal(18, 2))
    ) as reason,
    tier,
    next_tier,
    spend_to_next_tier

from {{ ref('fct_loyalty_tiers') }}

where
    spend_to_next_tier > 0
    and spend_to_next_tier <= {{ var('tier_upgrade_near_share') }} * next_tier_spend
