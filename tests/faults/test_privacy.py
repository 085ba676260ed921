"""Cases 50 to 55: nobody's data and no secret get out, whoever asks for them, and however."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import psutil
import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError
from airflow.sdk.log import redact
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from include import landing
from include.connections import Credentials, checked_url, read_connection
from include.destinations import open_destination
from include.errors import BadInput, Reauthorise, RegularsError
from include.local.environment import stack_environment
from include.settings import Settings
from include.sources.shopify_admin import Admin
from include.sources.woocommerce import _Shop as WooCommerceShop
from include.warehouse import visit
from regulars_airflow import syncing
from regulars_airflow.hooks import credentials as airflow_credentials
from regulars_airflow.runs import audience as audience_of_run
from tests.faults.planted import found, overhear
from tests.include.activation.shop import Person, Shop, people
from tests.listeners import listen_to_http
from tests.plugins.conftest import connect
from tests.sandbox_server import Sandbox, free_port, start_sandbox

PROJECT = Path(__file__).parents[2]
SECRET = "5ec2e7canary0ffee-us1"
APP_SECRET = "app-5ec2e7canary0ffee"
CANARY = Person(
    "shop:canary", "coal.mine@shop.test", "+14155552671", "Canaria", "Coalmine", country="US"
)
FAKE = Person("shop:fake", "coal.mine@example.com", None, "Canaria", "Coalmine")
PLANTED = ("coal.mine", "coalmine", "canaria", "4155552671", "5ec2e7canary")
QUOTED = f"{CANARY.email} ({CANARY.first_name} {CANARY.last_name}, {SECRET})"
both = pytest.mark.parametrize("destination", ["mailchimp", "meta"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def shop(server: Sandbox, tmp_path: Path) -> Shop:
    """A shop with canaries among its people and its secrets."""
    server.reset()
    shop = Shop(tmp_path / "home", server)
    mailchimp, meta = shop.credentials["mailchimp"], shop.credentials["meta"]
    shop.credentials = {
        "mailchimp": replace(mailchimp, password=SECRET),
        "meta": replace(
            meta,
            password=SECRET,
            extra={**meta.extra, "app_id": "1", "app_secret": APP_SECRET},
        ),
    }
    return shop


def planted_in(text: str) -> list[str]:
    return [canary for canary in PLANTED if canary in text.lower()]


ANSWERS = {
    "an error whose title and detail quote": {
        "status": 400,
        "body": {"title": QUOTED, "detail": QUOTED, "error": {"message": QUOTED, "code": 100}},
    },
    "an error page that quotes": {"status": 502, "body": f"<h1>{QUOTED}</h1>"},
    "an answer of another form that quotes": {"status": 200, "body": [QUOTED]},
    "rejected rows that quote": {
        "status": 200,
        "body": {
            "errors": [{"email_address": CANARY.email, "error": QUOTED, "error_code": QUOTED}],
            "new_members": [],
            "updated_members": [],
            "num_received": QUOTED,
            "invalid_entry_samples": {"0": QUOTED},
        },
    },
}


@both
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_case_50_a_vendor_that_quotes_people_and_secrets_is_not_quoted(
    shop: Shop, destination: str, answer: dict
):
    shop.publish([CANARY])
    path = "lists/regulars$" if destination == "mailchimp" else "/users"
    shop.sandbox.fault(action="status", path=path, method="POST", times=None, **answer)
    with overhear() as heard, heard.errors():
        shop.sync(destination)
    assert "batch" in str(heard).lower()
    assert planted_in(str(heard)) == []
    assert found(shop.settings.home, PLANTED) == []


@both
def test_case_50_a_whole_sync_says_and_keeps_nothing_of_anybody(shop: Shop, destination: str):
    with overhear() as heard:
        shop.publish([CANARY, FAKE, *people(range(3))])
        shop.sync(destination)
        shop.publish(people(range(2)), others=[CANARY, FAKE])
        shop.sync(destination)
    assert f"/{destination}/" in str(heard)
    assert planted_in(str(heard)) == []
    home = shop.settings.home
    assert found(home, PLANTED) == []
    assert found(home, ["shop:canary"])
    assert found(home, PLANTED, leave_out=()) != []


def test_case_50_a_file_that_cannot_be_read_is_told_by_its_lines_and_not_by_its_people(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shop_files = ingestible(tmp_path, broken=True)
    monkeypatch.chdir(tmp_path)
    with overhear() as heard, heard.errors():
        landing.ingest(shop_files, None, heard.texts.append)
    assert "people.csv, row 2, column 'mail'" in str(heard.raised)
    assert planted_in(str(heard)) == []


@both
def test_case_51_a_refused_secret_is_told_nowhere_nor_sent_in_an_address(
    shop: Shop, destination: str
):
    shop.publish([CANARY])
    shop.sandbox.fault(action="status", status=401, path=destination, times=None)
    with overhear() as heard, heard.errors():
        shop.sync(destination)
    assert [type(error) for error in heard.raised] == [Reauthorise]
    assert f"/{destination}/" in str(heard)
    assert planted_in(str(heard)) == []
    assert found(shop.settings.home, PLANTED) == []


@both
def test_case_51_airflow_masks_the_secrets_of_a_connection(
    shop: Shop, destination: str, monkeypatch: pytest.MonkeyPatch
):
    connect(monkeypatch, destination, shop.credentials[destination])
    known = airflow_credentials(destination)
    assert known.password == SECRET
    for secret in {SECRET, known.extra.get("app_secret", SECRET)}:
        assert redact(f"refused: {secret}") == "refused: ***"
    assert planted_in(repr(known)) == []


@pytest.mark.parametrize(
    "text",
    [
        f"mailchimp://user:{SECRET}@[us1/?list_id=1",
        f'{{"conn_type": "mailchimp", "password": "{SECRET}", "extra": "{{{SECRET}"}}',
        f'{{"password": "{SECRET}", "port": "{SECRET}"}}',
        SECRET,
    ],
)
def test_case_51_a_connection_that_cannot_be_read_keeps_its_secret(text: str):
    with overhear() as heard, heard.errors():
        read_connection("mailchimp_default", {"AIRFLOW_CONN_MAILCHIMP_DEFAULT": text})
    assert "AIRFLOW_CONN_MAILCHIMP_DEFAULT" in str(heard.raised)
    assert planted_in(str(heard)) == []


def test_case_51_a_secret_in_an_address_is_refused_and_not_repeated():
    for url in (f"https://key:{SECRET}@us1.api.mailchimp.com", f"https://{SECRET}@x.test"):
        with overhear() as heard, heard.errors():
            checked_url(url, "mailchimp_default")
        assert "mailchimp_default" in str(heard.raised)
        assert planted_in(str(heard)) == []


HOSTILE = (
    "../../../etc/passwd",
    "vips/../../x",
    "vips'; drop table contacts; --",
    "vips\nERROR a line of its own",
    "{{ conn.mailchimp_default.password }}",
    "VIPS",
    "vips ",
    "\x00",
    "%2e%2e%2f",
    "",
)


@pytest.fixture(scope="module")
def dag():
    return DagBag(dag_folder=str(PROJECT / "dags/sync_audiences.py")).dags["sync_audiences"]


@settings(max_examples=200, deadline=None)
@given(value=st.one_of(st.text(), st.integers(), st.booleans(), st.lists(st.text()), st.floats()))
@example(value="vips'; drop table contacts; --")
def test_case_52_parameters_are_one_of_a_list_or_refused(dag, value: object):
    for name in ("audience", "dry_run"):
        allowed = dag.params.get_param(name).schema.get("enum", [True, False])
        if not any(value == one and type(value) is type(one) for one in allowed):
            with pytest.raises(ParamValidationError):
                dag.params.get_param(name).resolve(value)


@settings(max_examples=50, deadline=None, suppress_health_check=[*HealthCheck])
@given(name=st.one_of(st.sampled_from(HOSTILE), st.text()))
def test_case_52_a_run_for_an_audience_that_nobody_declared_touches_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv("REGULARS_HOME", str(shop.settings.home))
    before = len(shop.sandbox.calls())
    run = SimpleNamespace(partition_key=name)
    with pytest.raises(BadInput) as error:
        syncing.plan(audience_of_run(run, {"audience": None}), "mailchimp")
    assert "\n" not in str(error.value)
    assert not shop.settings.home.exists()
    assert len(shop.sandbox.calls()) == before


@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_case_53_no_redirect_is_followed_with_our_secret(shop: Shop, destination: str, status: int):
    shop.publish([CANARY])
    with listen_to_http() as elsewhere:
        redirect = {"status": status, "headers": {"Location": f"{elsewhere.url}/taken"}}
        shop.sandbox.fault(action="status", path=destination, times=None, **redirect)
        with overhear() as heard, heard.errors():
            shop.sync(destination)
    assert heard.raised
    assert elsewhere.requests == []


def shopify(url: str) -> None:
    with_token = Credentials(SECRET, extra={"base_url": url})
    Admin(with_token, "shopify_default").ask("query shop { shop { name } }")


def woocommerce(url: str) -> None:
    known = Credentials(SECRET, login="ck_1", extra={"base_url": url})
    with WooCommerceShop(known, "woocommerce_default") as there:
        there.get("orders")


SHOPS: dict[str, Callable[[str], None]] = {
    "shopify": shopify,
    "woocommerce": woocommerce,
}


@pytest.mark.parametrize("ask", SHOPS.values(), ids=SHOPS.keys())
def test_case_53_a_shop_that_redirects_gets_no_second_call(ask: Callable[[str], None]):
    with listen_to_http() as shop, listen_to_http() as elsewhere:
        shop.status, shop.headers = 302, {"Location": f"{elsewhere.url}/taken"}
        with pytest.raises(RegularsError):
            ask(shop.url)
    assert shop.requests
    assert elsewhere.requests == []


ADDRESSES = (
    "http://us1.api.mailchimp.com",
    "https://169.254.169.254/latest/meta-data",
    "https://metadata.google.internal",
    "https://10.0.0.1",
    "https://[::ffff:127.0.0.1]",
    "https://2130706433",
    "https://127.1",
    "https://0x7f.0x1",
    "https://printer.local",
    "https://intranet",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "https://user@us1.api.mailchimp.com",
    "https://[",
    "",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_case_53_no_connection_leads_into_a_private_network(address: str):
    with pytest.raises(BadInput, match="some_connection"):
        checked_url(address, "some_connection")


@pytest.mark.parametrize(
    "address",
    [
        *ADDRESSES[:-1],
        "https://evil.test",
        "https://api.mailchimp.com.evil.test",
        "https://evilapi.mailchimp.com",
        "https://graph.facebook.com.evil.test",
        "https://us1.api.mailchimp.com:8443",
        "https://graph.facebook.com:8443",
    ],
)
@both
def test_case_53_a_connection_leads_to_its_own_vendor_only(destination: str, address: str):
    extra = {"list_id": "1", "ad_account_id": "act_1", "base_url": address}
    with pytest.raises(BadInput, match=f"{destination}_default") as error:
        open_destination(destination, Credentials(SECRET, extra=extra))
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("host", ["evil.test", "x.myshopify.com.evil.test", "10.0.0.1"])
def test_case_53_a_shopify_shop_is_at_shopify(host: str):
    for known in (
        Credentials(SECRET, host=host),
        Credentials(SECRET, extra={"base_url": f"https://{host}"}),
    ):
        with pytest.raises(BadInput):
            Admin(known, "shopify_default")


def test_case_53_what_the_vendors_themselves_use_is_let_through():
    known = {"list_id": "1", "ad_account_id": "act_1"}
    vendors = {
        "mailchimp": "https://us21.api.mailchimp.com/3.0",
        "meta": "https://graph.facebook.com",
    }
    for destination, url in vendors.items():
        open_destination(destination, Credentials(SECRET, extra={**known, "base_url": url}))
    Admin(Credentials(SECRET, host="shop.myshopify.com"), "shopify_default").close()
    assert checked_url("https://shop.example.com/wp/", "x") == "https://shop.example.com/wp"


def ingestible(folder: Path, *, broken: bool = False):
    """A shop of two files, one of which names the canary; `broken`: where it cannot be read."""
    (folder / "orders.csv").write_text("order,at,customer,amount\n1,2026-01-01 10:00,7,20.00\n")
    lines = ["customer,email,mail,ads", f"7,{CANARY.email},true,true"]
    if broken:
        lines.append(f"8,{CANARY.email},{CANARY.email},{CANARY.first_name}")
    (folder / "people.csv").write_text("\n".join(lines) + "\n")
    (folder / "sources.yml").write_text(SOURCES)
    return Settings(home=folder / "home", sources=folder / "sources.yml", threads=1)


SOURCES = """
sources:
  - name: shop
    type: files
    path: orders.csv
    grain: order
    time_zone: Europe/Berlin
    currency: EUR
    columns: {order_id: order, ordered_at: at, customer_key: customer, gross_amount: amount}
  - name: people
    type: files
    path: people.csv
    grain: contact
    customers_of: shop
    columns: {customer_key: customer, email: email, has_email_consent: mail, has_ads_consent: ads}
