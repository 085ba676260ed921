-- One row: the shop as its customers and orders tell it, each sum by two ways that must agree.
with customer_figures as (
    select
        count(*) as customer_count,
        sum(net_spend) as customer_net_sum,
        sum(order_count) as customer_order_sum,
        avg(coalesce(has_email_consent, false)::integer) as email_consent_share,
        avg(coalesce(has_ads_consent, false)::integer) as ads_consent_share,
        avg(coalesce(is_vip, false)::integer) as vip_share,
        avg(coalesce(is_lapsed, false)::integer) as lapsed_share,
        avg((net_spend < 0)::integer) as negative_customer_share,
        quantile_cont(net_spend, 0.5) as median_customer_spend,
        quantile_cont(net_spend, 0.99) as high_customer_spend,
        count(*) filter (where recency_days < 0) as customer_from_the_future_count,
        min(recency_days) as smallest_recency_days
    from marts.customers
),

order_figures as (
    select
        count(*) as order_count,
        sum(net_amount) as order_net_sum,
        sum(net_amount) filter (where customer_id is not null) as known_customer_net_sum,
        avg((customer_id is null)::integer) as guest_order_share,
        avg(coalesce(is_cancelled, false)::integer) as cancelled_order_share,
        avg((net_amount < 0)::integer) as negative_order_share,
        quantile_cont(net_amount, 0.5) as median_order_value,
        quantile_cont(net_amount, 0.99) as high_order_value,
        $as_of::date - max(ordered_date) as newest_order_age_days,
        count(*) filter (where ordered_date > $as_of::date) as order_after_as_of_count
    from marts.orders
),

line_figures as (
    select count(*) as order_line_count, sum(net_amount) as line_net_sum
    from marts.order_lines
),

membership_figures as (
    select
        count(*) as membership_count,
        count(*) filter (where not list_contains($declared_audiences::varchar[], audience))
            as undeclared_membership_count
    from marts.desired_memberships
)

select
    'shop' as subject,
    $as_of::date - $previous_as_of::date as days_since_previous_as_of,
    customer_figures.*,
    order_figures.*,
    line_figures.*,
    membership_figures.*,
    abs(coalesce(customer_figures.customer_net_sum, 0) - coalesce(order_figures.known_customer_net_sum, 0))
        as customer_order_sum_difference
from customer_figures
cross join order_figures
cross join line_figures
cross join membership_figures
