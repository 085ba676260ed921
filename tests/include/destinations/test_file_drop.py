from __future__ import annotations

import csv
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import s3fs
from msgspec import structs

from include.connections import Credentials
from include.destinations.base import Batch, Member, RemoteAudience
from include.destinations.file_drop import FileDrop, csv_text
from include.errors import BadInput, Reauthorise, Retry, Stop
from tests.include.destinations.contract import DestinationContract, addressed
from tests.sandbox_server import Sandbox


def left(folder: Path, audience: str) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """What was left, in the order of the names: which operation, and its rows."""
    for file in sorted((folder / audience).iterdir()):
        if file.suffix == ".csv":
            with file.open(newline="") as text:
                yield file.stem.rpartition("-")[2], list(csv.DictReader(text))
        elif file.suffix == ".parquet":
            yield file.stem.rpartition("-")[2], pq.read_table(file).to_pylist()


class TestFileDrop(DestinationContract):
    destination = FileDrop
    format = "csv"

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "drop"

    def open(self, sandbox: Sandbox | None = None, password: str = "") -> FileDrop:
        # The one refusal that a folder knows: nobody, not even root, may write there.
        folder = "/sys/kernel/regulars" if password.startswith("revoked") else str(self.folder)
        return FileDrop(Credentials(extra={"folder": folder, "format": self.format}))

    def there(self, sandbox: Sandbox | None = None) -> set[str]:
        members: set[str] = set()
        for operation, rows in left(self.folder, self.audience_name):
            named = {str(row["identity"]) for row in rows}
            members = members - named if operation == "remove" else members | named
        return members

    def test_a_lost_or_unclear_answer_is_worth_another_try(self):
        """A file is there or it is not: writing it again leaves one."""
        opened = self.open()
        audience = opened.ensure_audience(self.audience_name, {}, None)
        batch = Batch(3, self.members(range(2)), plan_id="20260101T000000Z-abc")
        opened.add(audience, batch)
        opened.add(audience, replace(batch, members=batch.members[:1]))

        assert sorted(path.name for path in (self.folder / self.audience_name).iterdir()) == [
            "20260101T000000Z-abc-000003-add.csv",
            "fields.json",
        ]
        assert self.there() == {batch.members[0].identity}

    def test_files_are_their_owners_alone(self):
        opened = self.open()
        audience = opened.ensure_audience(self.audience_name, {}, None)
        opened.add(audience, Batch(1, self.members([1])))
        modes = {
            stat.S_IMODE(path.stat().st_mode) for path in self.folder.rglob("*") if path.is_file()
        }
        assert modes == {0o600}

    def test_a_removal_holds_no_address(self):
        opened = self.open()
        audience = opened.ensure_audience(self.audience_name, {"vip_tier": "text"}, None)
        [ann] = self.members([1])
        opened.remove(audience, Batch(1, [ann]))
        [(_, rows)] = left(self.folder, self.audience_name)
        assert rows == [{"identity": ann.identity, "customer_id": ann.customer_id}]

    def test_a_field_must_not_take_the_place_of_a_column(self):
        with pytest.raises(BadInput, match="email"):
            self.open().ensure_audience(self.audience_name, {"email": "text"}, None)


class TestFileDropOfParquet(TestFileDrop):
    format = "parquet"
    test_a_lost_or_unclear_answer_is_worth_another_try = None

    def test_columns_hold_what_the_fields_are_declared_to(self):
        opened = self.open()
        fields = {"vip_tier": "text", "days_quiet": "number"}
        audience = opened.ensure_audience(self.audience_name, fields, None)
        ann, ben = self.members(range(2))
        payloads = [{"vip_tier": "=gold", "days_quiet": 4}, {"days_quiet": "many"}]
        members = [structs.replace(m, payload=p) for m, p in zip((ann, ben), payloads, strict=True)]

        opened.add(audience, Batch(1, members))

        [(_, rows)] = left(self.folder, self.audience_name)
        assert [(row["vip_tier"], row["days_quiet"]) for row in rows] == [
            ("=gold", 4.0),
            (None, None),
        ]


# A spreadsheet must find text, whatever a shop's customers are called.
@pytest.mark.parametrize(
    "hostile",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1+1",
        "\uff1d1+1",
        "|calc",
    ],
)
def test_no_cell_of_a_csv_begins_a_formula(tmp_path: Path, hostile: str):
    opened = FileDrop(Credentials(extra={"folder": str(tmp_path)}))
    audience = opened.ensure_audience("a", {"note": "text"}, None)
    [ann] = addressed(FileDrop, {"email": "=a@shop.test", "first_name": hostile})
    opened.add(audience, Batch(1, [structs.replace(ann, payload={"note": hostile})]))

    [(_, [row])] = left(tmp_path, "a")

    assert row["first_name"] == row["note"] == f"'{hostile}"
    assert row["email"] == "'=a@shop.test"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("+14155552671", "+14155552671"),
        (-4.5, "-4.5"),
        (None, ""),
        ("O'Brien, Ann", "O'Brien, Ann"),
        ("a=b", "a=b"),
    ],
)
def test_what_is_no_formula_stays_as_it_is(value: object, expected: str):
    assert csv_text(value) == expected


def test_a_cell_is_short_and_holds_no_control_characters(tmp_path: Path):
    opened = FileDrop(Credentials(extra={"folder": str(tmp_path)}))
    audience = opened.ensure_audience("a", {"note": "text"}, None)
    member = Member(
        "shop:1", "0" * 64, {"email": "a@shop.test"}, {"note": "a\x00b\x1b" + "x" * 2000}
    )
    opened.add(audience, Batch(1, [member]))
    [(_, [row])] = left(tmp_path, "a")
    assert row["note"] == "ab" + "x" * 998


def test_a_folder_that_refuses_us_is_not_tried_again():
    opened = FileDrop(Credentials(extra={"folder": "/sys/kernel/regulars"}))
    with pytest.raises((Reauthorise, Stop)):
        opened.ensure_audience("a", {}, None)


@pytest.mark.parametrize(
    ("keys", "error", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}, Retry, "could not be written"),
        ({}, Reauthorise, "refuses us"),
    ],
    ids=["unreachable", "without credentials"],
)
def test_an_object_store_that_fails_is_told_in_our_words(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keys: dict[str, str],
    error: type[Exception],
    words: str,
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    settings = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }
    for name, value in (settings | keys).items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    drop = FileDrop(Credentials(extra={"folder": "s3://bucket/for_partner"}))

    with pytest.raises(error, match=words) as raised:
        drop.ensure_audience("vips", {}, None)

    assert "for_partner" not in str(raised.value)
    assert not drop.test_connection()[0]
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_audience_without_its_folder_is_not_recreated(tmp_path: Path):
    opened = FileDrop(Credentials(extra={"folder": str(tmp_path)}))
    with pytest.raises(Stop, match="no longer has"):
        opened.add(RemoteAudience("gone", "gone"), Batch(1, []))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", [{}, {"folder": "/tmp", "format": "xlsx"}])
def test_a_short_connection_says_what_it_lacks(extra: dict[str, str]):
    with pytest.raises(BadInput, match="file_drop_default"):
        FileDrop(Credentials(extra=extra))
