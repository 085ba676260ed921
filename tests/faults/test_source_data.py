"""Data that are wrong, late, twice or hostile, from the file to the destination."""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from include.activation.audiences import Guard
from include.destinations.mailchimp import Mailchimp
from include.destinations.meta import Meta
from include.errors import BadInput, GuardBreached, Retry
from include.landing import ingest
from include.settings import Settings
from tests.faults.invariants import CANARY, FaultCase
from tests.include.activation.shop import Person, audience
from tests.include.sources.shops import ANN, BEN, HEADER, LINES, declare, raw

COLUMNS = LINES["columns"]


def load(folder: Path, *files: tuple[str, bytes], **options: object) -> Settings:
    """A shop that exports these files, loaded."""
    settings = declare(folder, LINES | options)
    for name, content in files:
        (folder / "export" / name).write_bytes(content)
        ingest(settings)
    return settings


def csv(*rows: list[str], header: list[str] = HEADER) -> bytes:
    return "".join(",".join(row) + "\n" for row in [header, *rows]).encode()


def test_case_31_an_audience_that_is_suddenly_empty_takes_nobody_out(case: FaultCase):
    declared = audience(guard=Guard())
    case.publish(range(5))
    case.sync(declared)
    before = len(case.writes())
    case.shop.publish([], others=case.known.values())
    with pytest.raises(GuardBreached, match="Nothing was sent"):
        case.sync(declared)
    assert len(case.writes()) == before
    case.publish(range(5))
    case.check(declared)


def test_case_31_a_file_without_a_row_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="empty"):
        load(tmp_path, ("a.csv", b""))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(csv(*([ANN] * 3000)))[:-20]),
        ("a.csv.gz", b"\x1f\x8b" + bytes(200)),
        ("a.jsonl", b'{"order": "1", "at": "2026-01-05"'),
        ("a.csv", csv(ANN).replace(b"mug", b"m\0g")),
        ("a.csv", csv(ANN).replace(b"mug", "Grün".encode("cp1252"))),
        ("a.csv", csv(ANN, BEN)[:-9]),
    ],
    ids=["cut gzip", "flipped bits", "cut JSON", "NUL", "another encoding", "cut CSV"],
)
def test_case_33_a_damaged_file_is_put_aside_whole_and_the_good_ones_stay(
    tmp_path: Path, name: str, content: bytes
):
    settings = load(tmp_path, ("0.csv", csv(BEN)))
    held = raw(settings, "order_lines")
    with pytest.raises(BadInput, match=re.escape(name)):
        load(tmp_path, (name, content))
    assert raw(settings, "order_lines") == held
    assert list((Path(settings.store) / "quarantine/shop").glob("*.json"))


def test_case_33_a_byte_order_mark_and_carriage_returns_change_nothing(tmp_path: Path):
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    for folder in (plain, marked):
        folder.mkdir()
    content = csv(ANN, BEN)
    dressed = b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n")
    loads = ((plain, content), (marked, dressed))
    rows = [raw(load(folder, ("a.csv", file)), "order_lines") for folder, file in loads]
    for row in (*rows[0], *rows[1]):
        for name in ("file_modified_at", "loaded_at", "file_name"):
            row.pop(name, None)
    assert rows[0] == rows[1]


def test_case_34_a_new_column_is_accepted_and_a_missing_one_is_named(tmp_path: Path):
    more = csv([*ANN, "red"], header=[*HEADER, "colour"])
    settings = load(tmp_path, ("a.csv", more))
    assert len(raw(settings, "order_lines")) == 1
    with pytest.raises(BadInput, match=r"b\.csv.*'price'"):
        load(tmp_path, ("b.csv", csv(BEN).replace(b"price", b"cost", 1)))
    with pytest.raises(BadInput, match="column 'price'"):
        load(tmp_path, ("b.csv", csv([*BEN[:5], "four"])))


def test_case_35_an_order_that_comes_twice_or_out_of_order_is_there_once_in_its_newest_version(
    tmp_path: Path,
):
    versions = {
        name: [*ANN[:4], quantity, ANN[5], day]
        for name, quantity, day in (("a", "5", "2026-02-03"), ("b", "1", "2026-02-01"))
    }
    settings = load(
        tmp_path,
        *((f"{n}.csv", csv(v, header=[*HEADER, "updated"])) for n, v in versions.items()),
        ("c.csv", csv(versions["a"], header=[*HEADER, "updated"])),
        columns=COLUMNS | {"line_id": "sku", "updated_at": "updated"},
    )
    [line] = raw(settings, "order_lines")
    assert line["quantity"] == 5


