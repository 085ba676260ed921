"""Tables for a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# What goes into a file or a pipe is not folded.
WIDE = 240
# A hash is longer than any name, and may be folded.
LONGEST_NAME = 40
GAP = 2


def make_console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, as wide as the terminal."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=WIDE)


def show_table(console: Console, title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows of equal keys; numbers stand right, words stay whole where there is room.

    The first column is what a row is called by: it stays whole before the others do.
    """
    if not rows:
        console.print(f"{title}: none", markup=False, highlight=False)
        return
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, GAP - 1, 0, 0),
        pad_edge=False,
    )
    headings = [key.replace("_", " ") for key in rows[0]]
    columns = [[_shown(row[key]) for row in rows] for key in rows[0]]
    widths = [
        min(LONGEST_NAME, max(map(_longest_word, [heading, *cells])))
        for heading, cells in zip(headings, columns, strict=True)
    ]
    has_room = sum(widths) + GAP * len(widths) <= console.width
    for place, (heading, cells) in enumerate(zip(headings, columns, strict=True)):
        table.add_column(
            heading,
            overflow="fold",
            justify="right" if any(cells) and all(map(_is_number, cells)) else "left",
            min_width=widths[place] if has_room else None,
            no_wrap=place == 0 and widths[0] <= console.width // 2,
        )
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    console.print(table)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(str(part) for part in value)
    return "" if value is None else str(value)


def _is_number(cell: str) -> bool:
    return not cell or cell.replace(",", "").replace(".", "", 1).isdigit()


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)
