"""## Trigger journeys

Send who has newly come into an audience into a step of a Mailchimp customer journey, every hour
and at most once for each time they come in.

Skipped unless the connection `mailchimp_default` says which (`journeys`), for example
`lapsed_vips=1234/5678`: audience, journey, step.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from regulars_airflow.defaults import DEFAULT_ARGS


@dag(
    schedule=CronTriggerTimetable("15 * * * *", timezone="UTC", run_immediately=timedelta(0)),
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