def test_case_36_an_order_that_arrives_days_late_counts_on_its_own_day(tmp_path: Path):
    late = ["9", "2025-12-24", *BEN[2:]]
    settings = load(tmp_path, ("a.csv", csv(ANN, BEN)), ("b.csv", csv(late)))
    days = {line["order_id"]: line["ordered_date"] for line in raw(settings, "order_lines")}
    assert len(days) == 3
    assert days["shop:9"] == date(2025, 12, 24)


@pytest.mark.parametrize("price", ["NaN", "inf", "1e18", "4,50,3"])
def test_case_38_what_is_no_amount_is_refused_with_its_row(tmp_path: Path, price: str):
    content = json.dumps(dict(zip(HEADER, [*ANN[:5], price], strict=True))).encode() + b"\n"
    with pytest.raises(BadInput, match="row 1, column 'price'"):
        load(tmp_path, ("a.jsonl", content))


@pytest.mark.parametrize(
    ("currency", "worth"), [("EUR", "19.99"), ("JPY", "1999"), ("KWD", "1.999")]
)
def test_case_38_amounts_are_decimals_with_the_places_of_their_currency(
    tmp_path: Path, currency: str, worth: str
):
    settings = load(
        tmp_path,
        ("a.csv", csv([*ANN[:4], "1", "1999"])),
        amounts_in="minor_units",
        currency=currency,
    )
    [line] = raw(settings, "order_lines")
    assert line["unit_price"] == Decimal(worth)


