-- Invented survey answers of some customers of `orders`; every property is drawn from the md5 of the
-- key, so that the same orders always get the same answers. See invent.py.
with

customers as (
    select
        customer_key::varchar as customer_key,
        list_sort(list(ordered_at)) as instants
    from orders
    where customer_key is not null
    group by customer_key
),

asked as (
    select
        customers.*,
        kinds.kind,
        [
            ('0x' || substr(md5(kinds.kind || ' ' || customers.customer_key), 1 + 4 * n, 4))::integer
            for n in range(4)
        ] as dice
    from customers
    cross join (values ('nps'), ('csat')) as kinds (kind)
),

-- Some days after one of the customer's orders; which of them is drawn too.
answered as (
    select
        customer_key,
        kind,
        dice,
        instants[1 + dice[2] % len(instants)] + to_days(2 + dice[3] % 9) as answered_at
    from asked
    where dice[1] % 100 < case kind when 'nps' then 25 else 10 end
)

select
    kind || '-' || customer_key as answer_id,
    customer_key,
    kind,
    'invented for the demo' as survey,
    case kind
        when 'nps' then [10, 10, 9, 9, 9, 10, 8, 8, 7, 7, 7, 6, 5, 3, 0, 9][1 + dice[4] % 16]
        else [5, 5, 5, 4, 4, 3, 2, 1][1 + dice[4] % 8]
    end as score,
    answered_at
from answered
where answered_at <= (select max(ordered_at) from orders)
order by answer_id
