"""## Trigger journeys

Send who has newly come into an audience into a step of a Mailchimp customer journey, every hour
and at most once for each time they come in.

Skipped unless the connection `mailchimp_default` says which (`journeys`), for example
`lapsed_vips=1234/5678`: audience, journey, step.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from regulars_airflow.defaults import DEFAULT_ARGS
from regulars_airflow.schedules import cron


@dag(
    schedule=cron("15 * * * *"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["audiences", "destinations"],
    doc_md=__doc__,
)
def trigger_journeys():
    @task(pool="mailchimp")
    def trigger() -> list[dict]:
        from regulars_airflow import purchases

        return purchases.trigger_journeys()

    trigger()


trigger_journeys()
