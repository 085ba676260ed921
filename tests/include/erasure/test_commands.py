from __future__ import annotations

import io

import pytest

from include.erasure.commands import erase_people, export
from include.errors import BadInput
from include.landing import ingest
from tests.include.erasure.test_pages import CONTACTS, HEADER, PEOPLE
from tests.include.sources.shops import ANN, LINES, REQUESTS, declare, raw, write_csv

ASKED = ["id", "at", "customer"]
BY_CUSTOMER = REQUESTS | {
    "columns": {"request_id": "id", "requested_at": "at", "customer_key": "customer"}
}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setattr("include.erasure.erase.load_audiences", dict)
    settings = declare(tmp_path, LINES, CONTACTS)
    write_csv(tmp_path / "export" / "a.csv", [ANN])
    write_csv(tmp_path / "contacts.csv", PEOPLE, HEADER)
    ingest(settings)
    return settings


def test_an_address_never_comes_by_the_command_line(settings):
    with pytest.raises(BadInput, match="--from FILE"):
        erase_people(settings, ["ann.canary@shop.test"], None, None)


def test_an_address_on_the_standard_input_is_erased(settings, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("\nAnn.Canary@shop.test\n"))

    [row] = erase_people(settings, None, "-", None)

    assert row["finished_at"]
    assert row["places"]["warehouse raw.contacts"] == 1
    assert [contact["customer_id"] for contact in raw(settings, "contacts")] == ["shop:ben"]
    assert "anary" not in str(row) + str(capsys.readouterr())


def test_a_request_that_is_neither_open_nor_fulfilled_is_an_error(settings, tmp_path):
    write_csv(tmp_path / "requests.csv", [["r-1", "2026-03-01 10:00:00", "ann"]], ASKED)
    declare(tmp_path, LINES, CONTACTS, BY_CUSTOMER)
    ingest(settings)
    with pytest.raises(BadInput, match="no open request requests:r-2: load it first"):
        erase_people(settings, None, None, ["requests:r-1", "requests:r-2"])
    assert len(raw(settings, "contacts")) == 2

    assert erase_people(settings, None, None, ["requests:r-1"])[0]["finished_at"]
    assert erase_people(settings, None, None, ["requests:r-1"]) == []


def test_a_line_that_names_nobody_is_told_by_its_number(settings, tmp_path):
    file = tmp_path / "asked.txt"
    file.write_text("ann.canary@shop.test\nnobody\n")
    with pytest.raises(BadInput, match="line 2"):
        erase_people(settings, None, str(file), None)
    file.write_bytes("ann@m\xfcller.test".encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8"):
        erase_people(settings, None, str(file), None)


def test_an_export_needs_a_person(settings, tmp_path):
    with pytest.raises(BadInput, match="name the person"):
        export(settings, None, None, tmp_path / "held.json")
    rows = export(settings, ["shop:ann"], None, tmp_path / "held.json")
    assert {row["table"] for row in rows} == {"raw.contacts", "raw.order_lines"}
