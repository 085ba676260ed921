{#- The tiers of the loyalty programme, best first. -#}
{% macro loyalty_tiers() -%}
    {{ return(var('vip_tier_shares').keys() | list) }}
{%- endmacro %}

{#- The bars of a month, best tier first: amounts that the shop has set, or those above which the
    shares of vip_tier_shares lie. Of all customers' spends, in a group of a month. -#}
{% macro tier_bars(spend) -%}
    {%- if var('loyalty_tier_bars') -%}
        [
            {%- for tier in loyalty_tiers() -%}
            cast({{ var('loyalty_tier_bars')[tier] }} as decimal(18, 4)){{ ", " if not loop.last }}
            {%- endfor -%}
        ]
    {%- else -%}
        {{ top_share_cuts(
            'case when ' ~ spend ~ ' > 0 then ' ~ spend ~ ' end', var('vip_tier_shares').values()
        ) }}
    {%- endif -%}
{%- endmacro %}

{#- The bars, best tier first, as columns of their own: a list would be copied to each row that they
    are joined to. share: of the bars. -#}
{% macro bar_columns(bars, name, share=1) -%}
    {%- for tier in loyalty_tiers() %}
        greatest(0, {{ share }} * {{ bars }}[{{ loop.index }}]) as {{ name }}_{{ loop.index }}
        {{- "," if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{#- How many bars in such columns a spend exceeds: the level of its tier, 0 for none. -#}
{% macro bars_below(spend, name) -%}
    (
        {%- for tier in loyalty_tiers() %}
        cast({{ spend }} > {{ name }}_{{ loop.index }} as integer)
        {{- " +" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#- The tier of a level. -#}
{% macro tier_of_level(level) -%}
    case {{ level }}
        {%- for tier in loyalty_tiers() %}
        when {{ loop.revindex }} then '{{ tier }}'
        {%- endfor %}
        else 'none'
    end
{%- endmacro %}

{#- The bar of a level, 1 being the lowest tier's; null beyond the best one. -#}
{% macro bar_of_level(bars, level) -%}
    {{ bars }}[{{ loyalty_tiers() | length }} + 1 - nullif({{ level }}, {{ loyalty_tiers() | length }} + 1)]
{%- endmacro %}

{#- What everybody spent, as one number a month that changes with it. -#}
{% macro spend_fingerprints() -%}
    select
        month,
        sum({{ row_fingerprint(['customer_id', 'net_revenue']) }}) as fingerprint

    from {{ ref('int_customer_months') }}

    group by month
{%- endmacro %}

{#- Post-hook of the tiers: what the next build compares with. -#}
{% macro remember_spend_fingerprints() -%}
    create or replace table intermediate.known_spend_fingerprints as {{ spend_fingerprints() }}
{%- endmacro %}

{#- In an increment of the tiers: the first month that was not over at the last build, or whose spends
    have changed since. -#}
{% macro first_undecided_month() -%}
    (
        select
            least(
                {{ month_of(add_days("cast('" ~ last_build(model.name)['as_of'] ~ "' as date)", 1)) }},
                min(coalesce(current_ones.month, known_ones.month))
            )
        from ({{ spend_fingerprints() }}) as current_ones
        full outer join {{ this.database }}.intermediate.known_spend_fingerprints as known_ones
            on current_ones.month = known_ones.month
        where current_ones.fingerprint is distinct from known_ones.fingerprint
    )
{%- endmacro %}

{#- Pre-hook of an increment of the tiers: what was decided in its months; periods that began before
    are merged. -#}
{% macro forget_undecided_tiers() -%}
    {{ 'delete from ' ~ this ~ ' where valid_from > ' ~ first_undecided_month() if is_increment() }}
{%- endmacro %}

{#- Whole points for an amount spent in a tier. -#}
{% macro points_for(amount, tier) -%}
    cast(
        floor(
            greatest({{ amount }}, 0) * {{ var('points_per_unit') }} * case coalesce({{ tier }}, 'none')
                {%- for tier_name, multiplier in var('points_tier_multipliers').items() %}
                when '{{ tier_name }}' then {{ multiplier }}
                {%- endfor %}
                else 1
            end
        ) as bigint
    )
{%- endmacro %}

{#- The first days of all months from one to another, one row each, as `months(month)`. -#}
{% macro months_from_to(first, last) -%}
    {{ return(adapter.dispatch('months_from_to')(first, last)) }}
{%- endmacro %}

{% macro default__months_from_to(first, last) -%}
    select cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 month)) as date) as month
{%- endmacro %}

{#- The bars of the last month that is over; bars that the shop has set hold before anybody has
    reached one. periods: the current ones of int_tier_periods. -#}
{% macro newest_tier_bars(periods) -%}
    {%- if var('loyalty_tier_bars') -%}
        select {{ tier_bars(none) }} as bars
    {%- else -%}
        select arg_max(bars, valid_from) as bars from {{ periods }}
    {%- endif -%}
{%- endmacro %}

{#- The three levels of a month as one number, to see whether any changes. -#}
{% macro levels_of_a_month() -%}
    (10000 * entered_level + 100 * kept_level + spared_level)
{%- endmacro %}

{#- The level that somebody is in: of all levels those that were entered later than they were last
    lost. An odd number is a month that entered the level, an even one a month that lost it.
    months: the name of a window over the customer's months so far. -#}
{% macro level_held(months) -%}
    (
        {%- for level in range(1, loyalty_tiers() | length + 1) %}
        coalesce(
            max(
                case
                    when entered_level >= {{ level }} then 2 * month_number + 1
                    when spared_level < {{ level }} then 2 * month_number
                end
            ) over {{ months }} % 2,
            0
        )
        {{- " +" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}

{#- Everybody's birthday: the newest statement of somebody who has several accounts. -#}
{% macro birthdays() -%}
    select
        coalesce(former_ids.customer_id, contacts.customer_id) as customer_id,
        arg_max(contacts.birthday, coalesce(contacts.updated_at, timestamp '0001-01-01'))
            as birthday

    from {{ ref('stg_shop__contacts') }} as contacts

    left join ({{ former_customer_ids() }}) as former_ids
        on contacts.customer_id = former_ids.former_id

    where contacts.birthday is not null

    group by coalesce(former_ids.customer_id, contacts.customer_id)
{%- endmacro %}

{#- The points that were redeemed, by today's customers. -#}
{% macro redeemed_points() -%}
    select
        redemptions.redemption_id,
        redemptions.order_id,
        redemptions.redeemed_date,
        redemptions.points,
        coalesce(by_account.customer_id, redemptions.customer_id) as customer_id

    from {{ ref('stg_shop__points_redemptions') }} as redemptions

    left join {{ ref('dim_customer_identities') }} as by_account
        on
            redemptions.customer_id = by_account.identifier
            and by_account.identifier_kind = 'platform_id'
{%- endmacro %}

{#- What a customer's points depend on beside their orders, as one number that changes with it. -#}
{% macro points_fingerprints() -%}
    select
        customer_id,
        sum(fingerprint) as fingerprint

    from (
        select customer_id, {{ row_fingerprint(['tier', 'valid_from', 'valid_to']) }} as fingerprint
        from {{ ref('int_tier_periods') }}

        union all

        select customer_id, {{ row_fingerprint(['birthday']) }} as fingerprint
        from ({{ birthdays() }}) as birthdays

        union all

        select
            customer_id,
            {{ row_fingerprint(['redemption_id', 'order_id', 'redeemed_date', 'points']) }}
                as fingerprint
        from ({{ redeemed_points() }}) as redemptions
    ) as inputs

    group by customer_id
{%- endmacro %}

{#- Post-hook of the ledger: what the next build compares with. -#}
{% macro remember_points_fingerprints() -%}
    create or replace table intermediate.known_points_fingerprints as {{ points_fingerprints() }}
{%- endmacro %}

{#- Pre-hook of an increment of the ledger: those whose entries may differ from what is there. It has
    all that was ever earned, so it tells whose points expire. -#}
{% macro list_points_due() -%}
    {%- if is_increment() -%}
    {%- set last_as_of = "cast('" ~ last_build(model.name)['as_of'] ~ "' as date)" %}
    create or replace table intermediate.points_due as

    {{ changed_customers() }}

    union

    select coalesce(current_ones.customer_id, known_ones.customer_id) as customer_id
    from ({{ points_fingerprints() }}) as current_ones
    full outer join intermediate.known_points_fingerprints as known_ones
        on current_ones.customer_id = known_ones.customer_id
    where current_ones.fingerprint is distinct from known_ones.fingerprint

    union

    select customer_id
    from {{ this }}
    where {{ is_newly_seen('expires_on', last_build(model.name)['as_of']) }}

    union

    select birthdays.customer_id
    from ({{ birthdays() }}) as birthdays
    inner join (
        {{ months_from_to(add_months(month_of(last_as_of), 1), month_of(as_of())) }}
    ) as begun_months
        on extract('month' from birthdays.birthday) = extract('month' from begun_months.month)
    {%- endif -%}
{%- endmacro %}

{#- Whether a customer's entries are computed; true in a full build. -#}
{% macro is_points_due(customer_id='customer_id') -%}
    {{ customer_id ~ ' in (select due.customer_id from ' ~ this.database ~ '.intermediate.points_due as due)'
       if is_increment() else 'true' }}
{%- endmacro %}

{#- Pre-hook of an increment of the ledger, after list_points_due. -#}
{% macro forget_points_due() -%}
    {{ 'delete from ' ~ this ~ ' where ' ~ is_points_due() if is_increment() }}
{%- endmacro %}
