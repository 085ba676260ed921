-- What the store holds once the answers of the view `answers` (kind, record_id, parent_id, operation,
-- fingerprint, outcome, refusal) are counted in. `present`: Mailchimp may have it, with who knows what
-- in it; `absent`: it has not; `later`: nothing has changed.
with

joined as (
    select
        answers.operation,
        answers.outcome,
        answers.refusal,
        answers.fingerprint,
        pushed.fingerprint as pushed_fingerprint,
        pushed.refusal as pushed_refusal,
        pushed.kind is not null as was_pushed,
        coalesce(answers.kind, pushed.kind) as kind,
        coalesce(answers.record_id, pushed.record_id) as record_id,
        coalesce(answers.parent_id, pushed.parent_id) as parent_id
    from pushed
    full join answers
        on pushed.kind = answers.kind and pushed.record_id = answers.record_id
)

select
    kind,
    record_id,
    parent_id,
    case
        when outcome = 'present' then null
        when outcome in ('done', 'refused') then fingerprint
        else pushed_fingerprint
    end as fingerprint,
    case
        when outcome is null or outcome = 'later' then pushed_refusal
        -- why it could not be made says more than that it is not there to be changed
        when outcome = 'refused' and pushed_fingerprint is null
            then coalesce(pushed_refusal, refusal)
        else refusal
    end as refusal
from joined
where
    outcome is null
    or (outcome = 'done' and operation <> 'delete')
    or (outcome = 'later' and was_pushed)
    or outcome in ('present', 'refused')
