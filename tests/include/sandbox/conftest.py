from __future__ import annotations

import hashlib
from collections.abc import Callable

import mailchimp_marketing
import pytest
from facebook_business.api import FacebookAdsApi
from facebook_business.session import FacebookSession

from tests.sandbox_server import start_sandbox


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server):
    server.reset()
    return server


@pytest.fixture
def connect_mailchimp(sandbox) -> Callable[..., mailchimp_marketing.Client]:
    """The official SDK, pointed at the sandbox."""

    def connect(key: str = "0123456789abcdef0123456789abcdef-us1") -> mailchimp_marketing.Client:
        client = mailchimp_marketing.Client({"api_key": key, "server": "us1"})
        client.api_client.host = sandbox.mailchimp_url
        return client

    return connect


@pytest.fixture
def mailchimp(connect_mailchimp):
    return connect_mailchimp()


@pytest.fixture
def connect_meta(sandbox) -> Callable[..., FacebookAdsApi]:
    """The official SDK, pointed at the sandbox."""

    def connect(token: str = "a-token") -> FacebookAdsApi:
        session = FacebookSession(access_token=token)
        session.GRAPH = sandbox.meta_url
        return FacebookAdsApi(session)

    return connect


@pytest.fixture
def meta(connect_meta):
    return connect_meta()


@pytest.fixture
def sha():
    """The SHA-256 of a text, as Meta wants it."""
    return lambda text: hashlib.sha256(text.encode()).hexdigest()