"""


@pytest.fixture
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("umask", [0o022, 0o000], ids=["022", "000"], indirect=True)
def test_case_54_what_is_kept_is_its_owners_alone_whatever_the_umask(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shop.publish([CANARY, FAKE])
    shop.sync("mailchimp")
    shop.sync("meta")
    assert open_to_others(shop.settings.home) == []
    monkeypatch.chdir(tmp_path)
    landing.ingest(ingestible(tmp_path), None)
    with pytest.raises(BadInput):
        landing.ingest(ingestible(tmp_path, broken=True), None)
    kept = [path.name for path in shop.settings.home.rglob("*")]
    assert {"state.parquet", "warehouse.duckdb"} <= {*kept}
    assert open_to_others(shop.settings.home) == []


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("umask", [0o000], indirect=True)
def test_case_54_what_duckdb_writes_beside_the_warehouse_is_its_owners_alone(tmp_path: Path):
    with visit(Settings(home=tmp_path / "home", threads=1)) as warehouse:
        warehouse.connection.execute("create table contacts as select 'somebody' as email")
        assert (tmp_path / "home/warehouse.duckdb.wal").exists()
        assert open_to_others(tmp_path / "home") == []


def open_to_others(folder: Path) -> list[str]:
    """What below a folder, itself included, others than the owner may read or write."""
    return [
        f"{stat.filemode(path.stat().st_mode)} {path}"
        for path in (folder, *folder.rglob("*"))
        if path.stat().st_mode & 0o077
    ]


def test_case_54_the_sandbox_listens_to_this_machine_alone(server: Sandbox):
    port = httpx.URL(server.url).port
    ours = [one for one in psutil.net_connections("inet") if one.laddr and one.laddr.port == port]
    assert {one.laddr.ip for one in ours if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_case_54_the_local_airflow_listens_to_this_machine_alone(shop: Shop):
    environment = stack_environment(shop.settings, free_port())
    assert environment["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert environment["AIRFLOW__API__BASE_URL"].startswith("http://127.0.0.1:")


PINNED = re.compile(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", re.MULTILINE)


def bill_of(lock: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROJECT / ".ci/sbom.py"), str(lock)]
    return subprocess.run(command, capture_output=True, text=True)


def test_case_55_everything_that_is_installed_is_pinned_hashed_and_in_the_bill_of_materials():
    lock = PROJECT / "requirements.txt"
    made = bill_of(lock)
    assert made.returncode == 0, made.stderr
    bill = json.loads(made.stdout)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    locked = {*PINNED.findall(lock.read_text())}
    listed = {(component["name"], component["version"]) for component in bill["components"]}
    assert listed == locked
    assert len(locked) > 100
    hashes = [one["content"] for component in bill["components"] for one in component["hashes"]]
    assert sorted(hashes) == sorted(re.findall("sha256:([0-9a-f]{64})", lock.read_text()))
    refs = {component["bom-ref"] for component in bill["components"]}
    assert "pkg:pypi/apache-airflow@3.3.2" in refs
    depends = {entry["ref"]: {*entry["dependsOn"]} for entry in bill["dependencies"]}
    assert set().union(*depends.values()) == refs
    wanted = re.findall(r"^([a-z0-9-]+)", (PROJECT / "requirements.in").read_text(), re.MULTILINE)
    ours = {ref.removeprefix("pkg:pypi/").partition("@")[0] for ref in depends["regulars"]}
    assert ours == {*wanted}
    assert made.stdout == bill_of(lock).stdout


@pytest.mark.parametrize(
    ("line", "said"),
    [("requests>=2", "not pinned: requests>=2"), ("requests==2.33.0", "without a hash: requests")],
)
def test_case_55_what_is_not_pinned_or_has_no_hash_is_refused(tmp_path: Path, line: str, said: str):
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"{line}\n    # via -r requirements.in\n")
    made = bill_of(lock)
    assert made.returncode != 0
    assert said in made.stderr
