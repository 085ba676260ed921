from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from include import raw_tables
from include.errors import BadInput, Retry, Stop
from include.landing import ingest, rebuild, replay
from include.quarantine import Quarantine
from include.settings import PROJECT, Settings
from include.sources.documents import ORDER
from include.store import Store
from include.warehouse import visit
from tests.include.sources.replies import DECLARATION, credentials, open_shop
from tests.include.sources.shops import ANN, BEN, HEADER, LINES, declare, raw, write_csv

CONTACTS = {
    "name": "crm",
    "type": "files",
    "path": "contacts.csv",
    "grain": "contact",
    "customers_of": "shop",
    "columns": {
        "customer_key": "key",
        "email": "email",
        "has_email_consent": "consent",
        "suppressed_reason": "suppressed",
        "updated_at": "updated",
    },
}
LOAD = """
import sys
from pathlib import Path
from include.landing import ingest
from include.settings import Settings
home, sources = map(Path, sys.argv[1:])
ingest(Settings(home=home, sources=sources, lock_wait_seconds=0))
"""
CONTACT_HEADER = ["key", "email", "consent", "suppressed", "updated"]


@pytest.fixture
def settings(tmp_path):
    settings = declare(tmp_path, LINES)
    write_csv(tmp_path / "export" / "a.csv", [ANN, BEN])
    return settings


@pytest.fixture
def interface(tmp_path):
    """A shop behind an interface: its settings, the shop, and a function that loads it."""
    settings = declare(tmp_path, DECLARATION)

    with open_shop() as shop:

        def load(progress=None, **options):
            declare(tmp_path, DECLARATION | options)
            [loaded] = ingest(settings, None, progress, lambda _: credentials(shop))
            return loaded

        yield settings, shop, load


def test_an_order_line_arrives_with_all_that_follows_from_it(settings):
    ingest(settings)
    ann = next(line for line in raw(settings, "order_lines") if line["sku"] == "mug")
    assert (ann["source"], ann["order_id"], ann["customer_id"]) == ("shop", "shop:1", "shop:ann")
    assert (str(ann["gross_amount"]), str(ann["discount_amount"])) == ("9.0000", "0.0000")
    assert ann["currency"] == "EUR"


def test_landing_leaves_nothing_but_tables_in_the_warehouse(settings):
    ingest(settings)
    with visit(settings) as warehouse:
        views = warehouse.connection.sql("select view_name from duckdb_views() where not internal")
        assert views.fetchall() == []


def test_row_numbers_count_within_their_file(settings, tmp_path):
    write_csv(tmp_path / "export" / "b.csv", [["3", *ANN[1:]], ["4", *BEN[1:]]])
    ingest(settings)
    with visit(settings, read_only=True) as warehouse:
        places = warehouse.connection.sql(
            "select file_name, row_number, order_id from raw.order_lines order by all"
        ).fetchall()
    assert places == [
        ("a.csv", 1, "shop:1"),
        ("a.csv", 2, "shop:2"),
        ("b.csv", 1, "shop:3"),
        ("b.csv", 2, "shop:4"),
    ]


def test_a_file_that_comes_again_corrects_the_orders_in_it(settings, tmp_path):
    ingest(settings)
    corrected = [*ANN[:4], "3", ANN[5]]
    write_csv(tmp_path / "export" / "a.csv", [corrected])
    ingest(settings)
    quantities = {line["order_id"]: line["quantity"] for line in raw(settings, "order_lines")}
    assert len(raw(settings, "order_lines")) == 2
    assert quantities == {"shop:1": 3, "shop:2": 1}

    rows = raw(settings, "order_lines")
    rebuild(settings)
    assert raw(settings, "order_lines") == rows


def test_an_older_version_of_a_file_that_arrives_late_changes_nothing(settings, tmp_path):
    ingest(settings)
    rows = raw(settings, "order_lines")
    file = write_csv(tmp_path / "export" / "a.csv", [[*ANN[:4], "3", ANN[5]]])
    os.utime(file, (1_000_000_000, 1_000_000_000))
    ingest(settings)
    assert raw(settings, "order_lines") == rows


def test_a_changed_mapping_reads_the_landed_files_again(settings, tmp_path):
    ingest(settings)
    (tmp_path / "export" / "a.csv").unlink()
    write_csv(tmp_path / "export" / "b.csv", [["3", *ANN[1:]]])
    columns = LINES["columns"] | {"country": {"value": "DE"}}
    changed = declare(tmp_path, LINES | {"columns": columns})
    assert ingest(changed)[0].files == 2
    assert [line["country"] for line in raw(changed, "order_lines")] == ["DE"] * 3


