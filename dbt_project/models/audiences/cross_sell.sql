select
    moments.customer_id,
    recommendations.reason,
    recommendations.recommended_sku,
    recommendations.recommended_product

from {{ ref('fct_customer_moments') }} as moments

inner join {{ ref('fct_recommendations') }} as recommendations
    on moments.customer_id = recommendations.customer_id

where moments.moment = 'post_purchase_cross_sell'
