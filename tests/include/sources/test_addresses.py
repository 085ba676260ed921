from __future__ import annotations

import pytest

from include.sources.addresses import address_keys

DOOR = ("DE", "10117", "Große Straße 12 a")


@pytest.mark.parametrize(
    "written",
    [
        ("de ", "10117", "GROSSE STRASSE 12A"),
        ("DE", "101 17", "Große  Strasse, 12-a."),
        ("DE", "10117", "Große Stráße 12\ta"),
    ],
)
def test_one_door_has_one_key_however_it_is_written(written):
    first, second = address_keys([DOOR, written])
    assert first is not None
    assert first == second


@pytest.mark.parametrize(
    "other",
    [
        ("AT", "10117", "Große Straße 12 a"),
        ("DE", "10118", "Große Straße 12 a"),
        ("DE", "10117", "Große Straße 12 b"),
        ("DE", "10117", "Große Straße 1-2 a"),
        (None, "10117", "Große Straße 12 a"),
    ],
)
def test_another_door_has_another_key(other):
    first, second = address_keys([DOOR, other])
    assert first != second


def test_no_address_no_key():
    missing = [("DE", "10117", None), ("DE", " ", "Main Road 1"), (None, None, None)]
    assert address_keys(missing) == [None, None, None]
    assert address_keys([]) == []