def test_changed_rules_are_rewritten_without_reading_anything_again(settings, tmp_path):
    ingest(settings)
    rules = {"cancellation_prefix": "C", "non_product_skus": ["POST", "M"], "sku_case": "upper"}
    rules |= {"excluded_order_prefix": ["A"]}
    changed = declare(tmp_path, LINES | {"rules": rules | {"write_off_without_price": True}})
    assert ingest(changed)[0].files == 0
    assert {(row["rule"], row["value"]) for row in raw(changed, "source_rules")} == {
        ("cancellation_prefix", "C"),
        ("excluded_order_prefix", "A"),
        ("non_product_skus", "POST"),
        ("non_product_skus", "M"),
        ("sku_case", "upper"),
        ("write_off_without_price", "true"),
    }


def test_parts_of_a_file_that_overlap_are_told_once(settings, tmp_path):
    rules = {"overlapping_parts": "sheet"}
    overlapping = declare(tmp_path, LINES | {"rules": rules})
    rows = [[*ANN, "one"], [*ANN, "one"], [*ANN, "two"], [*ANN, "two"], [*BEN, "two"]]
    write_csv(tmp_path / "export" / "a.csv", rows, [*HEADER, "sheet"])
    ingest(overlapping)
    assert sorted(line["sku"] for line in raw(overlapping, "order_lines")) == ["cup", "mug", "mug"]


def test_contacts_belong_to_the_customers_of_the_shop_and_the_newest_wins(settings, tmp_path):
    settings = declare(tmp_path, LINES, CONTACTS)
    rows = [
        ["ann", "new@shoppers.regulars.example", "true", "", "2026-02-01"],
        ["ann", "old@shoppers.regulars.example", "false", "", "2026-01-01"],
        ["ben", "ben@shoppers.regulars.example", "", "unsubscribed", ""],
    ]
    write_csv(tmp_path / "contacts.csv", rows, CONTACT_HEADER)
    ingest(settings)
    ann, ben = raw(settings, "contacts")
    assert (ann["source"], ann["customer_id"], ben["customer_id"]) == (
        "crm",
        "shop:ann",
        "shop:ben",
    )
    assert ann["email"].startswith("new@")
    assert (ann["has_email_consent"], ben["has_email_consent"]) == (True, None)
    assert ben["suppressed_reason"] == "unsubscribed"

    write_csv(tmp_path / "contacts.csv", [["ben", "", "", "vanished", ""]], CONTACT_HEADER)
    with pytest.raises(BadInput, match="row 1, column 'suppressed'"):
        ingest(settings)


PEOPLE = CONTACTS | {
    "columns": {"customer_key": "key", "email": "email", "phone": "phone", "country": "country"}
}


@pytest.mark.parametrize(
    ("email", "key"),
    [
        (" Ann@Shoppers.Regulars.Example ", "ann@shoppers.regulars.example"),
        ("ann+tag@shoppers.regulars.example", "ann+tag@shoppers.regulars.example"),
        ("MU\u0308LLER@shoppers.regulars.example", "m\u00fcller@shoppers.regulars.example"),
        ("ann@localhost", None),
        ("ann@a.example; ben@b.example", None),
        ("ann@a..example", None),
        (f"{'a' * 250}@b.example", None),
        ("", None),
    ],
)
def test_an_address_is_known_by_its_plain_form_if_it_is_one(email, key, tmp_path):
    settings = declare(tmp_path, LINES, PEOPLE)
    rows = [["ann", email, "", ""]]
    write_csv(tmp_path / "contacts.csv", rows, ["key", "email", "phone", "country"])
    ingest(settings, ["crm"])
    [ann] = raw(settings, "contacts")
    assert ann["email_key"] == key


