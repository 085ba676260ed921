"""The Graph API's errors."""

from __future__ import annotations

import secrets
from typing import Any

from include.sandbox.answers import Json

VERSION = "v26.0"


def graph_error(
    code: int,
    message: str,
    subcode: int | None = None,
    title: str = "",
    text: str = "",
    kind: str = "OAuthException",
    status: int = 400,
    transient: bool = False,
) -> Json:
    """An error as the Graph API gives it."""
    error: dict[str, Any] = {
        "message": message,
        "type": kind,
        "code": code,
        "is_transient": transient,
        "fbtrace_id": secrets.token_urlsafe(12),
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    if title or text:
        error |= {"error_user_title": title, "error_user_msg": text}
    return Json({"error": error}, status, {"facebook-api-version": VERSION})


def error_with_status(status: int) -> Json:
    """A plain Graph error with this status, for a fault that brings no body of its own."""
    if status == 401:
        return expired_token()
    if status == 429:
        return graph_error(
            80003,
            "(#80003) There have been too many calls to this ad-account. Wait a bit and try again.",
            2446079,
            status=status,
        )
    return graph_error(
        2 if status >= 500 else 100,
        "An unexpected error has occurred. Please retry your request later.",
        status=status,
        transient=status >= 500,
    )


def expired_token() -> Json:
    """The answer to a token that is no longer valid."""
    return graph_error(
        190, "Error validating access token: the session has expired.", 463, status=401
    )


def missing_object(object_id: str) -> Json:
    """The answer about an object that is not there, or not this token's."""
    return graph_error(
        100,
        f"Unsupported request. Object with ID '{object_id}' does not exist, cannot be loaded due "
        "to missing permissions, or does not support this operation.",
        33,
        kind="GraphMethodException",
    )


def session_error(subcode: int, text: str) -> Json:
    """An upload session that takes no more batches."""
    return graph_error(2650, "(#2650) Failed to update the custom audience", subcode, text=text)
