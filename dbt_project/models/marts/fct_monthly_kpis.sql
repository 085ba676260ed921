with

kpis as (

    select * from {{ ref('fct_kpis_by_dimension') }}

    where dimension = 'shop'

)

select * exclude (dimension, dimension_value) from kpis
