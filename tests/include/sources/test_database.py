from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pyarrow.parquet
import pytest

from include.connections import Credentials
from include.errors import BadInput, Reauthorise, Retry
from include.sources.base import Place, Window
from include.sources.database import Database, DatabaseOptions
from tests.database_servers import MARIADB, PASSWORD, Server, start_mariadb, start_postgres
from tests.include.sources.contract import SourceContract
from tests.include.sources.shops import declare, raw
from tests.sandbox_server import closed_port

QUERY = """
    select id, placed_at, buyer, email, sku, quantity, price, changed_at
    from orders where changed_at >= :since and changed_at < :until
"""
COLUMNS = {
    "order_id": "id",
    "line_id": "sku",
    "ordered_at": "placed_at",
    "customer_key": "buyer",
    "sku": "sku",
    "quantity": "quantity",
    "unit_price": "price",
    "updated_at": "changed_at",
}
ENTRY = {
    "name": "shop",
    "type": "database",
    "grain": "order_line",
    "query": QUERY,
    "cursor_column": "changed_at",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "columns": COLUMNS,
}
TABLE = """
    create table orders (
        id int, placed_at {instant}, buyer varchar(99), email varchar(99), sku varchar(99),
        quantity int, price varchar(99), changed_at {instant}
    )
"""


ROW = """
    insert into orders
    values ({0}, '{1}', 'buyer{0}', 'buyer{0}@shop.test', 'mug', 2, '4.50', '{1}')
"""
PRICE = "update orders set price = '{}' where id = 1"


def row(number: int, at: str = "2026-01-05 10:00:00") -> str:
    return ROW.format(number, at)


