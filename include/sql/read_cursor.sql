select
    cursor,
    committed_at
from raw.cursors
where source = $source;
