{% test holds_for_every_row(model, condition) %}
{#- An identity or a bound between the columns of a row; unknown is a failure. -#}

select *

from {{ model }}

where ({{ condition }}) is not true

{% endtest %}
