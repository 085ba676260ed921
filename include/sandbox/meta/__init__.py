"""The double of Meta's Graph API v26.0 around customer-file custom audiences.

Sources: Meta's custom-audience guide and references; for the answers of /users, recorded
exchanges; for the refusal of a removal, the words users reported. Audiences change at once here,
where Meta takes up to a day.
"""

from __future__ import annotations

from include.sandbox.meta.routes import create_app

__all__ = ["create_app"]
