-- How many rows of each operation a plan has, and in which batches they go.
select
    operation,
    count(*) as member_count,
    count(batch_number) as sent_count,
    min(batch_number) as first_batch,
    max(batch_number) as last_batch
from planned
group by operation
