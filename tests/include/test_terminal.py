"""Tables at a terminal."""

from io import StringIO

import pytest
from rich.console import Console

from include.terminal import show_table

ROWS = [
    {"audience": "vip_tier_downgrade_risk", "members": 12, "destinations": ("mailchimp", "meta")},
    {"audience": "vips", "members": None, "destinations": ()},
]


def printed(width: int, rows=ROWS) -> str:
    out = StringIO()
    show_table(Console(file=out, width=width), "Audiences", rows)
    return out.getvalue()


@pytest.mark.parametrize("width", [48, 60, 200])
def test_a_name_stays_in_one_piece_where_there_is_room(width):
    assert "vip_tier_downgrade_risk" in printed(width)
    assert "mailchimp" in printed(width)


def test_the_name_of_a_row_stays_whole_where_others_do_not():
    assert "vip_tier_downgrade_risk" in printed(47)
    assert "destinations" not in printed(47)


def test_nothing_is_cut_where_there_is_no_room():
    letters = "".join(printed(20).split())

    assert all(part in letters for part in ("vip", "mail", "12"))
    assert max(map(len, printed(20).splitlines())) <= 20


def test_numbers_stand_right_and_words_left():
    lines = printed(80).splitlines()
    heading = next(line for line in lines if "members" in line)
    row = next(line for line in lines if "vip_tier" in line)

    assert row.index("12") + 2 == heading.index("members") + len("members")
    assert row.index("mailchimp") == heading.index("destinations")


def test_what_looks_like_markup_is_printed_as_it_is():
    assert "[red]no[/]" in printed(80, [{"reason": "[red]no[/]"}])


def test_no_rows_are_said_to_be_none():
    assert printed(80, []) == "Audiences: none\n"