@pytest.mark.parametrize(
    ("zone", "written", "instant", "day"),
    [
        ("Europe/Berlin", "2026-10-25T02:30:00+02:00", "2026-10-25 00:30:00", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T02:30:00+01:00", "2026-10-25 01:30:00", "2026-10-25"),
        ("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-29 01:00:00", "2026-03-29"),
        ("Europe/Berlin", "2026-06-30T22:30:00Z", "2026-06-30 22:30:00", "2026-07-01"),
        ("Asia/Kolkata", "2028-02-28T18:45:00Z", "2028-02-28 18:45:00", "2028-02-29"),
    ],
)
def test_case_40_instants_are_utc_and_days_are_those_of_the_shop(
    tmp_path: Path, zone: str, written: str, instant: str, day: str
):
    settings = load(tmp_path, ("a.csv", csv([ANN[0], written, *ANN[2:]])), time_zone=zone)
    [line] = raw(settings, "order_lines")
    assert line["ordered_at"] == datetime.fromisoformat(instant)
    assert line["ordered_date"] == date.fromisoformat(day)


def test_case_41_a_changed_address_moves_the_membership_in_one_plan(case: FaultCase):
    ann = Person("shop:ann", "ann@shop.test")
    case.publish(range(2), extra=[ann])
    case.sync()
    case.publish(range(2), extra=[replace(ann, email="ann@elsewhere.test")])
    summary = case.sync()
    assert (summary.adds, summary.removes, summary.batches) == (1, 1, 2)
    case.check()


def test_case_43_who_unsubscribed_bounced_or_complained_there_is_never_subscribed_again(
    mailchimp: FaultCase, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Mailchimp, "batch_size", 10)
    persons = [Person(f"shop:{n}", f"person{n}@shop.test") for n in range(30)]
    mailchimp.publish(extra=persons)
    mailchimp.sync()
    for number, status in enumerate(["unsubscribed", "cleaned", "archived", "transactional"] * 5):
        mailchimp.status(persons[number], status)
    changed = [replace(person, first_name="Anna") for person in persons]
    mailchimp.publish(extra=changed)
    assert mailchimp.sync().suppressed >= 20

    # They leave, and are wanted once more.
    mailchimp.publish()
    mailchimp.sync()
    mailchimp.publish(extra=changed)
    mailchimp.check()


def test_case_43_who_unsubscribes_while_a_plan_is_sent_is_not_subscribed_by_it(
    mailchimp: FaultCase,
):
    ann = Person("shop:ann", "ann@shop.test")
    mailchimp.publish(extra=[ann])
    mailchimp.sync()
    mailchimp.publish()
    mailchimp.sync()
    # After the statuses were pulled: the plan still takes her for a subscriber.
    mailchimp.publish(extra=[ann])
    mailchimp.sandbox.fault(method="POST", path="lists/regulars$", action="reset", times=4)
    with pytest.raises(Retry, match="could not be reached"):
        mailchimp.sync()
    mailchimp.sandbox.clear_faults()
    mailchimp.status(ann, "unsubscribed")
    mailchimp.check()


MALFORMED = [
    "test@test",
    "a b@shop.test",
    "a@shop.test, b@shop.test",
    "@shop.test",
    "nobody",
    "a@@shop.test",
    "   ",
    "",
]


def test_case_45_what_is_no_address_is_counted_and_never_sent(mailchimp: FaultCase):
    odd = [
        Person(f"shop:odd{n}", email) for n, email in enumerate([*MALFORMED, "a" * 250 + "@b.cd"])
    ]
    mailchimp.refused |= {person.mailchimp_id for person in odd}
    mailchimp.publish(range(2), extra=odd)
    summary = mailchimp.sync()
    assert (summary.adds, summary.unaddressable, summary.rejected) == (3, len(odd), 0)
    mailchimp.check()


def test_case_45_an_address_is_trimmed_and_lowered_and_nothing_else(case: FaultCase):
    written = [
        Person("shop:1", " Ann.Smith+Tag@Shop.Test "),
        Person("shop:2", "annsmith@shop.test"),
        Person("shop:3", "info@shop.test"),
        Person("shop:4", "jürgen@müller.test"),
    ]
    if case.destination == "mailchimp":
        # It takes no address outside of ASCII, and says so.
        case.refused.add(written[-1].mailchimp_id)
    case.publish(extra=written)
    assert case.sync().adds == 5 - len(case.refused)
    case.check()


def test_case_46_a_person_may_be_known_by_a_phone_in_e164_alone(meta: FaultCase):
    by_phone = Person("shop:phone", None, "+493012345678")
    key = f":{sha256(b'493012345678').hexdigest()}"
    meta.publish(extra=[by_phone])
    assert meta.sync().adds == 2
    assert key in meta.there()
    meta.check()


HOSTILE = [
    '=HYPERLINK("http://evil.test","x")',
    "<script>alert(1)</script>",
    "*|FNAME|* *|*||*EMAIL*||*|*",
    "{{ 7*7 }} {% raw %}",
    "Robert'); DROP TABLE members;--",
    "\u202eevil\u202c \U0001f480",
    "null\x00byte",
    "M" * 1_000_000,
]


def test_case_47_hostile_names_arrive_as_short_text_without_merge_tags(mailchimp: FaultCase):
    hostile = [
        Person(f"shop:h{n}", f"h{n}@shop.test", first_name=name.replace("\x00", "\x01"))
        for n, name in enumerate(HOSTILE)
    ]
    mailchimp.publish(extra=hostile)
    assert mailchimp.sync().adds == len(hostile) + 1
    for member in mailchimp.sandbox.members().values():
        name = member["merge_fields"].get("FNAME", "")
        assert not re.search(r"\*\||\|\*", name)
        assert not re.search(r"[\x00-\x1f\x7f]", name)
        assert len(name.encode()) <= 255
    mailchimp.check()


@pytest.mark.parametrize("size", [0, 1, 4, 5, 6, 10, 11])
def test_case_48_batches_are_exact_at_every_edge_and_no_call_is_empty(
    case: FaultCase, monkeypatch: pytest.MonkeyPatch, size: int
):
    for destination in (Mailchimp, Meta):
        monkeypatch.setattr(destination, "batch_size", 5)
    case.publish(range(size))
    case.sync()
    assert len(case.batches()) == -(-(size + 1) // 5)
    receipts = case.shop.receipts(case.destination)
    assert [receipt["sent"] for receipt in receipts[:-1]] == [5] * (len(receipts) - 1)
    assert receipts[-1]["sent"] == (size % 5) + 1
    case.check()


def test_case_48_a_full_batch_and_one_more_at_the_vendors_own_size(mailchimp: FaultCase):
    mailchimp.publish(range(Mailchimp.batch_size))
    assert mailchimp.sync().batches == 2
    assert len(mailchimp.batches()) == 2
    mailchimp.check()


def test_case_49_two_customers_with_one_address_are_one_row_the_same_each_time(case: FaultCase):
    twins = [
        Person("shop:b", "twin@shop.test", first_name="Ben"),
        Person("shop:a", "twin@shop.test", first_name="Ann"),
    ]
    case.publish(extra=twins)
    assert case.sync().adds == 2
    case.shop.publish([CANARY, *reversed(twins)])
    assert case.sync().plan_id is None
    case.check()
