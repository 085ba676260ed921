-- `rules` is a list of {rule, value}.
delete from raw.source_rules
where source = $source;

insert into raw.source_rules by name
select
    $source as source,
    item.rule,
    item.value
from (select unnest($rules::struct(rule varchar, value varchar)[]) as item);
