"""The double of Mailchimp's Marketing API 3.0, as far as an audience sync touches it.

Sources: Mailchimp's reference and OpenAPI description; where those are silent, recorded exchanges
and issue threads. What is an educated guess is said so at the spot.
"""

from __future__ import annotations

from include.sandbox.mailchimp.routes import create_app

__all__ = ["create_app"]
