"""The destination is busy, fails, or answers something that is no answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from include.activation.calls import Patience
from include.destinations.mailchimp import Mailchimp
from include.errors import Reauthorise, Stop
from tests.faults.invariants import CANARY, FaultCase
from tests.include.activation.shop import Person, audience

pytestmark = pytest.mark.usefixtures("small_batches")

# The calls that carry people: Mailchimp's two, and Meta's.
CARRY = {"method": "POST", "path": "lists/regulars$|segments/[0-9]+$"}
REMOVE = {"mailchimp": {"when_body_contains": "members_to_remove"}, "meta": {"method": "DELETE"}}
USAGE = '{"1000": [{"type": "custom_audience", "estimated_time_to_regain_access": %d}]}'


PATIENT = Patience(attempts=6, first_wait=0.01, longest_wait=5, deadline=300)


# The answer's own Date has whole seconds.
SERVER_CLOCK_SECONDS = 1


def carry(case: FaultCase) -> dict[str, Any]:
    return CARRY if case.destination == "mailchimp" else {"method": "POST", "path": "users"}


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no other call is under way when an answer comes."""
    monkeypatch.setattr(Mailchimp, "connections", 1)


def gap_after(case: FaultCase, status: int) -> float:
    """Seconds from the first call that got this status to the next that began."""
    calls = case.writes()
    [first, *_] = [number for number, call in enumerate(calls) if call["status"] == status]
    gap: float = calls[first + 1]["at"] - calls[first]["at"]
    return gap


def test_case_04_an_error_of_the_server_before_it_applied_sends_the_batch_again(case: FaultCase):
    case.publish(range(7))
    for status, nth in ((500, 2), (502, 3), (503, 4)):
        case.sandbox.fault(**carry(case), action="status", status=status, nth=nth)
    assert case.sync().adds == 8
    case.check()


def test_case_05_a_timeout_after_the_server_applied_has_no_second_effect(case: FaultCase):
    case.publish(range(5))
    case.sandbox.fault(**carry(case), action="timeout_after_apply", seconds=0.1, times=2, nth=2)
    assert case.sync().adds == 6
    case.check()


@pytest.mark.parametrize("action", ["reset", "reset_after_apply", "half_body", "html", "slow"])
def test_case_06_a_reset_half_an_answer_or_a_slow_drip_has_no_second_effect(
    case: FaultCase, action: str
):
    case.publish(range(5))
    case.sandbox.fault(**carry(case), action=action, seconds=0.3, nth=2)
    assert case.sync().adds == 6
    case.check()


@pytest.mark.parametrize("nth", range(1, 12))
def test_case_06_a_good_status_without_the_answer_is_asked_again(case: FaultCase, nth: int):
    case.publish(range(3))
    declared = audience(fields=["vip_tier"])
    case.sandbox.fault(action="status", status=200, body={}, path=f"/{case.destination}/", nth=nth)
    assert case.sync(declared).adds == 4
    case.check(declared)


def test_case_06_a_body_that_is_cut_off_is_no_answer(case: FaultCase):
    case.publish(range(3))
    case.sandbox.fault(**carry(case), action="status", status=200, body='{"new_members": [{"em')
    assert case.sync().adds == 4
    case.check()


def test_case_07_rows_refused_within_a_good_answer_are_named_and_the_others_acknowledged(
    mailchimp: FaultCase,
):
    fake = Person("shop:fake", "coal.mine.fake@example.com")
    mailchimp.refused.add(fake.mailchimp_id)
    mailchimp.publish(range(3), extra=[fake])

    summary = mailchimp.sync()

    assert (summary.adds, summary.rejected) == (4, 1)
    mailchimp.check()
    [row] = [row for row in mailchimp.shop.state("mailchimp") if row["status"] == "rejected"]
    assert (row["customer_id"], row["code"]) == ("shop:fake", "invalid_address")


def test_case_07_entries_meta_calls_invalid_are_named(meta: FaultCase):
    bad = Person("shop:bad", "bad@shop.test")
    meta.publish([], extra=[bad])
    body = {
        "num_received": 2,
        "num_invalid_entries": 1,
        "invalid_entry_samples": {f'["{bad.meta_key}", ""]': "unreadable"},
    }
    meta.sandbox.fault(**carry(meta), action="status", status=200, body=body)

    summary = meta.sync()

    assert (summary.adds, summary.rejected) == (1, 1)
    [row] = [row for row in meta.shop.state("meta") if row["status"] == "rejected"]
    assert row["customer_id"] == "shop:bad"


def test_case_08_fewer_rows_counted_than_sent_are_never_acknowledged(case: FaultCase):
    case.publish(range(3))
    bodies = {
        "mailchimp": {"new_members": [], "updated_members": [], "errors": []},
        "meta": {"num_received": 1, "num_invalid_entries": 0, "invalid_entry_samples": []},
    }
    case.sandbox.fault(
        **carry(case), action="status_after_apply", status=200, body=bodies[case.destination]
    )
    assert case.sync().adds == 4
    case.check()


def test_case_10_a_revoked_token_stops_at_once_and_the_run_goes_on_with_a_new_one(case: FaultCase):
    case.publish(range(9))
    if case.destination == "meta":
        # As Meta puts it: 401 or 400, and code 190.
        body = {"error": {"message": "expired", "code": 190, "error_subcode": 463}}
        case.sandbox.fault(**carry(case), nth=3, times=None, action="status", status=400, body=body)
    else:
        case.sandbox.fault(**carry(case), nth=5, times=None, action="status", status=401)
    with pytest.raises(Reauthorise):
        case.sync()
    refused = [call for call in case.writes() if call["fault"]]
    connections = {"mailchimp": 10, "meta": 1}[case.destination]
    assert len(refused) <= connections
    case.check()


