-- Amounts are added and compared as they are. Two currencies need the var reporting_currency and a
-- source of exchange rates.
select
    currency,
    count(*) as order_lines

from {{ ref('fct_order_lines') }}

group by currency

having count(*) < (select count(*) from {{ ref('fct_order_lines') }})
