"""The tasks of `push_purchases` and `trigger_journeys`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from include.commerce import journeys
from include.commerce.push import push_purchases
from include.destinations.mailchimp import Mailchimp
from include.settings import load_settings
from regulars_airflow.hooks import find_credentials, source_credentials


def push() -> list[dict[str, Any]]:
    """Tell Mailchimp's store what has changed; counts by kind. Skips if none is named."""
    _skip_without("shop_name", "names no store")
    return [asdict(told) for told in push_purchases(load_settings(), source_credentials)]


def trigger_journeys() -> list[dict[str, Any]]:
    """Send newcomers into journeys; counts by audience. Skips if there are no journeys."""
    _skip_without("journeys", "names no journeys")
    done = journeys.trigger_journeys(load_settings(), source_credentials)
    return [asdict(triggered) for triggered in done]


def _skip_without(option: str, reason: str) -> None:
    found = find_credentials(Mailchimp.connection())
    if found is None:
        raise AirflowSkipException(f"there is no connection {Mailchimp.connection()}")
    if not found.extra.get(option):
        raise AirflowSkipException(f"{Mailchimp.connection()} {reason}: set {option}")
