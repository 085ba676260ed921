from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from include.settings import PROJECT
from include.store import ABANDONED_AFTER_SECONDS, Store, copies, drop_copies


@pytest.fixture(params=["folder", "object store"])
def store(request, tmp_path):
    return Store(str(tmp_path) if request.param == "folder" else f"memory://{uuid.uuid4()}")


def test_what_was_written_is_read_back_whole(store):
    store.write("a/b.json", b"one")
    store.write("a/b.json", b"two")
    assert store.read("a/b.json") == b"two"
    assert store.list("a") == ["b.json"]


def test_a_finished_file_moves_in_and_leaves_its_workspace(store):
    with store.workspace() as folder:
        file = Path(folder) / "made.parquet"
        file.write_bytes(b"rows")
        store.take(file, "plans/1/plan.parquet")
        assert not file.exists()
    assert store.read("plans/1/plan.parquet") == b"rows"


def test_removing_takes_a_folder_with_all_below_it_and_a_missing_one_is_no_error(store):
    store.write("a/b/c", b"")
    store.remove("a")
    store.remove("a")
    assert not store.exists("a/b/c")
    assert store.list("a") == []


def test_a_path_cannot_leave_the_store(store):
    for path in ("../secret", "a/../../secret", "/etc/passwd"):
        with pytest.raises(ValueError, match="not a path below the store"):
            store.write(path, b"")


def test_local_files_are_private_and_unfinished_ones_are_not_listed(tmp_path):
    store = Store(str(tmp_path))
    store.write("a.json", b"1")
    (tmp_path / ".writing-x").write_bytes(b"half")
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o600
    assert store.list("") == ["a.json"]


def test_what_a_killed_process_left_is_removed_by_the_next_and_a_living_one_keeps_its_own(tmp_path):
    store = Store(str(tmp_path))
    code = (
        "import sys, time; from include.store import Store\n"
        "with Store(sys.argv[1]).workspace() as folder:\n"
        "    open(f'{folder}/contacts', 'w').close(); print(folder, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        left = Path(process.stdout.readline().strip())
        process.kill()
    long_ago = time.time() - 2 * ABANDONED_AFTER_SECONDS
    with store.workspace() as living:
        os.utime(left, (long_ago, long_ago))
        os.utime(living, (long_ago, long_ago))
        with store.workspace():
            assert not left.exists()
            assert Path(living).exists()


def test_what_was_being_written_when_its_process_was_killed_is_swept_unless_it_is_young(tmp_path):
    store = Store(str(tmp_path))
    store.write("inbox/shop/call.json", b"{}")
    old, young = (tmp_path / f"inbox/shop/.writing-{name}" for name in ("old", "young"))
    for file in (old, young):
        file.write_bytes(b"ann@shop.example")
    long_ago = time.time() - 2 * ABANDONED_AFTER_SECONDS
    os.utime(old, (long_ago, long_ago))
    store.sweep()
    assert (old.exists(), young.exists()) == (False, True)
    assert store.abandoned()
    os.utime(young, (long_ago, long_ago))
    store.sweep()
    assert not store.abandoned()
    assert store.read("inbox/shop/call.json") == b"{}"


def test_copies_from_an_object_store_outlive_no_process_by_more_than_the_next_one():
    code = (
        "import os, sys; from include.store import copies\n"
        "(copies() / 'contacts').touch(); print(copies(), flush=True)\n"
        "if sys.argv[1] == 'as a task of Airflow': os._exit(0)\n"
    )
    ended, killed = (
        Path(
            subprocess.check_output(
                [sys.executable, "-c", code, how], text=True, cwd=PROJECT
            ).strip()
        )
        for how in ("by itself", "as a task of Airflow")
    )
    assert not ended.exists()
    assert (killed / "contacts").exists()
    long_ago = time.time() - 2 * ABANDONED_AFTER_SECONDS
    os.utime(killed, (long_ago, long_ago))
    drop_copies()
    first = copies()
    assert not killed.exists()
    drop_copies()
    assert not first.exists()
    assert copies().exists()
