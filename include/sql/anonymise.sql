-- Figures stay, without anything that leads to the person.
update {table}
set {assignments}
where {condition}
