"""Errors, chosen by what the caller should do about them.

`Retry`: the same call may go through later. `Stop`: a person must change something first.
`Reauthorise`: the credentials are refused, so that trying again only does harm. A single bad row is
no error: it is named in a receipt, or counted in a quarantine report.
"""

from __future__ import annotations

# No limit lasts for longer: who asks for years tells a moment in the place of seconds.
LONGEST_WAIT_SECONDS = 24 * 60 * 60


class RegularsError(Exception):
    """Any error that Regulars raises on purpose. Its text never holds personal data or a secret."""


class Retry(RegularsError):
    """The other side is busy or unreachable: try again, not before `after_seconds`.

    Whoever asks for longer than a day is asked again after a day.
    """

    def __init__(self, message: str, after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.after_seconds = (
            None if after_seconds is None else min(after_seconds, LONGEST_WAIT_SECONDS)
        )


class Stop(RegularsError):
    """Trying again changes nothing; the message says what to do."""


class Reauthorise(Stop):
    """The credentials are refused, expired or lack a permission."""


class BadInput(Stop):
    """A file, row, column or key is wrong; the message names it and says what to do."""


class GateFailed(Stop):
    """A quality gate refused to let the data through; its report says why."""


class GuardBreached(Stop):
    """A plan would change more than its audience's guard allows; nothing was sent."""
