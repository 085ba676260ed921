-- Which categories the same people buy, and which they do not. Who buys in d categories makes
-- d (d - 1) pairs; they are shared out over the categories by how many customers each has. So a
-- heavy buyer is expected to buy both, and who bought in one category only says nothing.
with

joint as (

    select * from {{ ref('int_joint_customers') }}

),

categories as (

    select
        category,
        joint_customers as customer_count

    from joint

    where category = other_category

),

population as (

    select
        sum(case when category != other_category then joint_customers end) as pair_count,
        power(sum(case when category = other_category then joint_customers end), 2)
            as all_buyers_squared,
        sum(case when category = other_category then power(joint_customers, 2) end)
            as buyers_squared

    from joint

),

pairs as (

    select
        ones.category,
        others.category as other_category,
        ones.customer_count,
        others.customer_count as other_customer_count,
        coalesce(joint.joint_customers, 0) as joint_customers,
        cast(ones.customer_count as double) * others.customer_count
        * population.pair_count
        / (population.all_buyers_squared - population.buyers_squared) as expected_customers

    from categories as ones

    inner join categories as others
        on ones.category != others.category

    left join joint
        on
            ones.category = joint.category
            and others.category = joint.other_category

    cross join population

    where population.pair_count > 0

),

final as (

    select
        category,
        other_category,
        customer_count,
        other_customer_count,
        joint_customers,
        expected_customers,
        joint_customers / expected_customers as lift,
        joint_customers <= {{ var('exclusive_below_share') }} * expected_customers as is_exclusive

    from pairs

    where expected_customers >= {{ var('category_pair_min_expected') }}

)

select * from final