class OnAServer(SourceContract):
    source = Database
    start: ClassVar[Callable[[], AbstractContextManager[Server]]]
    instant: ClassVar[str]
    local_instant: ClassVar[str]
    server: Server

    @pytest.fixture(scope="class", autouse=True)
    def serve(self, request: pytest.FixtureRequest) -> Iterator[None]:
        with request.cls.start() as server:
            request.cls.server = server
            yield

    @contextmanager
    def place(self, folder: Path) -> Iterator[Server]:
        self.server.run("drop table if exists orders", TABLE.format(instant=self.instant))
        self.server.run(*(row(number) for number in (1, 2, 3)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Database, "page_rows", 2)
            yield self.server

    def declaration(self, place: Server) -> dict[str, Any]:
        return ENTRY

    def credentials(self, place: Server) -> Credentials:
        return place.credentials()

    def change(self, place: Server) -> None:
        place.run(row(4, "2026-01-05 10:30:00"))
        place.run("update orders set price = 5, changed_at = '2026-01-05 10:31:00' where id = 1")

    def break_a_page(self, place: Server) -> None:
        place.run(PRICE.format(self.canary))

    def mend_the_page(self, place: Server) -> None:
        place.run(PRICE.format("4.50"))

    @pytest.fixture
    def shop(self, opened: Server, tmp_path: Path) -> Callable[..., Database]:
        """The declared source, with some options otherwise, or another login."""

        def shop(login: Credentials | None = None, **options: Any) -> Database:
            credentials = login or opened.credentials()
            place = Place(tmp_path / "sources.yml", tmp_path, lambda name: credentials)
            return Database(DatabaseOptions.model_validate(ENTRY | options), place)

        return shop

    def test_a_row_that_was_committed_late_is_seen_within_the_overlap(self, opened, load, settings):
        load()
        opened.run(row(4, "2026-01-05 09:10:00"))
        assert load().rows == 4
        assert len(raw(settings, "order_lines")) == 4
        assert load().rows == 0

    def test_what_was_changed_long_ago_is_not_read_again(self, opened, load):
        opened.run(*(row(number, "2025-06-01 08:00:00") for number in range(10, 20)))
        load()
        opened.run(row(4, "2026-01-05 10:30:00"))
        assert load().rows == 4

    def test_a_row_from_the_future_waits_and_holds_nothing_up(self, opened, load, settings):
        opened.run(row(9, "2031-01-01 00:00:00"))
        assert load().rows == 3
        opened.run(row(4, "2026-01-05 10:30:00"))
        assert load().rows == 4
        assert {line["order_id"] for line in raw(settings, "order_lines")} == {
            f"shop:{number}" for number in (1, 2, 3, 4)
        }

    def test_a_row_from_the_future_holds_nothing_up_where_the_query_brings_it(
        self, opened, tmp_path, load
    ):
        endless = declare(tmp_path, ENTRY | {"query": QUERY.replace("and changed_at < :until", "")})
        opened.run(row(9, "2031-01-01 00:00:00"))
        assert load(endless).rows == 4
        opened.run(
            "update orders set changed_at = current_timestamp where id = 1",
        )
        load(endless)
        opened.run("update orders set changed_at = current_timestamp, quantity = 7 where id = 2")
        load(endless)
        assert 7 in {line["quantity"] for line in raw(endless, "order_lines")}
        assert load(endless).rows == 0

    def test_a_query_without_a_cursor_brings_everything_and_only_when_something_changed(
        self, opened, tmp_path, load
    ):
        entry = {name: value for name, value in ENTRY.items() if name != "cursor_column"}
        small = declare(tmp_path, entry | {"query": "select * from orders"})
        assert load(small).rows == 3
        assert load(small).rows == 0
        opened.run("update orders set price = 9 where id = 2")
        assert load(small).rows == 3
        with pytest.raises(BadInput, match="no days to ask for"):
            load(small, names=["shop"], window=Window(date(2026, 1, 1), date(2026, 1, 2)))

    def test_another_query_begins_anew(self, opened, tmp_path, load, settings):
        opened.run(row(4, "2025-06-01 08:00:00"))
        load(declare(tmp_path, ENTRY | {"query": f"{QUERY} and id < 4"}))
        assert len(raw(settings, "order_lines")) == 3
        load(declare(tmp_path, ENTRY))
        assert len(raw(settings, "order_lines")) == 4

    def test_the_query_may_stand_in_a_file(self, tmp_path, load):
        # As Windows' editors write it.
        (tmp_path / "orders.sql").write_text(f"{QUERY};\n", encoding="utf-8-sig")
        assert load(declare(tmp_path, ENTRY | {"query": "orders.sql"})).rows == 3
        with pytest.raises(BadInput, match=r"shop, query: there is no file lines\.sql"):
            load(declare(tmp_path, ENTRY | {"query": "lines.sql"}))

    def test_a_column_mapped_later_does_not_stop_at_older_pages(self, tmp_path, load, settings):
        load()
        mapped = {"columns": COLUMNS | {"email": "address"}}
        query = {"query": QUERY.replace(" email", " email as address")}
        load(declare(tmp_path, ENTRY | mapped | query))
        emails = {line["email"] for line in raw(settings, "order_lines")}
        assert emails == {f"buyer{number}@shop.test" for number in (1, 2, 3)}

    def test_the_query_cannot_change_anything(self, opened, shop):
        write = "insert into orders (id) values (7) returning id, changed_at"
        with pytest.raises(BadInput, match="does not take the query"):
            [*shop(query=f"{write} -- :since").pages({})]
        assert [row[0] for row in everything(opened, "select count(*) from orders")] == [3]

    def test_a_refused_login_asks_for_another_one_without_telling_it(self, opened, shop):
        wrong = shop(opened.credentials(password="wrong-3e5f0b"))
        with pytest.raises(Reauthorise, match="refuses connection database_default") as raised:
            [*wrong.pages({})]
        assert "3e5f0" not in str(raised.value)
        works, sentence = wrong.test_connection()
        assert not works
        assert "3e5f0" not in sentence

    def test_a_database_that_does_not_answer_is_asked_later(self, opened, shop):
        with closed_port() as port, pytest.raises(Retry, match="does not answer"):
            [*shop(opened.credentials(port=port)).pages({})]

    def test_a_mistake_in_the_query_is_told_in_the_databases_words(self, shop):
        with pytest.raises(BadInput, match=r"no_such_column"):
            [*shop(query="select no_such_column, changed_at from orders -- :since").pages({})]

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"query": "select 1"}, ":since and a cursor_column go together"),
            ({"query": f"{QUERY} and id = :number"}, ":number is neither :since nor :until"),
            ({"columns": COLUMNS | {"country": "land"}}, "columns: the query brings no 'land'"),
            ({"cursor_column": "moved_at"}, "cursor_column: the query brings no 'moved_at'"),
            ({"cursor_column": "quantity"}, "'quantity' is neither an instant nor a day"),
        ],
    )
    def test_what_does_not_fit_together_is_refused_before_a_row_is_read(
        self, shop, options, reason
    ):
        with pytest.raises(BadInput, match=reason):
            [*shop(**options).pages({})]

    def test_the_test_button_signs_in_and_looks_at_the_query(self, shop):
        works, sentence = shop().test_connection()
        assert works, sentence
        assert "8 columns" in sentence

    def test_local_times_are_asked_for_in_the_zone_they_are_meant_in(self, opened, tmp_path, load):
        opened.run("drop table orders", TABLE.format(instant=self.local_instant))
        opened.run(*(row(number, "2026-03-29 06:00:00") for number in (1, 2, 3)))
        local = declare(tmp_path, ENTRY | {"times_in": "Asia/Kolkata", "overlap_minutes": 5})
        load(local)
        assert load(local).rows == 0
        opened.run(row(4, "2026-03-29 05:54:59"), row(5, "2026-03-29 06:07:00"))
        assert load(local).rows == 4
        lines = {line["order_id"]: line["ordered_at"] for line in raw(local, "order_lines")}
        assert lines["shop:5"] == datetime(2026, 3, 29, 0, 37)
        assert "shop:4" not in lines

    def test_what_is_changed_in_the_hour_that_the_clock_shows_again_is_found(self, opened, shop):
        opened.run("drop table orders", TABLE.format(instant=self.local_instant))
        opened.run(row(1, "2025-10-26 02:10:00"))
        local = shop(overlap_minutes=5)
        [page] = local.pages({})
        # The newest that is known was changed before, at 02:50 by the clock.
        assert [*local.pages({**page.cursor, "newest": "2025-10-26T00:50", "minutes": {}})]


