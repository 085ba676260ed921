-- The one product that suits a customer best: what others bought with or after the last purchase,
-- or what sells best in the categories the customer likes. Never something the customer has,
-- something that is not on sale, or something of a category that shuts out one of the customer's
-- own.
with

products as (

    select * from {{ ref('int_products') }}

),

customers as (

    select
        customer_id,
        order_count,
        last_order_date

    from {{ ref('int_customer_history') }}

    where order_count > 0

),

population as (

    select count(*) as customer_count from customers

),

-- Of each product the few that go best with it.
pairs as (

    select
        products.product_number,
        others.product_number as other_number,
        others.category as other_category,
        pairs.pair_kind,
        pairs.confidence,
        pairs.lift

    from {{ ref('fct_product_pairs') }} as pairs

    inner join products
        on
            pairs.source = products.source
            and pairs.sku = products.sku

    inner join products as others
        on
            pairs.other_source = others.source
            and pairs.other_sku = others.sku

    where others.is_offered

    qualify row_number() over (
        partition by products.product_number
        order by pairs.confidence desc, others.product_number asc, pairs.pair_kind asc
    ) <= {{ var('recommendation_candidates') }}

),

bestsellers as (

    select
        product_number,
        category,
        line_count

    from products

    where
        is_offered
        and line_count > 0
        and category is not null

    qualify row_number() over (
        partition by category order by product_number
    ) <= {{ var('recommendation_candidates') }}

),

-- What leads to a recommendation, or may be one: of a large shop few products, so few purchases.
considered as (

    select
        product_number,
        product_key

    from products

    where
        product_number <= {{ var('pair_most_products') }}
        or product_number in (select bestsellers.product_number from bestsellers)

),

purchases as (

    select
        purchases.customer_id,
        considered.product_number,
        purchases.last_purchase_date

    from {{ ref('int_customer_products') }} as purchases

    inner join considered
        on purchases.product_key = considered.product_key

),

last_purchases as (

    select
        purchases.customer_id,
        purchases.product_number,
        customers.order_count

    from purchases

    inner join customers
        on
            purchases.customer_id = customers.customer_id
            and purchases.last_purchase_date = customers.last_order_date

),

buyers as (

    select
        purchases.product_number,
        count(*) as customer_count

    from purchases

    inner join bestsellers
        on purchases.product_number = bestsellers.product_number

    group by purchases.product_number

),

favourites as (

    select
        customer_id,
        category,
        affinity

    from {{ ref('fct_category_affinity') }}

    where is_favourite

    qualify row_number() over (
        partition by customer_id order by affinity desc, category asc
    ) <= {{ var('recommendation_categories') }}

),

shut_out as (

    select distinct
        affinity.customer_id,
        category_pairs.other_category as category

    from {{ ref('fct_category_affinity') }} as affinity

    inner join {{ ref('fct_category_pairs') }} as category_pairs
        on affinity.category = category_pairs.category

    where
        affinity.is_favourite
        and category_pairs.is_exclusive

),

-- Whoever never bought of a category likes it the less, the more orders have gone without it: the
-- same formula with no spend. Of a product without a category nothing is known.
candidates as (

    select
        last_purchases.customer_id,
        last_purchases.product_number as because_of_number,
        pairs.other_number as product_number,
        pairs.other_category as category,
        pairs.pair_kind as because_of,
        pairs.confidence as chance,
        case
            when pairs.other_category is null then 1
            else coalesce(
                affinity.affinity,
                {{ var('affinity_prior_orders') }}
                / cast(last_purchases.order_count + {{ var('affinity_prior_orders') }} as double)
            )
        end as affinity
    from last_purchases
    inner join pairs
        on last_purchases.product_number = pairs.product_number
    left join {{ ref('fct_category_affinity') }} as affinity
        on
            last_purchases.customer_id = affinity.customer_id
            and pairs.other_category = affinity.category

    union all

    select
        favourites.customer_id,
        cast(null as integer) as because_of_number,
        bestsellers.product_number,
        bestsellers.category,
        'category' as because_of,
        cast(buyers.customer_count as double) / population.customer_count as chance,
        favourites.affinity
    from favourites
    inner join customers
        on favourites.customer_id = customers.customer_id
    inner join bestsellers
        on favourites.category = bestsellers.category
    inner join buyers
        on bestsellers.product_number = buyers.product_number
    cross join population

),

fitting as (

    select
        candidates.*,
        candidates.chance
        * least(candidates.affinity, {{ var('recommendation_most_affinity') }}) as score

    from candidates

    left join purchases
        on
            candidates.customer_id = purchases.customer_id
            and candidates.product_number = purchases.product_number

    left join shut_out
        on
            candidates.customer_id = shut_out.customer_id
            and candidates.category = shut_out.category

    where
        candidates.affinity >= {{ var('affinity_fits_from') }}
        and purchases.customer_id is null
        and shut_out.customer_id is null

),

-- Structures compare field by field, so the least one is the best; its fields become columns. A
-- window would hold all that fits everybody, the aggregate holds one of a customer.
best as (

    select
        customer_id,
        unnest(
            min(
                struct_pack(
                    negative_score := -score,
                    product_number := product_number,
                    because_of_number := because_of_number,
                    because_of := because_of,
                    chance := chance
                )
            )
        ) as fields

    from fitting

    group by customer_id

),

final as (

    select
        best.customer_id,
        products.source,
        products.sku as recommended_sku,
        coalesce(products.product_name, products.sku) as recommended_product,
        products.category,
        -best.negative_score as score,
        best.because_of,
        because_of.sku as because_of_sku,
        case best.because_of
            when 'category'
                then concat('sells best in ', products.category, ', a favourite category')
            else concat(
                round(100 * best.chance, 1),
                case best.because_of
                    when 'basket' then ' % take it together with '
                    else ' % buy it within {{ var("next_purchase_days") }} days after '
                end,
                coalesce(because_of.product_name, because_of.sku)
            )
        end as reason

    from best

    inner join products
        on best.product_number = products.product_number

    left join products as because_of
        on best.because_of_number = because_of.product_number

)

select * from final
