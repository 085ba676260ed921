"""Answers that are no GraphQL at all: a refused token, a server in trouble."""

from __future__ import annotations

from http import HTTPStatus

from starlette.responses import Response

from include.sandbox.answers import Json

BAD_TOKEN = "[API] Invalid API key or access token (unrecognized login or wrong password)"


def error_with_status(status: int) -> Response:
    """Shopify's answer of a status without more to say."""
    return Json({"errors": BAD_TOKEN if status == 401 else HTTPStatus(status).phrase}, status)
