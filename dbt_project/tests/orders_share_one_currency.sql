-- Amounts are added and compared as they are: two currencies need a conversion first.
{{ config(severity='warn') }}

select
    currency,
    count(*) as orders

from {{ ref('fct_orders') }}

group by currency

having count(*) < (select count(*) from {{ ref('fct_orders') }})
