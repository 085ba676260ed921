-- What the view `told` says of all records but those in `theirs`.
select told.*
from told
anti join theirs
    on told.kind = theirs.kind and told.record_id = theirs.record_id
