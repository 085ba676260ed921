-- Every fit ever made, by the day it was made for; today's replaces an earlier one of the same day.
with

{%- set columns = {
    'as_of_date': 'date',
    'last_known_date': 'date',
    'purpose': 'varchar',
    'model': 'varchar',
    'customers': 'bigint',
    'repeat_customers': 'bigint',
    'parameters': 'map(varchar, double)',
    'standard_errors': 'map(varchar, double)',
    'log_likelihood': 'double',
    'is_converged': 'boolean',
    'iterations': 'bigint',
    'value_correlation': 'double',
    'calibration': 'map(varchar, double)',
    'refusal': 'varchar',
} %}

previous_fits as (

    {{ previous_build(has_previous_build(), columns) }}

),

todays_fits as (

    select
        *,
        {{ as_of() }} as as_of_date,
        case purpose
            when 'backtest' then {{ backtest_cutoff() }} else {{ as_of() }}
        end as last_known_date

    from {{ ref('int_prediction_fits') }}

),

final as (

    select {{ columns | join(', ') }} from todays_fits

    union all

    select {{ columns | join(', ') }} from previous_fits

    where as_of_date != {{ as_of() }}

)

select * from final
