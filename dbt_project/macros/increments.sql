{#- A day's build recomputes what the day changed. int_order_changes lists, build by build, the orders
    that may read differently; every model that follows it (config meta: follows_orders) computes those
    anew and writes down, in the transaction of its rows, up to which build it has followed. A build
    that fails leaves the others behind, and they catch up: nothing is counted twice.

    Where an order's own records do not tell what changed (another release, other variables or rules,
    an earlier day), all that follows is computed in full, from a new start. -#}

{#- What the models wrote down; made before every run. -#}
{% macro make_builds() -%}
    create schema if not exists intermediate;
    create table if not exists intermediate.builds (
        model varchar,
        -- The run that computed everything, from which the builds are counted.
        start_id varchar,
        build bigint,
        as_of date,
        load_number bigint,
        definition varchar
    );
{%- endmacro %}

{% macro the_builds() -%}
    {{ target.database }}.intermediate.builds
{%- endmacro %}

{#- A model's newest build: start_id, build, as_of, load_number, definition; none before the first. -#}
{% macro last_build(name) %}
    {%- if not execute -%}
        {{ return(none) }}
    {%- endif -%}
    {%- set found = run_query(
        "select start_id, build, as_of, load_number, definition from " ~ the_builds()
        ~ " where model = '" ~ name ~ "' order by rowid desc limit 1"
    ) -%}
    {{ return(found.rows[0] if found.rows else none) }}
{% endmacro %}

{#- A relation that the model being built may read without waiting for it: as the last build left it.
    None if there is none. -#}
{% macro as_last_built(schema, identifier) %}
    {{ return(adapter.get_relation(this.database, schema, identifier)) }}
{% endmacro %}

{#- Everything beside an order's own records, products and people that decides how it reads: this
    release, the variables, the sources' rules, and the rates up to a day. -#}
{% macro definition_of_orders(day) %}
    {%- set variables = {} -%}
    {%- for name, value in invocation_args_dict.vars.items() if name not in ['as_of', 'audiences'] -%}
        {%- do variables.update({name: value}) -%}
    {%- endfor -%}
    {%- set told = run_query(
        "select coalesce(sum(hash(rules)), 0) from " ~ this.database ~ ".raw.source_rules as rules"
    ).rows[0][0] -%}
    {%- set rates = run_query(
        "select coalesce(sum(hash(rates)), 0) from (select source, currency, base_currency, rate_date,"
        ~ " rate from " ~ this.database ~ ".raw.exchange_rates where rate_date <= '" ~ day
        ~ "') as rates"
    ).rows[0][0] if var('reporting_currency') else none -%}
    {{ return(local_md5(tojson([variables, told | string, rates | string], sort_keys=true))) }}
{% endmacro %}

{#- Why a model that follows the orders is computed in full; none if it need not be. -#}
{% macro why_in_full() %}
    {%- set changes = last_build('int_order_changes') -%}
    {%- if not changes -%}
        {{ return('nothing was built before') }}
    {%- elif model.name != 'int_order_changes' -%}
        {%- set own = last_build(model.name) -%}
        {{ return(none if own and own['start_id'] == changes['start_id'] else 'a new start') }}
    {%- elif not as_last_built('intermediate', 'int_order_lines') -%}
        {{ return('the lines of the last build are gone') }}
    {%- elif not var('models_checksum') -%}
        {{ return('the var models_checksum does not tell whether the models are the same') }}
    {%- elif changes['as_of'] | string > as_of_day() -%}
        {{ return('the last build was for a later day, ' ~ changes['as_of']) }}
    {%- elif changes['definition'] != definition_of_orders(changes['as_of']) -%}
        {{ return('models, variables, rules or past rates have changed') }}
    {%- endif -%}
    {{ return(none) }}
{% endmacro %}

{#- dbt's own question, answered for the models that follow the orders by looking. -#}
{% macro should_full_refresh() %}
    {%- if config.get('full_refresh') is not none -%}
        {{ return(config.get('full_refresh')) }}
    {%- elif flags.FULL_REFRESH or not config.get('meta', {}).get('follows_orders') -%}
        {{ return(flags.FULL_REFRESH) }}
    {%- endif -%}
    {{ return(why_in_full() is not none) }}
{% endmacro %}

{#- Whether only the changes are computed; never in a unit test, which has no table. -#}
{% macro is_increment() %}
    {{ return(this is not none and is_incremental()) }}
{% endmacro %}

{#- Pre-hook, in the transaction of the rows: up to which build the model has followed. -#}
{% macro follow_orders() %}
    {%- set changes = last_build('int_order_changes') -%}
    {%- if not execute or (not changes and model.name != 'int_order_changes') -%}
    {%- elif model.name != 'int_order_changes' %}
        insert into {{ the_builds() }} by name
        select '{{ model.name }}' as model,
            -- What somebody builds by hand for another day belongs to no start.
            '{{ changes["start_id"] if changes["as_of"] | string == as_of_day() }}' as start_id,
            {{ changes["build"] }} as build, {{ as_of() }} as as_of
    {%- else -%}
        {%- set is_full = not is_increment() -%}
        {%- if is_full -%}
            {%- do log('orders are computed in full: ' ~ (
                'it was asked for' if flags.FULL_REFRESH else why_in_full() or 'their changes are lost'
            ), info=true) -%}
        {%- endif %}
        insert into {{ the_builds() }} by name
        select 'int_order_changes' as model,
            '{{ invocation_id if is_full else changes["start_id"] }}' as start_id,
            {{ 0 if is_full else changes["build"] + 1 }} as build, {{ as_of() }} as as_of,
            (
                select coalesce(max(load_number), 0)
                from (
                    select max(load_number) as load_number from {{ source('raw', 'orders') }}
                    union all
                    select max(load_number) from {{ source('raw', 'order_lines') }}
                    union all
                    select max(load_number) from {{ source('raw', 'removed_orders') }}
                )
            ) as load_number,
            '{{ definition_of_orders(as_of_day()) }}' as definition
    {%- endif %}
{% endmacro %}

{#- In an increment of a model that follows the orders: the changes since its last build (order_id, and
    customer_id, whose the order was). No ref: the model depends on int_order_lines, which has it. -#}
{% macro order_changes() -%}
    (
        select * from {{ as_last_built('intermediate', 'int_order_changes') }}
        where build > {{ last_build(model.name)['build'] }}
    )
{%- endmacro %}

{#- The condition that limits a query to the changed orders; nothing in a full build. DuckDB hands the
    keys of a join down to the scan of the other side only if they are filtered themselves, by what
    it can not see through: hence the length. -#}
{% macro where_changed(keyword='where') -%}
    {{ keyword ~ ' order_id in (select order_id from ' ~ order_changes()
        ~ ' where length(order_id) > 0)' if is_increment() }}
{%- endmacro %}

{#- Post-hook of int_order_lines: who had or has one of the changed orders, build by build. Every model
    that follows customers asks for them, so the lines are searched for them once. -#}
{% macro remember_changed_customers() -%}
    {%- set changes = as_last_built('intermediate', 'int_order_changes') -%}
    create or replace table {{ changed_customers_by_build() }} as
    select
        customer_id,
        build
    from {{ changes }}
    where customer_id is not null

    union

    select
        lines.customer_id,
        changes.build
    from {{ this }} as lines
    inner join {{ changes }} as changes
        on lines.order_id = changes.order_id
    where
        lines.customer_id is not null
        and lines.excluded_by is null
{%- endmacro %}

{% macro changed_customers_by_build() -%}
    {{ target.database }}.intermediate.changed_customers
{%- endmacro %}

{#- Customers who had or have one of the changed orders, as a query of an increment. -#}
{% macro changed_customers() -%}
    select customer_id
    from {{ changed_customers_by_build() }}
    where
        build > {{ last_build(model.name)['build'] }}
        and length(customer_id) > 0
{%- endmacro %}

{#- Whether a customer is one of these; true in a full build. -#}
{% macro is_customer_changed(customer_id='customer_id') -%}
    {{ customer_id ~ ' in (' ~ changed_customers() ~ ')' if is_increment() else 'true' }}
{%- endmacro %}

{#- The changed orders and all others of these customers, as the table expression `touched_orders`
    before others of a `with`, and the condition that limits a query to them; nothing in a full build. -#}
{% macro touched_orders() -%}
    {%- if is_increment() -%}
touched_orders as (

    select order_id
    from {{ order_changes() }}

    union

    select order_id
    from {{ ref('fct_order_lines') }}
    where customer_id in ({{ changed_customers() }})

),
    {%- endif -%}
{%- endmacro %}

{% macro where_touched(keyword='where') -%}
    {{ keyword ~ ' order_id in (select order_id from touched_orders where length(order_id) > 0)'
        if is_increment() }}
{%- endmacro %}

{#- Pre-hooks of an increment: what is computed anew goes first. -#}
{% macro forget_changed_orders() -%}
    {{ 'delete from ' ~ this ~ ' ' ~ where_changed() if is_increment() }}
{%- endmacro %}

{% macro forget_changed_customers() -%}
    {{ 'delete from ' ~ this ~ ' where ' ~ is_customer_changed() if is_increment() }}
{%- endmacro %}

{#- Pre-hook of int_order_changes: what every model has followed is needed no more. -#}
{% macro forget_followed_changes() -%}
    {%- if is_increment() -%}
        delete from {{ this }}
        where build <= (
            select min(followed.build)
            from (
                select max(build) as build
                from {{ the_builds() }}
                where
                    model != 'int_order_changes'
                    and start_id = '{{ last_build(model.name)["start_id"] }}'
                group by model
            ) as followed
        )
    {%- endif -%}
{%- endmacro %}

{#- Post-hook of int_order_changes: what the next build compares with, as this one has read it. -#}
{% macro remember(name, model_name) -%}
    create or replace table intermediate.{{ name }} as
    select
        {%- if name == 'known_products' %}
        source, sku, product_name, category, unit_cost, currency
        {%- else %}
        identifier_kind, identifier_key,
        case identifier_kind when 'platform_id' then identifier end as identifier, customer_id
        {%- endif %}
    from {{ ref(model_name) }}
{%- endmacro %}
