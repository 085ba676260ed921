{% test unique_combination(model, columns) %}
{#- A grain of several columns. -#}

select {{ columns | join(', ') }}

from {{ model }}

group by {{ columns | join(', ') }}

having count(*) > 1

{% endtest %}
