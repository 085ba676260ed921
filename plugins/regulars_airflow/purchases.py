"""The task of `push_purchases`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from include.commerce.push import push_purchases
from include.destinations.mailchimp import Mailchimp
from include.settings import load_settings
from regulars_airflow.hooks import credentials, source_credentials


def push() -> list[dict[str, Any]]:
    """Tell Mailchimp's store what has changed; counts by kind. Skips if it has no name."""
    if not credentials(Mailchimp.name).extra.get("shop_name"):
        raise AirflowSkipException("mailchimp_default names no store: set shop_name")
    return [asdict(told) for told in push_purchases(load_settings(), source_credentials)]
