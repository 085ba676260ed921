"""The assets through which one DAG starts the next; there is no clock between stages."""

from __future__ import annotations

from airflow.sdk import Asset

RAW_ORDERS = Asset("raw_orders")
"""The raw tables, once every source is in."""

WEBHOOKS = Asset("webhooks")
"""A shop or Mailchimp has called: there is something to ingest."""

AUDIENCES = Asset("audiences")
"""The newest published snapshot; one partition per audience."""
