from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from include.alerts import Alerts, Channel, Message, Trouble
from include.errors import Retry
from include.store import Store

SUBJECT = ("sync_audiences", "vips", "meta")


class Wall(Channel):
    """A channel that keeps what it is told, or is out of order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.is_broken = False

    def tell(self, message: Message) -> None:
        if self.is_broken:
            raise Retry("the wall is down")
        self.messages.append(message)

    @property
    def titles(self) -> list[str]:
        return [message.title for message in self.messages]


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def alerts(tmp_path: Path, wall: Wall) -> Alerts:
    return Alerts(Store(str(tmp_path)), lambda: wall)


def failing(step: str = "meta.send", kind="failing", subject=SUBJECT) -> Trouble:
    return Trouble(subject, step, kind, "the token is refused", "renew it", 41, "http://x/log")


def test_a_failure_is_told_once_and_the_recovery_once(alerts, wall):
    for _ in range(3):
        alerts.trouble(failing())
    assert wall.titles == ["sync_audiences / vips / meta fails"]
    assert wall.messages[0].text.splitlines() == [
        "meta.send: the token is refused",
        "Members who wait: 41",
        "What to do: renew it",
        "More: http://x/log",
    ]
    for _ in range(2):
        alerts.recovery(SUBJECT, "meta.send")
    assert wall.titles[1:] == ["sync_audiences / vips / meta works again"]
    alerts.trouble(failing())
    assert len(wall.titles) == 3


def test_what_was_well_all_along_is_not_told(alerts, wall, tmp_path):
    alerts.recovery(SUBJECT)
    assert wall.titles == []
    assert list(tmp_path.iterdir()) == []


def test_a_subject_is_well_again_when_all_its_steps_are(alerts, wall):
    alerts.trouble(failing("meta.send"))
    alerts.trouble(failing("meta.plan"))
    alerts.recovery(SUBJECT, "meta.plan")
    assert len(wall.titles) == 1
    alerts.recovery(SUBJECT, "meta.send")
    assert len(wall.titles) == 2


def test_the_end_of_a_subject_speaks_for_all_its_steps(alerts, wall):
    alerts.trouble(failing("meta.send"))
    alerts.recovery(SUBJECT)
    assert wall.titles[-1].endswith("works again")


def test_waiting_for_a_person_is_another_trouble_than_failing(alerts, wall):
    alerts.trouble(failing("meta.guard", "held_up"))
    alerts.trouble(failing("meta.guard", "held_up"))
    alerts.trouble(failing("meta.send"))
    assert [message.kind for message in wall.messages] == ["held_up", "failing"]


def test_each_subject_is_told_for_itself_whatever_it_is_called(alerts, wall, tmp_path):
    strange = ("ingest_orders", "../../../etc/passwd")
    alerts.trouble(failing(subject=("ingest_orders", "shop")))
    alerts.trouble(failing(subject=strange))
    assert len(wall.titles) == 2
    assert len(list((tmp_path / "alerts/ingest_orders").glob("*.json"))) == 2
    assert [path.name for path in (tmp_path / "alerts").iterdir()] == ["ingest_orders"]
    alerts.recovery(strange)
    assert len(wall.titles) == 3
    alerts.trouble(failing(subject=("..", "..", "x")))
    assert [path.name for path in tmp_path.iterdir()] == ["alerts"]


def test_an_alert_that_was_not_delivered_is_tried_again_at_the_next_failure(alerts, wall):
    wall.is_broken = True
    alerts.trouble(failing())
    wall.is_broken = False
    alerts.trouble(failing())
    alerts.trouble(failing())
    assert wall.titles == ["sync_audiences / vips / meta fails"]


def test_a_recovery_that_was_not_delivered_is_tried_again_at_the_next_success(alerts, wall):
    alerts.trouble(failing())
    wall.is_broken = True
    alerts.recovery(SUBJECT)
    wall.is_broken = False
    alerts.recovery(SUBJECT)
    alerts.recovery(SUBJECT)
    assert [message.kind for message in wall.messages] == ["failing", "recovered"]


def test_nobody_hears_of_a_recovery_who_never_heard_of_the_failure(alerts, wall):
    wall.is_broken = True
    alerts.trouble(failing())
    wall.is_broken = False
    alerts.recovery(SUBJECT)
    assert wall.titles == []


def test_steps_that_fail_at_the_same_instant_are_told_once_and_both_remembered(tmp_path):
    class Slow(Wall):
        """Takes its time: whoever comes meanwhile still sees a subject that is well."""

        def tell(self, message: Message) -> None:
            time.sleep(0.2)
            super().tell(message)

    wall, begin, steps = Slow(), Barrier(2), ("meta.plan", "meta.send")
    alerts = Alerts(Store(str(tmp_path)), lambda: wall)

    def fail(step: str) -> None:
        begin.wait()
        alerts.trouble(failing(step))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(fail, steps))

    assert [message.kind for message in wall.messages] == ["failing"]
    alerts.recovery(SUBJECT, steps[0])
    assert len(wall.messages) == 1
    alerts.recovery(SUBJECT, steps[1])
    assert [message.kind for message in wall.messages] == ["failing", "recovered"]


def test_without_a_channel_changes_are_in_the_log(tmp_path, caplog):
    alerts = Alerts(Store(str(tmp_path)), lambda: None)
    alerts.trouble(failing())
    alerts.trouble(failing())
    assert caplog.messages == ["alert: sync_audiences / vips / meta fails"]
