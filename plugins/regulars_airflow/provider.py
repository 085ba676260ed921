"""What Airflow learns of Regulars at start: the connection types and how their forms look."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Describe the provider; called through the entry point `apache_airflow_provider`."""
    return {
        "package-name": "regulars",
        "name": "Regulars",
        "description": "A shop's audiences, kept in step at Mailchimp and the ad platforms.",
        "versions": [version("regulars")],
        "connection-types": [
            {
                "connection-type": "mailchimp",
                "hook-class-name": "regulars_airflow.hooks.MailchimpHook",
                "hook-name": "Mailchimp",
                "conn-fields": {
                    "list_id": _text("List id", "Mailchimp's audience: Settings, Audience name."),
                    "marketing_permission_ids": _text(
                        "Marketing permissions",
                        "Of a list with GDPR fields: the ids that consent to e-mail stands for.",
                    ),
                    "shop_name": _text(
                        "Store name", "Only then are purchases told; see push_purchases."
                    ),
                    "journeys": _text(
                        "Journeys", "For newcomers of an audience: lapsed_vips=1234/5678, ..."
                    ),
                    "shop_url": _text("Shop address", "Where codes are redeemed."),
                    "webhook_secret": _text(
                        "Webhook secret", "Shown once, when the webhook is made.", secret=True
                    ),
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
                    "limited_data_use": _choice(
                        "Limited Data Use", "For people in the United States.", ["us"]
                    ),
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
            {
                "connection-type": "google",
                "hook-class-name": "regulars_airflow.hooks.GoogleHook",
                "hook-name": "Google Customer Match",
                "conn-fields": {
                    "customer_id": _text("Customer id", "The Google Ads account's, 123-456-7890."),
                    "login_customer_id": _text(
                        "Login customer id", "Only if a manager account signs in for it."
                    ),
                    "customer_match_terms": _choice(
                        "Customer Match terms",
                        "https://support.google.com/adspolicy/answer/6299717",
                        ["accepted"],
                    ),
                    "base_url": _text("Base URL", "Only to point at a sandbox on loopback."),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema", "login", "extra"],
                    "relabeling": {"password": "Key"},
                    "placeholders": {"password": "the whole JSON key of a service account"},
                },
            },
            {
                "connection-type": "tiktok",
                "hook-class-name": "regulars_airflow.hooks.TikTokHook",
                "hook-name": "TikTok Ads",
                "conn-fields": {
                    "advertiser_id": _text("Advertiser id", "The ad account's number."),
                    "base_url": _text("Base URL", "Only to point at a sandbox on loopback."),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema", "login", "extra"],
                    "relabeling": {"password": "Access token"},
                    "placeholders": {"password": "a long-term token with audience management"},
                },
            },
            {
                "connection-type": "webhook",
                "hook-class-name": "regulars_airflow.hooks.WebhookHook",
                "hook-name": "Webhook",
                "conn-fields": {
                    "url": _text("Address", "Where calls go; https.", secret=True),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema", "login", "extra"],
                    "relabeling": {"password": "Signing secret"},
                    "placeholders": {"password": "32 characters or more: openssl rand -hex 32"},
                },
            },
            {
                "connection-type": "file_drop",
                "hook-class-name": "regulars_airflow.hooks.FileDropHook",
                "hook-name": "File drop",
                "conn-fields": {
                    "folder": _text("Folder", "A path, or an address such as s3://bucket/folder."),
                    "format": _choice("Format", "CSV unless said otherwise.", ["csv", "parquet"]),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["host", "port", "schema", "login", "password", "extra"],
                    "relabeling": {},
                    "placeholders": {},
                },
            },
            {
                "connection-type": "shopify",
                "hook-class-name": "regulars_airflow.hooks.ShopifyHook",
                "hook-name": "Shopify",
                "conn-fields": {
                    "webhook_secret": _text(
                        "Webhook secret", "The app's client secret, if it calls us.", secret=True
                    ),
                    "base_url": _text("Base URL", "Only to point at a sandbox on loopback."),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["port", "schema", "login", "extra"],
                    "relabeling": {"host": "Shop", "password": "Access token"},
                    "placeholders": {
                        "host": "example.myshopify.com",
                        "password": "the custom app's token of the Admin API, shpat_...",
                    },
                },
            },
            {
                "connection-type": "woocommerce",
                "hook-class-name": "regulars_airflow.hooks.WooCommerceHook",
                "hook-name": "WooCommerce",
                "conn-fields": {
                    "base_url": _text("Base URL", "Only to point at a sandbox on loopback."),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["port", "schema", "extra"],
                    "relabeling": {
                        "host": "Shop",
                        "login": "Consumer key",
                        "password": "Consumer secret",
                    },
                    "placeholders": {
                        "host": "shop.example.com",
                        "login": "ck_..., with the permission to read",
                        "password": "cs_...",
                    },
                },
            },
            {
                "connection-type": "alerts",
                "hook-class-name": "regulars_airflow.hooks.AlertsHook",
                "hook-name": "Alerts",
                "conn-fields": {
                    "kind": _choice("Kind", "Where alerts go.", ["slack", "webhook", "smtp"]),
                    "from": _text("From", "Mail only: the sender's address."),
                    "to": _text("To", "Mail only: the recipients' addresses, with commas."),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["schema", "extra"],
                    "relabeling": {"host": "Address or mail server", "password": "Secret"},
                    "placeholders": {
                        "host": "of a webhook, or of a mail server; none for Slack",
                        "password": "Slack: the webhook's address; webhook: signs; mail: signs in",
                    },
                },
            },
            {
                "connection-type": "database",
                "hook-class-name": "regulars_airflow.hooks.DatabaseHook",
                "hook-name": "Shop database",
                "conn-fields": {
                    "dialect": _choice(
                        "Kind", "MariaDB is a kind of MySQL.", ["postgresql", "mysql"]
                    ),
                    "sslmode": _choice(
                        "Encryption",
                        "Required unless said otherwise; on loopback, if the server likes.",
                        ["require", "verify-ca", "verify-full", "prefer", "disable"],
                    ),
                    "sslrootcert": _text("Authority", "File with the certificate to verify by."),
                },
                "ui-field-behaviour": {
                    "hidden-fields": ["extra"],
                    "relabeling": {"schema": "Database"},
                    "placeholders": {"login": "a login that may only read"},
                },
            },
        ],
    }


def _choice(label: str, description: str, values: list[str]) -> dict[str, Any]:
    schema = {"type": ["string", "null"], "enum": values}
    return {"label": label, "description": description, "schema": schema}


def _text(label: str, description: str, *, secret: bool = False) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": ["string", "null"]}
    if secret:
        schema["format"] = "password"
    return {"label": label, "description": description, "schema": schema}
