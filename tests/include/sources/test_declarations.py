from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.errors import BadInput
from include.settings import PROJECT, Settings
from include.sources.declarations import load_sources, sources_with_rows
from tests.include.sources.shops import LINES, declare

CONSENTS = {
    "name": "asked",
    "type": "files",
    "path": "export",
    "grain": "consent",
    "time_zone": "UTC",
    "columns": {
        "email": "email",
        "channel": {"value": "email"},
        "state": {"value": "granted"},
        "changed_at": {"value": "2026-01-05"},
    },
}


def _columns(**changed: object) -> dict:
    kept = {key: column for key, column in LINES["columns"].items() if key not in changed}
    added = {key: column for key, column in changed.items() if column is not None}
    return LINES | {"columns": kept | added}


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (LINES | {"colour": 1}, "shop, colour: unknown key"),
        (LINES | {"type": "ftp"}, "shop, type: 'ftp' is unknown; known are: .*files"),
        (LINES | {"name": "The Shop"}, "The Shop, name:"),
        (LINES | {"grain": "basket"}, "shop, grain:"),
        (LINES | {"time_zone": "Europe/Berlim"}, "shop, time_zone:.*no time zone"),
        (LINES | {"rules": {"cancelation_prefix": "C"}}, "rules.cancelation_prefix: unknown key"),
        (LINES | {"rules": {"non_product_skus": [7]}}, "rules.non_product_skus.0:"),
        (LINES | {"phone_country": "Germany"}, "shop, phone_country:.*an example is GB"),
        (LINES | {"max_bad_pages": -1}, "shop, max_bad_pages:"),
        (LINES | {"amounts_in": "cents"}, "shop, amounts_in:"),
        (LINES | {"quote": "''"}, "shop, quote:"),
        (LINES | {"customers_of": "other"}, "shop, customers_of: there is no source 'other'"),
        (LINES | {"encoding": "klingon"}, "encoding: 'klingon' is unknown"),
        ({k: v for k, v in LINES.items() if k != "currency"}, "currency: required"),
        (_columns(kind="c"), "columns.kind: unknown key"),
        (_columns(colour="c"), "columns.colour: unknown key"),
        (_columns(order_id=None), "columns.order_id: a mapping is required"),
        (_columns(unit_price=None), "one of gross_amount, net_amount, unit_price is required"),
        (_columns(sku=["a", "b"]), "columns.sku: only amounts can be a list"),
        (_columns(quantity={"value": "one"}), "columns.quantity: 'one' is not an amount that fits"),
        (_columns(ordered_at={"value": "noon"}), "columns.ordered_at: 'noon' is not a point in"),
        (
            CONSENTS | {"columns": CONSENTS["columns"] | {"channel": {"value": "mail"}}},
            "columns.channel: 'mail' is not one of email, ads, sms",
        ),
        (
            LINES | {"rules": {"excluded_order_statuses": ["failed"]}},
            "rules.excluded_order_statuses: columns.order_status is not mapped",
        ),
        (LINES | {"path": "${HOME}/x.csv"}, r"only \$\{REGULARS_HOME\} may stand"),
        (LINES | {"path": "package:no_such_package/x.csv"}, "no_such_package is not installed"),
    ],
)
def test_a_mistake_is_named_by_file_source_and_key(entry, told, tmp_path):
    settings = declare(tmp_path, entry)
    with pytest.raises(BadInput, match=told):
        _find_pages(settings)


def _find_pages(settings: Settings) -> None:
    for source in load_sources(settings).values():
        list(source.pages({}))


def test_a_name_is_used_once(tmp_path):
    with pytest.raises(BadInput, match="used twice"):
        load_sources(declare(tmp_path, LINES, LINES))


@pytest.mark.parametrize("text", ["", "sources: []", "sources: {}", "[1]", "sources: [", "a: 1"])
def test_a_file_that_is_no_list_of_sources_is_refused_by_name(text, tmp_path):
    file = tmp_path / "sources.yml"
    file.write_text(text)
    with pytest.raises(BadInput, match=r"sources\.yml"):
        load_sources(Settings(home=tmp_path, sources=file))


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(BadInput, match="REGULARS_SOURCES"):
        load_sources(Settings(home=tmp_path, sources=tmp_path / "sources.yml"))


@pytest.mark.parametrize("example", ["complete_journey", "online_retail"])
def test_the_examples_are_declared_properly(example, tmp_path):
    folder = shutil.copytree(PROJECT / "examples" / example, tmp_path / "example")
    sources = load_sources(Settings(home=tmp_path, sources=Path(folder) / "sources.yml"))
    assert example in sources
    assert sources["invented_contacts"].options.customers_of == example


def test_a_value_for_all_rows_is_taken_if_it_is_what_the_column_must_be(tmp_path):
    assert load_sources(declare(tmp_path, CONSENTS, _columns(quantity={"value": 1})))


def test_a_source_of_withdrawals_may_be_empty_one_of_orders_may_not(tmp_path):
    calls = {"name": "calls", "type": "webhooks", "grain": "consent", "vendor": "shopify"}
    settings = declare(tmp_path, LINES, calls)
    assert sources_with_rows(settings) == ["shop"]
