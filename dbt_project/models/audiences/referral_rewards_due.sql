with

referrals as (

    select * from {{ ref('fct_referrals') }}

    where
        reward_state = 'due'
        and reward_due_date > {{ add_days(as_of(), -var('referral_reward_told_days')) }}

)

select
    advocate_customer_id as customer_id,
    concat(count(*), ' friends with a first order, ', sum(reward_amount), ' due') as reason,
    count(*) as referral_count,
    sum(reward_amount) as referral_reward

from referrals

group by advocate_customer_id