class TestPostgres(OnAServer):
    start = staticmethod(start_postgres)
    instant = "timestamptz"
    local_instant = "timestamp"

    def test_every_type_keeps_its_value(self, opened, shop):
        query = """
            select
                12.30::numeric(12, 2) as price,
                0.10000000000000000001 as exact,
                'NaN'::numeric as nothing,
                timestamptz '2026-03-29 03:30:00+02' as at,
                timestamp '2026-03-29 03:30:00' as locally,
                date '2028-02-29' as day,
                true as flag,
                9007199254740993 as big,
                '{"a": 1}'::jsonb as document,
                uuid '00000000-0000-0000-0000-000000000001' as id,
                now() as changed_at
            where now() >= :since
        """
        columns = {"sku": "exact", "product_name": "document"}
        [page] = shop(query=query, grain="product", columns=columns).pages({})
        table = pyarrow.parquet.read_table(io.BytesIO(page.open().read()))
        [found] = table.drop_columns("changed_at").to_pylist()
        assert found == {
            "price": Decimal("12.30"),
            "exact": "0.10000000000000000001",
            "nothing": "NaN",
            "at": datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
            "locally": datetime(2026, 3, 29, 3, 30),
            "day": date(2028, 2, 29),
            "flag": True,
            "big": 9007199254740993,
            "document": '{"a": 1}',
            "id": "00000000-0000-0000-0000-000000000001",
        }
        assert str(table.schema.field("price").type) == "decimal128(12, 2)"

    def test_rows_stream_and_are_never_all_in_memory(self, shop):
        endless = """
            select number::text as id, now() as placed_at, 'x' as buyer, '' as email, 'mug' as sku,
                1 as quantity, 1 as price, now() as changed_at
            from (select generate_series(1, 1000000000) as number) as numbers
            where now() >= :since
        """
        pages = shop(query=endless).pages({})
        for _ in range(3):
            next(pages)
        pages.close()

    def test_a_function_cannot_change_anything_either(self, opened, shop):
        opened.run("create sequence if not exists numbers")
        columns = "select nextval('numbers') as id, now() as changed_at"
        query = f"{columns} where now() >= :since"
        with pytest.raises(BadInput, match="ReadOnlySqlTransaction"):
            [*shop(query=query, grain="product", columns={"sku": "id"}).pages({})]

    def test_a_value_that_cannot_be_read_is_not_told(self, opened, shop):
        for wrong in ("email::int", "'infinity'::timestamptz", "'NaN'::numeric(4, 2)"):
            query = QUERY.replace("changed_at\n", f"changed_at, {wrong} as extra\n", 1)
            with pytest.raises(BadInput) as raised:
                [*shop(query=query).pages({})]
            assert "buyer" not in str(raised.value)

    def test_a_connection_of_airflows_own_kind_will_do_and_another_is_refused(self, opened, shop):
        works, sentence = shop(opened.credentials(kind="database")).test_connection()
        assert not works
        assert "dialect" in sentence
        extra = {"dialect": "postgresql"}
        works, _ = shop(opened.credentials(kind="database", extra=extra)).test_connection()
        assert works

    def test_a_login_is_never_sent_in_the_clear_to_another_machine(self, opened, shop, monkeypatch):
        seen: list[dict[str, Any]] = []
        monkeypatch.setattr("sqlalchemy.create_engine", lambda url, **more: seen.append(more))
        for host in ("127.0.0.1", "db.shop.test"):
            with pytest.raises(AttributeError):
                shop(opened.credentials(host=host)).test_connection()
        assert [more["connect_args"]["sslmode"] for more in seen] == ["prefer", "require"]