@pytest.mark.parametrize(
    ("phone", "country", "default", "key"),
    [
        ("+4930123456", "", None, "+4930123456"),
        ("0049 (0)30 123456", "DE", None, "+4930123456"),
        ("030/123456", "de", None, "+4930123456"),
        ("030 123456", "Germany", "DE", "+4930123456"),
        ("(202) 555-0100 ext. 7", "US", "DE", "+12025550100"),
        ("030 123456", "", None, None),
        ("12", "DE", None, None),
        ("call me", "DE", "DE", None),
    ],
)
def test_a_phone_number_is_known_by_its_international_form(phone, country, default, key, tmp_path):
    settings = declare(tmp_path, LINES, PEOPLE | {"phone_country": default})
    rows = [["ann", "", phone, country], ["ben", "", phone, country], ["eve", "", "", ""]]
    write_csv(tmp_path / "contacts.csv", rows, ["key", "email", "phone", "country"])
    ingest(settings, ["crm"])
    assert [row["phone_key"] for row in raw(settings, "contacts")] == [key, key, None]


OTHERS = {
    "consent": (
        "consents",
        {
            "customer_key": "ann",
            "email": "ann@shoppers.regulars.example",
            "channel": "sms",
            "state": "withdrawn",
            "changed_at": "2026-01-05T10:00:00Z",
            "jurisdiction": "EU",
        },
        {"customer_id": "people:ann", "channel": "sms", "changed_at": datetime(2026, 1, 5, 10)},
    ),
    "survey_answer": (
        "survey_answers",
        {
            "answer_id": "7",
            "email": "ann@shoppers.regulars.example",
            "kind": "nps",
            "score": "9",
            "order_id": "1",
            "answered_at": "2026-01-05",
        },
        {"answer_id": "people:7", "order_id": "people:1", "score": 9},
    ),
    "points_redemption": (
        "points_redemptions",
        {
            "redemption_id": "3",
            "customer_key": "ann",
            "points": "500",
            "redeemed_at": "2026-01-05",
            "order_id": "1",
        },
        {
            "redemption_id": "people:3",
            "customer_id": "people:ann",
            "points": 500,
            "order_id": "people:1",
        },
    ),
    "ad_spend": (
        "ad_spend",
        {
            "spend_date": "2026-01-05",
            "platform": "meta",
            "campaign_id": "c1",
            "currency": "EUR",
            "amount": "12.5",
            "clicks": "40",
        },
        {"spend_date": date(2026, 1, 5), "amount": Decimal("12.5"), "clicks": 40},
    ),
    "erasure_request": (
        "erasure_requests",
        {"request_id": "9", "phone": "+4930123456", "requested_at": "2026-01-05"},
        {"request_id": "people:9", "phone_key": "+4930123456"},
    ),
    "exchange_rate": (
        "exchange_rates",
        {
            "currency": "USD",
            "base_currency": "EUR",
            "rate_date": "2026-01-05",
            "rate": "0.91234567",
        },
        {"currency": "USD", "rate": Decimal("0.91234567")},
    ),
    "product": (
        "products",
        {"sku": "mug", "unit_cost": "2.2", "stock_quantity": "12", "is_active": "true"},
        {"unit_cost": Decimal("2.2"), "stock_quantity": 12, "is_active": True},
    ),
    "contact": (
        "contacts",
        {"customer_key": "ann", "has_sms_consent": "true", "sms_consent_at": "2026-01-05"},
        {"has_sms_consent": True, "sms_consent_at": datetime(2026, 1, 5)},
    ),
}


@pytest.mark.parametrize("grain", OTHERS)
def test_every_kind_of_record_comes_in_once_and_its_newest_version_wins(grain, tmp_path):
    table, record, said = OTHERS[grain]
    entry = {"name": "people", "type": "files", "path": "export", "grain": grain}
    columns = {field: field for field in (*record, "updated_at")}
    settings = declare(tmp_path, entry | {"columns": columns})
    older, newer = [*record.values(), "2026-02-01"], [*record.values(), "2026-02-02"]
    write_csv(tmp_path / "export" / "a.csv", [newer], [*columns])
    ingest(settings)
    write_csv(tmp_path / "export" / "b.csv", [older, older], [*columns])
    ingest(settings)
    [row] = raw(settings, table)
    assert row | said == row
    assert (row["source"], row["updated_at"]) == ("people", datetime(2026, 2, 2))


@pytest.mark.parametrize("grain", ["consent", "survey_answer", "erasure_request"])
def test_what_is_said_of_a_person_says_of_whom(grain, tmp_path):
    _, record, _ = OTHERS[grain]
    person = {"customer_key", "email", "phone"}
    columns = {field: field for field in record if field not in person}
    entry = {"name": "people", "type": "files", "path": "export", "grain": grain}
    with pytest.raises(BadInput, match="one of customer_key, email, phone is required"):
        ingest(declare(tmp_path, entry | {"columns": columns}))


