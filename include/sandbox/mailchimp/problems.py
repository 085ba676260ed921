"""Mailchimp's errors: RFC 7807 documents, by the names of its error glossary."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from include.sandbox.answers import Json

CONNECTIONS = 10

PROBLEM_TYPE = "https://mailchimp.com/developer/marketing/docs/errors/"
PROBLEM_LINK = (
    '<https://api.mailchimp.com/schema/3.0/ProblemDetailDocument.json>; rel="describedBy"'
)

# The error glossary: name in X-Trigger-Error -> status, title, detail.
GLOSSARY = {
    "BadRequest": (400, "Bad Request", "Your request could not be processed."),
    "InvalidAction": (400, "Invalid Action", "The action requested was not valid."),
    "InvalidResource": (400, "Invalid Resource", "The resource submitted could not be validated."),
    "JSONParseError": (400, "JSON Parse Error", "We encountered an error parsing your JSON."),
    "APIKeyMissing": (401, "API Key Missing", "Your request did not include an API key."),
    "APIKeyInvalid": (
        401,
        "API Key Invalid",
        "Your API key may be invalid, or you've attempted to access the wrong datacenter.",
    ),
    "Forbidden": (403, "Forbidden", "You are not permitted to access this resource."),
    "UserDisabled": (403, "User Disabled", "This account has been disabled."),
    "WrongDatacenter": (403, "Wrong Datacenter", "This key belongs to another data centre."),
    "ResourceNotFound": (404, "Resource Not Found", "The requested resource could not be found."),
    "MethodNotAllowed": (405, "Method Not Allowed", "The method and resource are incompatible."),
    "ResourceNestingTooDeep": (414, "Resource Nesting Too Deep", "The resource nests too deep."),
    "InvalidMethodOverride": (422, "Invalid Method Override", "Override only works with POST."),
    "RequestedFieldsInvalid": (
        422,
        "Requested Fields Invalid",
        "The requested fields are invalid.",
    ),
    "TooManyRequests": (
        429,
        "Too Many Requests",
        f"You have exceeded the limit of {CONNECTIONS} simultaneous connections.",
    ),
    "InternalServerError": (500, "Internal Server Error", "An unexpected error occurred."),
    "ComplianceRelated": (
        500,
        "Compliance Related",
        "This method has been disabled for your account.",
    ),
    "BadGateway": (502, "Bad Gateway", "An upstream server did not answer."),
    "ServiceUnavailable": (503, "Service Unavailable", "Please try again later."),
    "GatewayTimeout": (504, "Gateway Timeout", "An upstream server took too long."),
}


class Problem(Json):
    """An RFC 7807 answer."""

    media_type = "application/problem+json; charset=utf-8"


def problem(
    name: str, detail: str = "", title: str = "", errors: Iterable[tuple[str, str]] = ()
) -> Problem:
    """The answer for an entry of the glossary, with its own words where given."""
    status, glossary_title, glossary_detail = GLOSSARY[name]
    body: dict[str, Any] = {
        "type": PROBLEM_TYPE,
        "title": title or glossary_title,
        "status": status,
        "detail": detail or glossary_detail,
        "instance": str(uuid.uuid4()),
    }
    listed = [{"field": field, "message": message} for field, message in errors]
    if listed:
        body["errors"] = listed
    return Problem(body, status, {"Link": PROBLEM_LINK, "X-Request-Id": str(uuid.uuid4())})


def problem_with_status(status: int) -> Problem:
    """The glossary's first entry with this status, or one that says as little as it must."""
    for name, (listed, _, _) in GLOSSARY.items():
        if listed == status:
            return problem(name)
    body = {"type": PROBLEM_TYPE, "title": "Error", "status": status, "detail": "", "instance": ""}
    return Problem(body, status)
