"""Turn Airflow's connections into ours; the only code that knows Airflow's form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from include.alerts import CONNECTION as ALERTS
from include.alerts import Channel, Message, open_channel
from include.connections import Credentials, connection_id
from include.destinations import Destination, open_destination
from include.errors import BadInput
from include.sources.base import Place, Source


class DestinationHook(BaseHook):
    """Open the destination that a connection's type names.

    The password is the secret; the options of the form, in the extra, say which account.
    """

    conn_name_attr = "destination_conn_id"

    def __init__(self, destination_conn_id: str) -> None:
        super().__init__()
        self.destination_conn_id = destination_conn_id

    def credentials(self) -> Credentials:
        """The connection as the destinations know it."""
        return source_credentials(self.destination_conn_id)

    def get_conn(self) -> Destination:
        """The destination, ready to be called. Raises `BadInput` if the connection is short."""
        kind = self.get_connection(self.destination_conn_id).conn_type
        return open_destination(kind, self.credentials())

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of the connection's form says."""
        try:
            return self.get_conn().test_connection()
        except Exception as error:
            return False, str(error)


class MailchimpHook(DestinationHook):
    """A Mailchimp list: API key, list id."""

    conn_type = "mailchimp"
    default_conn_name = "mailchimp_default"
    hook_name = "Mailchimp"

    def __init__(self, destination_conn_id: str = default_conn_name) -> None:
        super().__init__(destination_conn_id)


class MetaHook(DestinationHook):
    """A Meta ad account: access token, ad account id."""

    conn_type = "meta"
    default_conn_name = "meta_default"
    hook_name = "Meta Ads"

    def __init__(self, destination_conn_id: str = default_conn_name) -> None:
        super().__init__(destination_conn_id)


class GoogleHook(DestinationHook):
    """A Google Ads account: key of a service account, customer id."""

    conn_type = "google"
    default_conn_name = "google_default"
    hook_name = "Google Customer Match"

    def __init__(self, destination_conn_id: str = default_conn_name) -> None:
        super().__init__(destination_conn_id)


class TikTokHook(DestinationHook):
    """A TikTok ad account: access token, advertiser id."""

    conn_type = "tiktok"
    default_conn_name = "tiktok_default"
    hook_name = "TikTok Ads"

    def __init__(self, destination_conn_id: str = default_conn_name) -> None:
        super().__init__(destination_conn_id)


class WebhookHook(DestinationHook):
    """A receiver of signed calls: its address, the secret that signs."""

    conn_type = "webhook"
    default_conn_name = "webhook_default"
    hook_name = "Webhook"

    def __init__(self, destination_conn_id: str = default_conn_name) -> None:
        super().__init__(destination_conn_id)


class FileDropHook(DestinationHook):
    """A folder or an object store that files are left in."""

    conn_type = "file_drop"
    default_conn_name = "file_drop_default"
    hook_name = "File drop"

    def __init__(self, destination_conn_id: str = default_conn_name) -> None:
        super().__init__(destination_conn_id)


class SourceHook(BaseHook):
    """Try the connection that sources of one type sign in with.

    `options` make the smallest declaration of such a source. What a source of `sources.yml` reads
    is its own business; see `source_credentials`.
    """

    conn_name_attr = "source_conn_id"
    conn_type: str
    options: ClassVar[Mapping[str, Any]] = {"grain": "order"}

    def __init__(self, source_conn_id: str) -> None:
        super().__init__()
        self.source_conn_id = source_conn_id

    def get_conn(self) -> Source:
        """A source that reads through the connection."""
        kind = Source.registry[self.conn_type]
        told = {"name": "tested", "type": self.conn_type, "connection": self.source_conn_id}
        place = Place(Path(), Path(), source_credentials)
        return kind(kind.Options.model_validate({**told, **self.options}), place)

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of the connection's form says."""
        try:
            return self.get_conn().test_connection()
        except Exception as error:
            return False, str(error)


class ShopifyHook(SourceHook):
    """A Shopify shop: its own address, an access token of the Admin API."""

    conn_type = "shopify"
    default_conn_name = "shopify_default"
    hook_name = "Shopify"

    def __init__(self, source_conn_id: str = default_conn_name) -> None:
        super().__init__(source_conn_id)


class WooCommerceHook(SourceHook):
    """A shop on WooCommerce: its address, a consumer key and secret of the REST API."""

    conn_type = "woocommerce"
    default_conn_name = "woocommerce_default"
    hook_name = "WooCommerce"

    def __init__(self, source_conn_id: str = default_conn_name) -> None:
        super().__init__(source_conn_id)


class DatabaseHook(SourceHook):
    """A shop's database on PostgreSQL or MySQL: where it is, and a login that may read."""

    conn_type = "database"
    default_conn_name = "database_default"
    hook_name = "Shop database"
    options: ClassVar[Mapping[str, Any]] = {
        "grain": "product",
        "query": "select 1 as sku",
        "columns": {"sku": "sku"},
    }

    def __init__(self, source_conn_id: str = default_conn_name) -> None:
        super().__init__(source_conn_id)


class AlertsHook(BaseHook):
    """Where alerts go: Slack, a webhook, or mail."""

    conn_name_attr = "alerts_conn_id"
    conn_type = "alerts"
    default_conn_name = ALERTS
    hook_name = "Alerts"

    def __init__(self, alerts_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.alerts_conn_id = alerts_conn_id

    def get_conn(self) -> Channel:
        """The channel. Raises `BadInput` if the connection is short."""
        return open_channel(_credentials(self.get_connection(self.alerts_conn_id)))

    def test_connection(self) -> tuple[bool, str]:
        """Send a first message; what the Test button of the connection's form says."""
        try:
            self.get_conn().tell(Message("Regulars can be heard", "This is a test.", "test"))
        except Exception as error:
            return False, str(error)
        return True, "The message was accepted."


def find_credentials(connection_id: str) -> Credentials | None:
    """Any of Airflow's connections, of whatever type it is; None if there is none of that id."""
    try:
        return _credentials(BaseHook.get_connection(connection_id))
    except AirflowNotFoundException:
        return None


def source_credentials(connection_id: str) -> Credentials:
    """What signs in at a source. Raises `BadInput` if there is no such connection."""
    found = find_credentials(connection_id)
    if found is None:
        raise BadInput(f"no connection {connection_id}: add it in Airflow (Admin, Connections)")
    return found


def credentials(destination: str) -> Credentials:
    """What signs in at a destination: its connection `<destination>_default`. Raises `BadInput`."""
    return source_credentials(connection_id(destination))


def _credentials(connection: Connection) -> Credentials:
    """A connection as `include` knows it; an option left empty is none.

    Airflow masks the password, and options named like secrets, as soon as they are read.
    """
    options = connection.extra_dejson.items()
    return Credentials(
        password=connection.password,
        login=connection.login,
        host=connection.host,
        port=connection.port,
        schema=connection.schema or None,
        kind=connection.conn_type,
        extra={name: str(value) for name, value in options if value not in (None, "")},
    )