def test_a_bad_source_does_not_keep_the_others_from_loading(settings, tmp_path):
    settings = declare(tmp_path, CONTACTS, LINES)
    write_csv(tmp_path / "contacts.csv", [["ann", "", "perhaps", "", ""]], CONTACT_HEADER)
    with pytest.raises(BadInput, match=r"source crm loaded nothing.*row 1, column 'consent'"):
        ingest(settings)
    assert len(raw(settings, "order_lines")) == 2
    assert raw(settings, "contacts") == []


def test_only_the_named_sources_are_loaded(settings, tmp_path):
    settings = declare(tmp_path, CONTACTS, LINES)
    assert [load.source for load in ingest(settings, ["shop"])] == ["shop"]
    with pytest.raises(BadInput, match="no source 'shup'; there are: crm, shop"):
        ingest(settings, ["shup"])


def test_a_file_that_grows_while_it_is_copied_is_refused(settings, tmp_path):
    file = tmp_path / "export" / "a.csv"
    file.write_bytes(bytes(100_000_000))
    appending = (
        "import sys\nwith open(sys.argv[1], 'ab', buffering=0) as file:\n"
        " while True: file.write(b'0')"
    )
    with subprocess.Popen([sys.executable, "-c", appending, str(file)]) as writer:
        while file.stat().st_size == 100_000_000:
            time.sleep(0.01)
        try:
            with pytest.raises(BadInput, match=r"a\.csv: the file is still being written"):
                ingest(settings)
        finally:
            writer.kill()
    assert raw(settings, "order_lines") == []


def test_rebuilding_refuses_a_landing_file_that_was_tampered_with(settings):
    ingest(settings)
    rows = raw(settings, "order_lines")
    landed = next((Path(settings.store) / "landing/shop").glob("*.csv"))
    landed.write_bytes(landed.read_bytes().replace(b"4.50", b"9.50"))
    with pytest.raises(BadInput, match="is not what was landed"):
        rebuild(settings)
    assert raw(settings, "order_lines") == rows
    assert not list(settings.home.glob("*.rebuilding*"))


def test_a_warehouse_that_is_gone_is_not_begun_again(settings):
    ingest(settings)
    rows = raw(settings, "order_lines")
    landed = next((Path(settings.store) / "landing/shop").glob("*.csv"))
    content = landed.read_bytes()
    settings.warehouse_path.unlink()
    landed.write_bytes(b"")
    with pytest.raises(BadInput, match="is not what was landed"):
        rebuild(settings)
    for load in (ingest, replay):
        with pytest.raises(Stop, match=r"is gone.*--rebuild"):
            load(settings)
    # As dbt makes one.
    duckdb.connect(str(settings.warehouse_path)).close()
    with pytest.raises(Stop, match=r"is gone.*--rebuild"):
        ingest(settings)
    landed.write_bytes(content)
    rebuild(settings)
    assert raw(settings, "order_lines") == rows
    assert ingest(settings)[0].skipped == 1


def test_what_landed_since_is_merged_into_an_older_warehouse_that_was_put_back(settings, tmp_path):
    ingest(settings)
    older = settings.warehouse_path.read_bytes()
    export = tmp_path / "export"
    write_csv(export / "b.csv", [["3", *ANN[1:]]])
    ingest(settings)
    rows = raw(settings, "order_lines")
    (export / "b.csv").unlink()
    settings.warehouse_path.write_bytes(older)
    assert ingest(settings)[0].files == 1
    assert raw(settings, "order_lines") == rows
    assert ingest(settings)[0].files == 0


def test_what_comes_while_the_warehouse_is_rebuilt_waits_for_the_new_one(settings, tmp_path):
    ingest(settings)
    write_csv(tmp_path / "export" / "b.csv", [["3", *ANN[1:]]])
    command = [sys.executable, "-c", LOAD, str(settings.home), str(settings.sources)]
    told = []

    def meanwhile(message: str) -> None:
        if "merging" in message:
            told.append(subprocess.run(command, capture_output=True, text=True).stderr)

    rebuild(settings, meanwhile)
    assert ["is held by process" in one for one in told] == [True]
    ingest(settings)
    assert len(raw(settings, "order_lines")) == 3


