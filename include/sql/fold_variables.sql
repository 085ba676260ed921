-- What `fold_state` has to know of its plan.
set variable plan_id = $plan_id;
set variable started_at = $started_at;
set variable entered_at = $entered_at::timestamp;
set variable most_tries = $most_tries
