"""The tasks of `pull_feedback`, against a running sandbox."""

from __future__ import annotations

import json

import pytest

from include.activation.statuses import statuses_path
from include.destinations.mailchimp import Mailchimp
from include.errors import Stop
from regulars_airflow import feedback
from tests.include.activation.shop import people
from tests.include.destinations.test_synced import OneDestination
from tests.plugins.conftest import connect


@pytest.fixture
def google(server, tmp_path, monkeypatch):
    """A shop that sends to Google, by Airflow's own connection."""
    server.reset()
    shop = OneDestination(tmp_path, server, "google")
    monkeypatch.setenv("REGULARS_HOME", str(tmp_path))
    connect(monkeypatch, "google", shop.credentials["google"])
    return shop


def test_before_the_first_sync_there_is_nobody_to_ask(shop):
    assert feedback.destinations() == []


def test_only_those_that_tell_something_afterwards_are_asked(shop):
    shop.publish(people(range(3)))
    shop.sync("mailchimp")
    shop.sync("meta")
    assert feedback.destinations() == ["mailchimp"]


def test_counts_of_batches_are_handed_on(google):
    google.publish(people(range(3)))
    google.bring()
    google.sandbox.post("/_google", {"processing_seconds": 3600})
    [standing] = feedback.pull("google")["standings"]
    assert (standing["processing"], standing["done"], standing["failed"]) == (1, 0, 0)
    google.sandbox.post("/_google", {"processing_seconds": 0})
    told = feedback.pull("google")
    assert told["standings"][0]["done"] == 1
    assert "person" not in json.dumps(told)


def test_a_batch_of_which_nobody_was_taken_is_an_error_that_names_audience_and_code(google):
    google.has_ads_consent = False
    google.publish(people(range(3)))
    google.bring()
    with pytest.raises(Stop, match=r"in: 1 of lapsed_vips \(denied_consent\)"):
        feedback.pull("google")


def test_who_has_left_at_mailchimp_is_known_without_a_sync(shop):
    wanted = people(range(3))
    shop.publish(wanted)
    shop.sync("mailchimp")
    path = f"/_mailchimp/regulars/members/{wanted[0].mailchimp_id}/status"
    shop.sandbox.post(path, {"status": "unsubscribed"})

    told = feedback.pull("mailchimp")

    assert told == {"standings": (), "contacts": {"subscribed": 2, "unsubscribed": 1}}
    assert shop.store.exists(statuses_path(Mailchimp(shop.credentials["mailchimp"])))
    assert feedback.pull("mailchimp") == told
