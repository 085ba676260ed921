-- One row per RFM segment: how many customers it holds, what they have spent.
select
    coalesce(rfm_segment, 'none') as subject,
    count(*) as customer_count,
    count(*) / sum(count(*)) over () as customer_share,
    sum(net_spend) as net_spend_sum,
    median(recency_days) as median_recency_days
from marts.customers
group by 1
order by 1
