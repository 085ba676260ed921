from __future__ import annotations

import subprocess
import sys
import threading
import time

import duckdb
import pytest

from include.errors import BadInput, Retry, Stop
from include.settings import Settings
from include.warehouse import Warehouse, visit

HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


SPILL = """
import sys, duckdb
config = {"memory_limit": "60MB", "threads": 1}
if len(sys.argv) > 2:
    config["temp_directory"] = sys.argv[2]
connection = duckdb.connect(sys.argv[1], config=config, read_only=len(sys.argv) > 2)
print("open", flush=True)
sys.stdin.readline()
query = "select 'ann@shop.example' || i as email from range(2000000) as people (i) order by hash(i)"
cursor = connection.execute(query)
cursor.fetchone()
print("spilled", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def settings(tmp_path):
    return Settings(home=tmp_path / "home", lock_wait_seconds=0.3, threads=1, memory_limit="500MB")


@pytest.fixture
def holder(settings):
    with visit(settings):
        pass
    command = [sys.executable, "-c", HOLD, str(settings.warehouse_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def test_a_statement_is_given_its_parameters(settings):
    with visit(settings) as warehouse:
        warehouse.run("raw_tables")
        warehouse.run(
            "rewrite_source_rules", source="shop", rules=[{"rule": "sku_case", "value": "upper"}]
        )
        rows = warehouse.connection.sql("from raw.source_rules").fetchall()
    assert rows == [("shop", "sku_case", "upper")]


def test_a_parameter_too_many_or_too_few_is_an_error(settings):
    with visit(settings) as warehouse:
        warehouse.run("raw_tables")
        for wrong in ({}, {"source": "shop", "sauce": "shop"}):
            with pytest.raises(ValueError, match=r"landed_files\.sql names"):
                warehouse.run("landed_files", **wrong)


def test_a_failed_transaction_leaves_nothing(settings):
    with visit(settings) as warehouse:
        warehouse.run("raw_tables")
        with pytest.raises(KeyboardInterrupt):
            _interrupted(warehouse)
        assert warehouse.run("read_cursor", source="shop").num_rows == 0


def _interrupted(warehouse: Warehouse) -> None:
    with warehouse.transaction():
        warehouse.run(
            "rewrite_cursor", source="shop", cursor="{}", committed_at="2026-01-01 00:00:00"
        )
        raise KeyboardInterrupt


def test_the_settings_hold_and_times_are_utc(settings):
    with visit(settings) as warehouse:
        current = "select current_setting('TimeZone'), current_setting('threads'), temp_directory"
        query = f"{current} from (select current_setting('temp_directory') as temp_directory)"
        zone, threads, spill = warehouse.connection.sql(query).fetchone()
    assert (zone, threads) == ("UTC", 1)
    assert spill.startswith(str(settings.home))


def test_what_a_killed_process_spilled_goes_with_the_next_visit(settings):
    with visit(settings):
        pass
    _spill_and_be_killed(_open(str(settings.warehouse_path)))
    with visit(settings, read_only=True) as warehouse:
        [(readers,)] = warehouse.connection.sql(
            "select current_setting('temp_directory')"
        ).fetchall()
    _spill_and_be_killed(_open(str(settings.warehouse_path), readers))
    assert len(_spilled(settings)) == 2
    # One who reads may be beside others, whose work it is not to take away.
    with visit(settings, read_only=True):
        assert len(_spilled(settings)) == 2
    with visit(settings):
        assert not _spilled(settings)


def test_what_a_process_spilled_while_it_was_waited_for_goes_too(settings):
    with visit(settings):
        pass
    process = _open(str(settings.warehouse_path))
    killing = threading.Timer(0.5, _spill_and_be_killed, [process])
    killing.start()
    with visit(settings.model_copy(update={"lock_wait_seconds": 30})):
        killing.join()
        assert not _spilled(settings)


def _open(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SPILL, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "open\n"
    return process


def _spill_and_be_killed(process: subprocess.Popen[str]) -> None:
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "spilled\n"
    process.kill()
    process.communicate()


def _spilled(settings: Settings) -> list[str]:
    """The folders below the home in which an address lies about."""
    files = [path for path in settings.home.rglob("*tmp/*") if b"ann@" in path.read_bytes()]
    return sorted({str(path.parent) for path in files})


def test_nobody_else_may_read_the_file(settings):
    with visit(settings):
        pass
    assert settings.warehouse_path.stat().st_mode & 0o777 == 0o600
    assert settings.home.stat().st_mode & 0o777 == 0o700


def test_a_lock_is_waited_for_and_its_holder_named(settings, holder):
    started = time.monotonic()
    with pytest.raises(Retry, match=f"process {holder.pid}"), visit(settings, read_only=True):
        pass
    assert time.monotonic() - started >= 0.3


def test_a_lock_that_is_released_in_time_is_no_error(settings, holder):
    patient = settings.model_copy(update={"lock_wait_seconds": 30})
    holder.stdin.write("\n")
    holder.stdin.flush()
    with visit(patient) as warehouse:
        assert warehouse.run("raw_tables").num_rows >= 0


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_a_damaged_file_says_how_to_rebuild_it(content, settings):
    settings.home.mkdir()
    settings.warehouse_path.write_bytes(content)
    with pytest.raises(Stop, match="regulars ingest --rebuild"), visit(settings):
        pass


def test_a_flipped_header_is_noticed(settings):
    with visit(settings) as warehouse:
        warehouse.run("raw_tables")
    damaged = bytearray(settings.warehouse_path.read_bytes())
    damaged[4096:12288] = bytes(byte ^ 255 for byte in damaged[4096:12288])
    settings.warehouse_path.write_bytes(damaged)
    with pytest.raises(Stop, match="damaged"), visit(settings):
        pass


def test_reading_needs_a_warehouse(settings):
    with pytest.raises(Stop, match="regulars ingest"), visit(settings, read_only=True):
        pass


def test_a_memory_limit_that_is_none_is_named(settings):
    wrong = settings.model_copy(update={"memory_limit": "lots"})
    with pytest.raises(BadInput, match="REGULARS_MEMORY_LIMIT"), visit(wrong):
        pass


def test_work_that_outgrows_its_memory_says_what_to_raise(settings):
    with pytest.raises(Stop, match="REGULARS_MEMORY_LIMIT"):
        _outgrow(settings.model_copy(update={"memory_limit": "20MB"}))


def _outgrow(settings: Settings) -> None:
    with visit(settings) as warehouse:
        warehouse.connection.execute("set temp_directory = ''")
        warehouse.connection.sql("select list(n) from range(9000000) as numbers(n)").fetchall()


def test_an_error_of_a_statement_stays_duckdbs(settings):
    with visit(settings) as warehouse, pytest.raises(duckdb.CatalogException):
        warehouse.run("landed_files", source="shop")