@pytest.mark.skipif(not MARIADB.exists(), reason="Debian's mariadb-server-core is not installed")
class TestMariaDb(OnAServer):
    start = staticmethod(start_mariadb)
    instant = "timestamp(6) null"
    local_instant = "datetime(6)"

    def test_every_type_keeps_its_value(self, opened, shop):
        opened.run(
            "drop table if exists kinds",
            "create table kinds (price decimal(12, 2), at timestamp null, locally datetime(6),"
            " day date, flag boolean, big bigint, half double, name varchar(9),"
            " changed_at datetime)",
            "insert into kinds values (-12.30, '2026-03-29 01:30:00', '2026-03-29 03:30:00.000001',"
            " '2028-02-29', true, 9007199254740993, 0.5, 'Zoë', '2026-01-01')",
        )
        query = "select * from kinds where changed_at >= :since"
        columns = {"sku": "name", "product_name": "day"}
        [page] = shop(query=query, grain="product", columns=columns).pages({})
        table = pyarrow.parquet.read_table(io.BytesIO(page.open().read()))
        [found] = table.drop_columns("changed_at").to_pylist()
        assert found == {
            "price": Decimal("-12.30"),
            "at": datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
            "locally": datetime(2026, 3, 29, 3, 30, 0, 1),
            "day": date(2028, 2, 29),
            "flag": 1,
            "big": 9007199254740993,
            "half": 0.5,
            "name": "Zoë",
        }
        assert str(table.schema.field("price").type) == "decimal128(12, 2)"


def everything(server: Server, query: str) -> list[Any]:
    with server.engine.connect() as connection:
        return list(connection.exec_driver_sql(query))


def test_a_page_that_is_damaged_is_a_bad_page(tmp_path):
    page = tmp_path / "page.parquet"
    page.write_bytes(b"PAR1 torn")
    place = Place(tmp_path / "sources.yml", tmp_path)
    source = Database(DatabaseOptions.model_validate(ENTRY), place)
    with (
        duckdb.connect() as connection,
        pytest.raises(BadInput, match="cannot be decoded"),
        source.rows(connection, "page", page, tmp_path) as rows,
    ):
        rows.fetchall()
    assert PASSWORD not in repr(place)