def test_a_landing_in_an_object_store_can_be_rebuilt_too(tmp_path):
    settings = declare(tmp_path, LINES, store_url=f"memory://{tmp_path.name}")
    write_csv(tmp_path / "export" / "a.csv", [ANN, BEN])
    ingest(settings)
    rows = raw(settings, "order_lines")
    rebuild(settings)
    assert raw(settings, "order_lines") == rows


def test_data_cursor_and_rules_are_committed_together_or_not_at_all(settings, tmp_path):
    with visit(settings) as warehouse:
        warehouse.run("raw_tables")
        warehouse.connection.execute("alter table raw.source_rules add column nobody varchar")
        warehouse.connection.execute("alter table raw.source_rules alter nobody set not null")
    settings = declare(tmp_path, LINES | {"rules": {"sku_case": "upper"}})
    with pytest.raises(duckdb.ConstraintException):
        ingest(settings)
    tables = ("order_lines", "landed_files", "cursors")
    assert [raw(settings, table) for table in tables] == [[], [], []]
    with visit(settings) as warehouse:
        warehouse.connection.execute("alter table raw.source_rules drop column nobody")
    # By now it has landed, and lies in the export, too.
    assert ingest(settings)[0].files == 1
    assert [len(raw(settings, table)) for table in tables] == [2, 1, 1]


def test_the_newest_version_of_an_order_replaces_it_whole(interface):
    settings, shop, load = interface
    two = [{"line_id": "1", "sku": "mug"}, {"line_id": "2", "sku": "cup"}]
    shop.tell(1, lines=two, phone="030 123456", country="DE")
    load()
    shop.tell(1, lines=two[:1])
    load()
    order = next(row for row in raw(settings, "orders") if row["order_id"] == "shop:1")
    assert [line["sku"] for line in order["lines"]] == ["mug"]
    assert order["phone_key"] is None
    shop.tell(1, lines=two, updated_at="2026-01-31")
    load()
    assert order in raw(settings, "orders")


def test_a_bad_reply_beyond_which_the_source_went_on_stays_in_quarantine(interface):
    settings, shop, load = interface
    shop.tell(3, updated_at="somebody@shoppers.regulars.example")
    assert load(max_bad_pages=1).quarantined == 1
    assert len(raw(settings, "orders")) == 4
    shop.tell(3)
    assert load(max_bad_pages=1).rows == 1
    assert len(raw(settings, "orders")) == 5
    [page] = Quarantine(Store(settings.store)).pages()
    assert (page.place, page.reason) == (
        {"record": "shop:3", "path": "updated_at"},
        "is no point in time",
    )
    [again] = replay(settings)
    assert (again.files, again.quarantined) == (0, 1)


def test_a_quarantined_page_is_merged_once_its_declaration_is_mended(settings, tmp_path):
    write_csv(tmp_path / "export" / "b.csv", [["3", *ANN[1:5], "4,50"]])
    lenient = declare(tmp_path, LINES | {"max_bad_pages": 1})
    assert [load.rows for load in ingest(lenient)] == [2]
    (tmp_path / "export" / "b.csv").unlink()
    [still] = replay(lenient)
    assert (still.rows, still.quarantined) == (0, 1)

    columns = LINES["columns"] | {"unit_price": {"value": 4.5}}
    mended = declare(tmp_path, LINES | {"columns": columns})
    [load] = replay(mended)
    assert (load.quarantined, len(raw(mended, "order_lines"))) == (0, 3)
    assert replay(mended) == []
    rebuild(mended)
    assert len(raw(mended, "order_lines")) == 3


def test_a_crash_leaves_nothing_behind_once_the_next_load_is_through(interface):
    settings, _, load = interface

    def crash(message: str) -> None:
        if "merging" in message:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(progress=crash)
    landing = Path(settings.store) / "landing/shop"
    assert list(landing.glob("*.jsonl"))
    load()
    assert {file.name for file in landing.glob("*.jsonl")} == {
        Path(page["landing_path"]).name for page in raw(settings, "landed_files")
    }


def test_a_source_that_two_processes_load_at_once_is_loaded_by_one(interface):
    settings, _, load = interface
    others = iter([load])

    def meanwhile(message: str) -> None:
        if "fetched" in message:
            for other in others:
                other()

    with pytest.raises(Retry, match="source shop was loaded by another process meanwhile"):
        load(progress=meanwhile)
    assert len(raw(settings, "orders")) == 5


