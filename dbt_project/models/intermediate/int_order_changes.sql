-- What a build has to look at again: the orders whose records came or went since the last build, or
-- that tell of something that lay behind its as-of day; and those whose products or people are told
-- otherwise now.
-- depends_on: {{ ref('stg_shop__products') }}
-- depends_on: {{ ref('stg_shop__orders') }}
-- depends_on: {{ ref('stg_shop__order_lines') }}
-- depends_on: {{ ref('dim_customer_identities') }}, {{ source('raw', 'order_lines') }}
-- depends_on: {{ source('raw', 'orders') }}, {{ source('raw', 'removed_orders') }}
{% set last = last_build('int_order_changes') if is_increment() %}
{% set lines = as_last_built('intermediate', 'int_order_lines') if is_increment() %}
{% set orders = as_last_built('marts', 'orders') if is_increment() %}

{% if not lines %}

    -- Everything is computed in full, so nobody asks.
    select
        cast(null as varchar) as order_id,
        cast(null as varchar) as customer_id,
        cast(null as bigint) as build

    where false

{% else %}
with

products as (

    select * from {{ ref('stg_shop__products') }}

),

identities as (

    select * from {{ ref('dim_customer_identities') }}

),

lines as (

    select * from {{ lines }}

),

changed_records as (

    select order_id
    from {{ source('raw', 'order_lines') }}
    where
        load_number > {{ last['load_number'] }}
        or {{ is_newly_seen('ordered_date', last['as_of']) }}

    union all

    select order_id
    from {{ source('raw', 'orders') }}
    where
        load_number > {{ last['load_number'] }}
        or {{ is_newly_seen('ordered_date', last['as_of']) }}
        or {{ is_newly_seen('cast(cancelled_at as date)', last['as_of']) }}
        or {{ any_element('refunds', is_newly_seen('cast(element.refunded_at as date)', last['as_of'])) }}
        or {{ any_element('payments', is_newly_seen('cast(element.paid_at as date)', last['as_of'])) }}

    union all

    select order_id
    from {{ source('raw', 'removed_orders') }}
    where load_number > {{ last['load_number'] }}

),

changed_products as (

    select
        coalesce(products.source, known.source) as source,
        coalesce(products.sku, known.sku) as sku

    from products

    full join intermediate.known_products as known
        on
            products.source = known.source
            and products.sku = known.sku

    where
        products.product_name is distinct from known.product_name
        or products.category is distinct from known.category
        or products.unit_cost is distinct from known.unit_cost
        or products.currency is distinct from known.currency

),

changed_identities as (

    select
        coalesce(identities.identifier_kind, known.identifier_kind) as identifier_kind,
        coalesce(identities.identifier_key, known.identifier_key) as identifier_key,
        -- An account that nothing was known of stood for itself.
        coalesce(
            known.customer_id,
            case
                when coalesce(identities.identifier_kind, known.identifier_kind) = 'platform_id'
                    then coalesce(identities.identifier, known.identifier)
            end
        ) as known_customer_id,
        coalesce(
            identities.customer_id,
            case
                when coalesce(identities.identifier_kind, known.identifier_kind) = 'platform_id'
                    then coalesce(identities.identifier, known.identifier)
            end
        ) as customer_id

    from identities

    full join intermediate.known_identities as known
        on
            identities.identifier_kind = known.identifier_kind
            and identities.identifier_key = known.identifier_key

),

moved_identities as (

    select
        identifier_kind,
        identifier_key,
        known_customer_id

    from changed_identities

    where customer_id is distinct from known_customer_id

),

-- What was refused joined nobody, so that no customer leads to its orders.
guests as (

    select
        order_id,
        {{ identifier_key('email', 'email_key') }} as email_node,
        {{ identifier_key('phone', 'phone_key') }} as phone_node
    from {{ ref('stg_shop__order_lines') }}
    where
        customer_id is null
        and exists (select 1 from moved_identities where known_customer_id is null)

    union all

    select
        order_id,
        {{ identifier_key('email', 'email_key') }} as email_node,
        {{ identifier_key('phone', 'phone_key') }} as phone_node
    from {{ ref('stg_shop__orders') }}
    where
        customer_id is null
        and exists (select 1 from moved_identities where known_customer_id is null)

),

changed as (

    select order_id
    from changed_records

    union

    select lines.order_id
    from lines
    inner join changed_products
        on
            lines.source = changed_products.source
            and lines.sku = changed_products.sku

    union

    select order_id
    from lines
    where customer_id in (select known_customer_id from moved_identities)

    union

    select guests.order_id
    from guests
    inner join moved_identities
        on
            moved_identities.identifier_key in (guests.email_node, guests.phone_node)
            and moved_identities.known_customer_id is null

),

final as (

    select
        changed.order_id,
        {{ 'orders.customer_id' if orders else 'cast(null as varchar)' }} as customer_id,
        cast({{ last['build'] + 1 }} as bigint) as build

    from changed

    {% if orders %}
    left join {{ orders }} as orders
        on changed.order_id = orders.order_id
    {% endif %}

)

select * from final
{% endif %}
