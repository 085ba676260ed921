"""What Airflow learns of Regulars at start: the connection types and how their forms look."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Describe the provider; called through the entry point `apache_airflow_provider`."""
    return {
        "package-name": "regulars",
        "name": "Regulars",
        "description": "Audiences from a shop's orders, kept in step at Mailchimp and Meta.",
        "versions": [version("regulars")],
        "connection-types": [
            {
                "connection-type": "mailchimp",
                "hook-class-name": "regulars_airflow.hooks.MailchimpHook",
                "hook-name": "Mailchimp",
                "conn-fields": {
                    "list_id": _text("List id", "Mailchimp's audience: Settings, Audience name."),
                    "base_url": _text("Base URL", "Only to point at a sandbox on loopback."),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema", "login", "extra"],
                    "relabeling": {"password": "API key"},
                    "placeholders": {"password": "ends in the data centre, such as -us1"},
                },
            },
            {
                "connection-type": "meta",
                "hook-class-name": "regulars_airflow.hooks.MetaHook",
                "hook-name": "Meta Ads",
                "conn-fields": {
                    "ad_account_id": _text("Ad account id", "Begins with act_."),
                    "app_id": _text("App id", "Only if the app demands proof of its secret."),
                    "app_secret": _text("App secret", "Goes with the app id.", secret=True),
                    "base_url": _text("Base URL", "Only to point at a sandbox on loopback."),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema", "login", "extra"],
                    "relabeling": {"password": "Access token"},
                    "placeholders": {"password": "a system user's token with ads_management"},
                },
            },
        ],
    }


def _text(label: str, description: str, *, secret: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": ["string", "null"]}
    if secret:
        schema["format"] = "password"
    return {"label": label, "description": description, "schema": schema}
