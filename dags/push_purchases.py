"""## Push purchases

Tell the store of a Mailchimp list, once a day, what its contacts have bought and which codes they
were given, so that Mailchimp's own reports show revenue. Only what has changed is told.

Skipped unless the connection `mailchimp_default` names the store (`shop_name`). With `shop_url`,
where codes are redeemed, promo codes go too.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from regulars_airflow.defaults import DEFAULT_ARGS
from regulars_airflow.schedules import cron


@dag(
    schedule=cron("0 5 * * *"),
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    tags=["destinations", "orders"],
    doc_md=__doc__,
)
def push_purchases():
    @task(pool="mailchimp")
    def push() -> list[dict]:
        from regulars_airflow import purchases

        return purchases.push()

    push()


push_purchases()
