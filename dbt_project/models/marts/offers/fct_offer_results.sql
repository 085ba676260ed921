with

offers as (

    select * from {{ ref('fct_offers') }}

),

results as (

    select
        audience,
        offer_name,
        count(*) as issued_count,
        count(case when offer_state = 'open' then 1 end) as open_count,
        count(case when offer_state = 'redeemed' then 1 end) as redeemed_count,
        count(case when is_first_order then 1 end) as new_customer_count,
        count(case when not is_first_order then 1 end) as returning_customer_count,
        count(case when redeemed_by_customer_id != customer_id then 1 end) as passed_on_count,
        sum(coalesce(net_amount, 0)) as net_revenue,
        sum(coalesce(discount_amount, 0)) as discount_amount,
        min(issued_date) as first_issued_date,
        max(issued_date) as last_issued_date

    from offers

    group by audience, offer_name

),

final as (

    select
        audience,
        offer_name,
        issued_count,
        open_count,
        redeemed_count,
        cast(redeemed_count as double) / issued_count as redemption_rate,
        new_customer_count,
        returning_customer_count,
        passed_on_count,
        cast(net_revenue as decimal(18, 4)) as net_revenue,
        cast(discount_amount as decimal(18, 4)) as discount_amount,
        first_issued_date,
        last_issued_date

    from results

)

select * from final
