select cursor
from raw.cursors
where source = $source;