@pytest.mark.parametrize(
    ("code", "subcode"), [(100, 33), (2654, None), (471, None), (100, 1713230), (200, 1870050)]
)
def test_case_11_an_audience_meta_took_away_or_blocked_ends_the_run_and_is_not_made_anew(
    meta: FaultCase, code: int, subcode: int | None
):
    meta.publish(range(3))
    meta.sync()
    state = meta.shop.state("meta")
    meta.publish(range(6))
    body = {"error": {"message": CANARY.email, "code": code, "error_subcode": subcode}}
    meta.sandbox.fault(**carry(meta), times=None, action="status", status=400, body=body)

    with pytest.raises(Stop):
        meta.sync()

    assert meta.shop.state("meta") == state
    assert len(meta.sandbox.truth()["meta"]["audiences"]) == 1
    meta.check()


def test_case_11_a_tag_that_is_gone_ends_the_run_and_is_not_made_anew(mailchimp: FaultCase):
    mailchimp.publish(range(3))
    mailchimp.sync()
    state = mailchimp.shop.state("mailchimp")
    mailchimp.publish(range(6))
    mailchimp.sandbox.fault(path="segments/", times=None, action="status", status=404)

    with pytest.raises(Stop, match="no longer has the tag"):
        mailchimp.sync()

    assert mailchimp.shop.state("mailchimp") == state
    assert len(mailchimp.sandbox.truth()["mailchimp"]["lists"]["regulars"]["segments"]) == 1
    mailchimp.check()


@pytest.mark.parametrize(
    ("title", "code"),
    [
        ("", "no title"),
        ("Invalid Resource", "Invalid Resource"),
        ("Something new", "Something new"),
        # It could quote an address.
        ("Ressource ungültig", "of no known title"),
    ],
)
def test_case_15_a_title_nobody_has_seen_before_refuses_a_row_and_never_skips_it_silently(
    mailchimp: FaultCase, title: str, code: str
):
    odd = Person("shop:odd", "odd.one.out@shop.test")
    mailchimp.refused.add(odd.mailchimp_id)
    mailchimp.publish(range(3), extra=[odd])
    mailchimp.sandbox.fault(
        when_body_contains="odd.one.out",
        times=None,
        action="status",
        status=400,
        body={"title": title, "status": 400, "detail": f"{odd.email} is odd"},
    )

    summary = mailchimp.sync()

    assert (summary.adds, summary.rejected) == (4, 1)
    [receipt] = [r for r in mailchimp.shop.receipts("mailchimp") if r["rejected"]]
    [row] = receipt["not_accepted"]
    assert (row["customer_id"], row["code"]) == ("shop:odd", code)
    mailchimp.check()


@pytest.mark.parametrize("words", ["This e-mail seems wrong", "", "Adresse refusée"])
def test_case_15_words_nobody_has_seen_before_refuse_the_row_they_are_about(
    mailchimp: FaultCase, words: str
):
    odd = Person("shop:odd", "odd@shop.test")
    mailchimp.refused.add(odd.mailchimp_id)
    mailchimp.publish([], extra=[odd])
    row = {"email_address": CANARY.email, "status": "subscribed"}
    error = {"email_address": odd.email, "error": words, "error_code": "ERROR_NEW"}
    body = {"new_members": [row], "updated_members": [], "errors": [error]}
    mailchimp.sandbox.fault(**CARRY, action="status", status=200, body=body)

    assert mailchimp.sync().rejected >= 1

    rejected = {row["customer_id"]: row for row in mailchimp.shop.state("mailchimp")}
    assert rejected["shop:odd"]["code"] == "ERROR_NEW"
    assert rejected["shop:odd"]["class"] == "fix_data"


@pytest.mark.usefixtures("one_connection")
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_case_01_a_limit_with_retry_after_is_waited_for_in_either_form(case: FaultCase, form: str):
    case.publish(range(7))
    # A date has whole seconds only.
    moment = datetime.now(UTC) + timedelta(seconds=3)
    after = "1" if form == "seconds" else format_datetime(moment, usegmt=True)
    case.sandbox.fault(
        **carry(case),
        nth=2,
        action="status",
        status=429,
        body="",
        headers={"Retry-After": after},
    )
    assert case.sync(patience=PATIENT).adds == 8
    if form == "seconds":
        assert gap_after(case, 429) >= 0.95
    else:
        [limited] = [call["at"] for call in case.writes() if call["status"] == 429]
        resumed = limited + gap_after(case, 429)
        assert resumed >= moment.replace(microsecond=0).timestamp() - SERVER_CLOCK_SECONDS
    case.check()


@pytest.mark.usefixtures("one_connection")
@pytest.mark.parametrize(
    "headers",
    [{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, {"Retry-After": "soon"}, {}],
    ids=["past", "unreadable", "none"],
)
def test_case_16_a_date_in_the_past_still_waits_the_shortest_wait(
    case: FaultCase, headers: dict[str, str]
):
    case.publish(range(3))
    case.sandbox.fault(**carry(case), action="status", status=429, body="", headers=headers)
    assert case.sync(patience=Patience(attempts=3, first_wait=0.4, longest_wait=200)).adds == 4
    assert 0.4 <= gap_after(case, 429) < 100
    case.check()
