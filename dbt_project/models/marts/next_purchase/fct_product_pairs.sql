-- Products that go together: in one basket, and one after the other. Of a large shop a stable
-- sample of customers is looked at, of all shops the products that sell most often, and of a very
-- large basket the dearest of these: so neither time nor memory grow with the square of anything.
with

products as (

    select *

    from {{ ref('int_products') }}

    where
        line_count > 0
        and product_number <= {{ var('pair_most_products') }}

),

sample as (

    select
        least(100, ceil(100.0 * {{ var('pair_most_lines') }} / nullif(count(*), 0)))
            as sample_percent

    from {{ ref('fct_order_lines') }}

),

lines as (

    select
        lines.order_id,
        products.product_number,
        sum(lines.net_amount) as net_amount

    from {{ ref('fct_order_lines') }} as lines

    inner join products
        on
            lines.source = products.source
            and lines.sku = products.sku

    cross join sample

    where
        lines.line_kind = 'sale'
        and case
            when sample.sample_percent = 100 then true
            else
                {{ stable_bucket("'pairs'", 'coalesce(lines.customer_id, lines.order_id)') }}
                < sample.sample_percent
        end

    group by
        lines.order_id,
        products.product_number

),

baskets as (

    select
        order_id,
        product_number

    from lines

    qualify row_number() over (
        partition by order_id order by net_amount desc, product_number asc
    ) <= {{ var('pair_basket_products') }}

),

basket_pairs as (

    select
        ones.product_number,
        others.product_number as other_number,
        count(*) as pair_count

    from baskets as ones

    inner join baskets as others
        on
            ones.order_id = others.order_id
            and ones.product_number < others.product_number

    group by
        ones.product_number,
        others.product_number

),

basket_totals as (

    select
        product_number,
        count(*) as product_count

    from baskets

    group by product_number

),

basket_population as (

    select count(distinct order_id) as population_count

    from baskets

),

-- First purchases alone: so nobody counts twice, and what is bought every week is not
-- found after everything.
first_purchases as (

    select
        purchases.customer_id,
        products.product_number,
        purchases.first_purchase_date

    from {{ ref('int_customer_products') }} as purchases

    inner join products
        on purchases.product_key = products.product_key

    cross join sample

    where
        case
            when sample.sample_percent = 100 then true
            else
                {{ stable_bucket("'pairs'", 'purchases.customer_id') }} < sample.sample_percent
        end

),

-- Only purchases whose whole time to be followed has passed.
openings as (

    select * from first_purchases

    where
        first_purchase_date <= {{ add_days(as_of(), -var('next_purchase_days')) }}

),

next_pairs as (

    select
        openings.product_number,
        followers.product_number as other_number,
        count(*) as pair_count,
        cast(
            median(cast(
                {{ days_between('openings.first_purchase_date', 'followers.first_purchase_date') }}
                as smallint
            )) as integer
        ) as median_delay_days

    from openings

    inner join first_purchases as followers
        on
            openings.customer_id = followers.customer_id
            and openings.first_purchase_date < followers.first_purchase_date
            and followers.first_purchase_date
            <= {{ add_days('openings.first_purchase_date', var('next_purchase_days')) }}

    group by
        openings.product_number,
        followers.product_number

),

next_totals as (

    select
        product_number,
        count(*) as product_count

    from openings

    group by product_number

),

next_population as (

    select count(distinct customer_id) as population_count

    from first_purchases

),

opening_population as (

    select count(*) as opening_count

    from openings

),

-- How often a product follows any other: what a pair is compared with.
follower_totals as (

    select
        other_number,
        sum(pair_count) as product_count

    from next_pairs

    group by other_number

),

pairs as (

    select
        'basket' as pair_kind,
        basket_pairs.product_number,
        basket_pairs.other_number,
        basket_pairs.pair_count,
        ones.product_count,
        cast(others.product_count as double) / basket_population.population_count as base_share,
        basket_population.population_count,
        cast(null as integer) as median_delay_days
    from basket_pairs
    inner join basket_totals as ones
        on basket_pairs.product_number = ones.product_number
    inner join basket_totals as others
        on basket_pairs.other_number = others.product_number
    cross join basket_population

    union all

    select
        'basket' as pair_kind,
        basket_pairs.other_number as product_number,
        basket_pairs.product_number as other_number,
        basket_pairs.pair_count,
        ones.product_count,
        cast(others.product_count as double) / basket_population.population_count as base_share,
        basket_population.population_count,
        cast(null as integer) as median_delay_days
    from basket_pairs
    inner join basket_totals as ones
        on basket_pairs.other_number = ones.product_number
    inner join basket_totals as others
        on basket_pairs.product_number = others.product_number
    cross join basket_population

    union all

    select
        'next' as pair_kind,
        next_pairs.product_number,
        next_pairs.other_number,
        next_pairs.pair_count,
        next_totals.product_count,
        cast(follower_totals.product_count as double) / opening_population.opening_count
            as base_share,
        next_population.population_count,
        next_pairs.median_delay_days
    from next_pairs
    inner join next_totals
        on next_pairs.product_number = next_totals.product_number
    inner join follower_totals
        on next_pairs.other_number = follower_totals.other_number
    cross join next_population
    cross join opening_population

),

measured as (

    select
        *,
        cast(pair_count as double) / population_count as support,
        cast(pair_count as double) / product_count as confidence,
        cast(pair_count as double) / product_count / base_share as lift

    from pairs

    where
        pair_count >= {{ var('pair_min_count') }}
        and pair_count >= {{ var('pair_min_support') }} * population_count

),

final as (

    select
        measured.pair_kind,
        products.source,
        products.sku,
        products.product_name,
        products.category,
        others.source as other_source,
        others.sku as other_sku,
        others.product_name as other_product_name,
        others.category as other_category,
        measured.pair_count,
        cast(measured.product_count as bigint) as product_count,
        cast(measured.population_count as bigint) as population_count,
        measured.support,
        measured.confidence,
        measured.lift,
        measured.median_delay_days

    from measured

    inner join products
        on measured.product_number = products.product_number

    inner join products as others
        on measured.other_number = others.product_number

    where measured.lift > 1

)

select * from final
