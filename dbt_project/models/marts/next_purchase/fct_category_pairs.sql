-- Which categories the same people buy, and which they do not. Who buys in d categories makes
-- d (d - 1) pairs; they are shared out over the categories by how many customers each has. So a
-- heavy buyer is expected to buy both, and who bought in one category only says nothing.
with

purchases as (

    select
        customer_id,
        category

    from {{ ref('fct_category_affinity') }}

),

categories as (

    select
        category,
        cast(row_number() over (order by category) as integer) as category_number,
        count(*) as customer_count

    from purchases

    group by category

),

numbered_customers as (

    select
        customer_id,
        cast(row_number() over (order by customer_id) as integer) as customer_number,
        count(*) as category_count

    from purchases

    group by customer_id

),

numbered as (

    select
        numbered_customers.customer_number,
        categories.category_number

    from purchases

    inner join numbered_customers
        on purchases.customer_id = numbered_customers.customer_id

    inner join categories
        on purchases.category = categories.category

),

joint as (

    select
        ones.category_number,
        others.category_number as other_number,
        count(*) as joint_customers

    from numbered as ones

    inner join numbered as others
        on
            ones.customer_number = others.customer_number
            and ones.category_number < others.category_number

    group by
        ones.category_number,
        others.category_number

),

population as (

    select
        sum(category_count * (category_count - 1)) as pair_count,
        power(sum(category_count), 2) as all_buyers_squared

    from numbered_customers

),

same_category as (

    select sum(power(customer_count, 2)) as buyers_squared

    from categories

),

unordered as (

    select
        ones.category,
        others.category as other_category,
        ones.customer_count,
        others.customer_count as other_customer_count,
        coalesce(joint.joint_customers, 0) as joint_customers,
        cast(ones.customer_count as double) * others.customer_count
        * population.pair_count
        / (population.all_buyers_squared - same_category.buyers_squared) as expected_customers

    from categories as ones

    inner join categories as others
        on ones.category_number < others.category_number

    left join joint
        on
            ones.category_number = joint.category_number
            and others.category_number = joint.other_number

    cross join population

    cross join same_category

    where population.pair_count > 0

),

both_ways as (

    select
        category,
        other_category,
        customer_count,
        other_customer_count,
        joint_customers,
        expected_customers
    from unordered

    union all

    select
        other_category as category,
        category as other_category,
        other_customer_count as customer_count,
        customer_count as other_customer_count,
        joint_customers,
        expected_customers
    from unordered

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

    from both_ways

    where expected_customers >= {{ var('category_pair_min_expected') }}

)

select * from final
