{% test audience_grain(model) %}
{#- An audience is a set of known customers: no nulls, no repeats, no strangers. -#}

select audience.customer_id

from {{ model }} as audience

left join {{ ref('dim_customers') }} as customers
    on audience.customer_id = customers.customer_id

group by audience.customer_id

having
    audience.customer_id is null
    or count(*) > 1
    or count(customers.customer_id) = 0

{% endtest %}
