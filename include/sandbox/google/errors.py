"""Errors as Google's APIs give them: a status, and details of several types."""

from __future__ import annotations

import secrets
from typing import Any

from include.sandbox.answers import Json

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
TYPES = "type.googleapis.com/google.rpc."


def google_error(
    status: int, message: str, reason: str = "", violations: list[dict[str, str]] | None = None
) -> Json:
    """An error; `violations` name fields, and each has a reason of its own."""
    name = STATUSES.get(status, "UNKNOWN")
    details: list[dict[str, Any]] = [
        {
            "@type": f"{TYPES}ErrorInfo",
            "reason": reason or name,
            "domain": "datamanager.googleapis.com",
        },
        {"@type": f"{TYPES}RequestInfo", "requestId": secrets.token_urlsafe(16)},
    ]
    if violations:
        details.append({"@type": f"{TYPES}BadRequest", "fieldViolations": violations})
    error = {"code": status, "message": message, "status": name, "details": details}
    return Json({"error": error}, status)


def violation(field: str, reason: str, description: str) -> dict[str, str]:
    """One thing that is wrong with a request."""
    return {"field": field, "description": description, "reason": reason}


def invalid(field: str, reason: str, description: str) -> Json:
    """A request that is refused for one field."""
    problem = [violation(field, reason, description)]
    return google_error(400, "There was a problem with the request.", reason, problem)


def error_with_status(status: int) -> Json:
    """A plain error with this status, for a fault that brings no body of its own."""
    return google_error(status, "The service is currently unavailable.")
