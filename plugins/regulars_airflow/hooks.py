"""Turn an Airflow connection into an open destination; the only code that knows Airflow's form."""

from __future__ import annotations

from airflow.sdk import BaseHook

from include.connections import Credentials, connection_id
from include.destinations import Destination, open_destination


class DestinationHook(BaseHook):
    """Open the destination that a connection's type names.

    The password is the secret; the options of the form, in the extra, say which account.
    """

    conn_name_attr = "destination_conn_id"

    def __init__(self, destination_conn_id: str) -> None:
        super().__init__()
        self.destination_conn_id = destination_conn_id

    def credentials(self) -> Credentials:
        """The connection as the destinations know it; an option left empty is none."""
        connection = self.get_connection(self.destination_conn_id)
        options = connection.extra_dejson.items()
        return Credentials(
            password=connection.password,
            login=connection.login,
            host=connection.host,
            extra={name: str(value) for name, value in options if value not in (None, "")},
        )

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


def credentials(destination: str) -> Credentials:
    """What signs in at a destination: its connection `<destination>_default`."""
    return DestinationHook(connection_id(destination)).credentials()