def test_the_tables_of_an_earlier_release_get_what_they_lack_from_landing(settings, tmp_path):
    columns = LINES["columns"] | {"email": "email"}
    declared = declare(tmp_path, LINES | {"columns": columns})
    row = [*ANN, "Ann@Shoppers.Regulars.Example"]
    write_csv(tmp_path / "export" / "a.csv", [row], [*HEADER, "email"])
    ingest(declared)
    with visit(settings) as warehouse:
        for column in ("email", "email_key"):
            warehouse.connection.execute(f"alter table raw.order_lines drop column {column}")
        cursor = '{"declaration": "of an earlier release", "owner": "shop"}'
        warehouse.connection.execute("update raw.cursors set cursor = $1", [cursor])
        warehouse.connection.execute("drop table raw.orders")
    ingest(declared)
    assert [line["email_key"] for line in raw(declared, "order_lines")] == [row[-1].lower()]
    assert raw(declared, "orders") == []


def test_sources_and_raw_tables_mean_the_same_by_an_order():
    ours = {"source", "email_key", "phone_key", "file_name", "file_modified_at", "row_number"}
    ours |= {"load_number"}
    declared = raw_tables.declared()["orders"]
    kept = {column.name: column.type for column in declared if column.name not in ours}
    with duckdb.connect() as connection:
        types = connection.sql("select 1").select(
            *(
                duckdb.ConstantExpression(None).cast(kind).alias(name)
                for name, kind in ORDER.items()
            )
        )
        assert kept == dict(zip(types.columns, map(str, types.types), strict=True))


KILLED = """
import sys
from pathlib import Path
from include.landing import ingest
from include.settings import Settings
home, sources = map(Path, sys.argv[1:])
ingest(Settings(home=home, sources=sources, threads=2), None, lambda text: print(text, flush=True))
"""


@pytest.mark.parametrize("delay", [0, 0.1])
def test_a_kill_in_the_midst_of_a_merge_leaves_all_or_nothing(delay, tmp_path):
    settings = declare(tmp_path, LINES)
    write_csv(tmp_path / "export" / "a.csv", [ANN])
    ingest(settings)
    duckdb.sql(
        "select n as order, timestamp '2026-01-05' as at, n % 999 as customer, 'mug' as sku,"
        " 1 as quantity, 4.5 as price from range(1, 100001) as numbers(n)"
    ).write_csv(str(tmp_path / "export" / "b.csv"))
    command = [sys.executable, "-c", KILLED, str(settings.home), str(settings.sources)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as child:
        for line in child.stdout:
            if "merging" in line:
                time.sleep(delay)
                child.kill()
    count = _count(settings)
    assert count in (1, 100_001)
    assert len(raw(settings, "landed_files")) == (1 if count == 1 else 2)
    ingest(settings)
    assert _count(settings) == 100_001


def _count(settings: Settings) -> int:
    with visit(settings, read_only=True) as warehouse:
        [(count,)] = warehouse.connection.table("raw.order_lines").count("*").fetchall()
    return count


def test_a_load_larger_than_its_memory_goes_through(tmp_path):
    settings = declare(tmp_path, LINES, memory_limit="200MB")
    duckdb.sql(
        "select n // 4 as order, timestamp '2026-01-05' as at, md5((n // 4)::varchar) as customer,"
        " md5(n::varchar) as sku, 1 as quantity, 4.5 as price from range(900000) as numbers(n)"
    ).write_parquet(str(tmp_path / "export" / "a.parquet"))
    assert ingest(settings)[0].rows == 900_000


def test_online_retail_loses_its_overlap_and_nothing_else(tmp_path):
    original = Settings().test_data / "online_retail_II.parquet"
    if not original.exists():
        pytest.skip("Online Retail II is not there; see examples/online_retail/README.md")
    settings = Settings(
        home=tmp_path, sources=PROJECT / "examples/online_retail/sources.yml", threads=2
    )
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples/online_retail_II.parquet").symlink_to(original.absolute())
    [load] = ingest(settings, ["online_retail"])
    with visit(settings, read_only=True) as warehouse:
        lines = warehouse.connection.table("raw.order_lines")
        facts = lines.aggregate("count(*), count(distinct order_id)").fetchone()
    overlap = 22_523
    assert load.rows == 1_067_370
    assert facts[0] == load.rows - overlap
    assert (
        facts[1]
        == duckdb.from_parquet(str(original)).aggregate("count(distinct Invoice)").fetchone()[0]
    )
