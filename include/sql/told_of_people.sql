-- What the view `told` says of the records in `theirs`.
select told.*
from told
semi join theirs
    on told.kind = theirs.kind and told.record_id = theirs.record_id
