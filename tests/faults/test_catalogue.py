"""Every known case is tried by a test that bears its number, or stands here with the reason."""

from __future__ import annotations

import re
from pathlib import Path

from include.settings import PROJECT

CASES = range(1, 56)
MODELS = "decided by the models, and tried where they are built: "
# A case that is tried where its machinery is: the reason, and the test that tries it.
ELSEWHERE = {
    14: "Mailchimp's asynchronous batches are not used: every call answers for all its rows",
    28: "a lost state is never made good by a sync: "
    "tests/include/activation/test_sync.py::"
    "test_another_list_than_the_one_we_keep_account_of_is_refused",
    32: "the guard's own: tests/include/activation/test_sync.py::"
    "test_a_breached_guard_sends_nothing_until_a_person_approves_the_plan",
    37: f"{MODELS}tests/dbt_project/test_documents.py::"
    "test_discounts_refunds_and_payments_count_once_and_postage_and_tax_stand_apart",
    39: f"{MODELS}tests/dbt_project/test_documents.py::"
    "test_two_currencies_are_never_added_and_each_is_converted_at_its_day",
    42: f"{MODELS}tests/dbt_project/test_merges.py::"
    "test_who_was_erased_does_not_come_back_under_another_account",
    44: f"{MODELS}tests/dbt_project/test_builds.py::test_every_unit_test_of_the_models_passes",
    50: "what Airflow keeps: tests/plugins/test_syncing.py::"
    "test_tasks_exchange_counts_and_ids_only",
    51: "what a connection shows: tests/include/test_connections.py::"
    "test_an_unreadable_connection_does_not_show_its_secret",
    52: "what a run may be asked for: tests/plugins/test_runs.py::"
    "test_a_run_by_hand_without_an_audience_is_refused",
    53: "where a secret may go: tests/include/test_connections.py::"
    "test_a_secret_is_never_sent_in_the_clear",
    55: "what is installed is pinned with its hashes, and checked where it is installed",
}
NAMED = re.compile(r"^\s*def (test_case_(\d\d)_\w+)", re.MULTILINE)
PLACE = re.compile(r"(tests/\S+\.py)::(test_\w+)")


def tried() -> set[int]:
    """The numbers of the cases that have a test in this folder."""
    files = Path(__file__).parent.glob("test_*.py")
    return {int(number) for file in files for _, number in NAMED.findall(file.read_text())}


def test_every_case_is_tried_or_stands_with_a_reason():
    assert tried() | ELSEWHERE.keys() == set(CASES)


def test_a_test_that_is_named_elsewhere_is_there():
    for reason in ELSEWHERE.values():
        for file, name in PLACE.findall(reason):
            assert f"def {name}(" in (PROJECT / file).read_text(), name
