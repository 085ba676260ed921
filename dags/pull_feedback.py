"""## Pull feedback

Once a day: what destinations tell only after a sync. Google and TikTok say hours later what became
of the batches of the last seven days; Mailchimp says which contacts have subscribed or left since.

One task per destination that was ever synced to and has something to tell; without any there is
nothing to do. Nothing is sent. A task fails, and somebody is told, if a destination took a batch
and then let nobody of it in.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from regulars_airflow.defaults import DEFAULT_ARGS
from regulars_airflow.schedules import cron


@dag(
    schedule=cron("40 6 * * *"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["destinations"],
    doc_md=__doc__,
)
def pull_feedback():
    @task
    def list_destinations() -> list[str]:
        from regulars_airflow import feedback

        return feedback.destinations()

    @task(map_index_template="{{ task.op_kwargs['destination'] }}", multiple_outputs=False)
    def pull(destination: str) -> dict:
        from regulars_airflow import feedback

        return feedback.pull(destination)

    pull.expand(destination=list_destinations())


pull_feedback()
