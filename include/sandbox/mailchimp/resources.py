"""Resources as Mailchimp shows them, cut to the fields a query asks for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from include.sandbox.answers import Json, Refusal
from include.sandbox.mailchimp.merge_fields import MergeFields
from include.sandbox.mailchimp.problems import problem
from include.sandbox.truth import Truth

Tree = dict[str, "Tree"]


def _tree(paths: str) -> Tree:
    tree: Tree = {}
    for path in filter(None, paths.split(",")):
        branch = tree
        for part in path.strip().split("."):
            branch = branch.setdefault(part, {})
    return tree


def _keep(content: Any, tree: Tree) -> Any:
    if not tree:
        return content
    if isinstance(content, list):
        return [_keep(item, tree) for item in content]
    if not isinstance(content, dict):
        return content
    return {key: _keep(content[key], branch) for key, branch in tree.items() if key in content}


def _drop(content: Any, tree: Tree) -> Any:
    if isinstance(content, list):
        return [_drop(item, tree) for item in content]
    if not isinstance(content, dict):
        return content
    return {
        key: _drop(value, tree[key]) if key in tree else value
        for key, value in content.items()
        if tree.get(key) != {}
    }


def shown(request: Request, content: dict[str, Any]) -> Json:
    """The answer, cut to the query's `fields` or `exclude_fields` (dotted, comma-separated)."""
    fields = ",".join(request.query_params.getlist("fields"))
    excluded = ",".join(request.query_params.getlist("exclude_fields"))
    if fields and excluded:
        raise Refusal(problem("InvalidResource", "Use either fields or exclude_fields, not both."))
    tree = _tree(fields or excluded)
    unknown = [key for key in tree if key not in content]
    if unknown:
        raise Refusal(problem("RequestedFieldsInvalid", errors=[(unknown[0], "Unknown field")]))
    if fields:
        content = _keep(content, tree)
    elif excluded:
        content = _drop(content, tree)
    return Json(content)


def member_resource(
    row: sqlite3.Row, fields: MergeFields, tags: Mapping[int, list[dict[str, Any]]]
) -> dict[str, Any]:
    """A contact as Mailchimp shows it."""
    held = json.loads(row["merge_fields"])
    attributes = json.loads(row["attributes"])
    own_tags = tags.get(row["member_number"], [])
    resource = {
        "id": row["id"],
        "email_address": row["email_address"],
        "unique_email_id": row["id"][:10],
        "contact_id": row["id"],
        "full_name": f"{held.get('FNAME', '')} {held.get('LNAME', '')}".strip(),
        "web_id": row["member_number"],
        "email_type": attributes.get("email_type", "html"),
        "status": row["status"],
        "consents_to_one_to_one_messaging": True,
        "merge_fields": fields.shown(held),
        "interests": attributes.get("interests", {}),
        "stats": {"avg_open_rate": 0, "avg_click_rate": 0},
        "ip_signup": attributes.get("ip_signup", ""),
        "timestamp_signup": attributes.get("timestamp_signup", ""),
        "ip_opt": attributes.get("ip_opt", ""),
        "timestamp_opt": row["opted_in_at"],
        "member_rating": 2,
        "last_changed": row["last_changed"],
        "language": attributes.get("language", ""),
        "vip": bool(attributes.get("vip", False)),
        "email_client": "",
        "location": attributes.get("location", {"latitude": 0, "longitude": 0}),
        "source": "API - Generic",
        "tags_count": len(own_tags),
        "tags": own_tags,
        "list_id": row["list_id"],
        "_links": [],
    }
    if row["status"] == "unsubscribed":
        by_admin = row["status_by"] in ("api", "admin")
        resource["unsubscribe_reason"] = (
            "N/A (Unsubscribed by admin)" if by_admin else "No reason given"
        )
    return resource


def brief(list_id: str, id: str, email_address: str, status: str) -> dict[str, Any]:
    """A contact in the answer to a batch: less than Mailchimp shows, to stay quick."""
    return {"id": id, "email_address": email_address, "status": status, "list_id": list_id}


def segment_resource(row: sqlite3.Row) -> dict[str, Any]:
    """A segment as Mailchimp shows it."""
    return {
        "id": row["segment_id"],
        "name": row["name"],
        "member_count": row["member_count"],
        "type": row["type"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "options": json.loads(row["options"]),
        "list_id": row["list_id"],
        "_links": [],
    }


def merge_field_resource(row: sqlite3.Row) -> dict[str, Any]:
    """A merge field as Mailchimp shows it."""
    return {
        "merge_id": row["merge_id"],
        "tag": row["tag"],
        "name": row["name"],
        "type": row["type"],
        "required": bool(row["required"]),
        "default_value": row["default_value"],
        "public": bool(row["public"]),
        "display_order": row["display_order"],
        "options": json.loads(row["options"]),
        "help_text": row["help_text"],
        "list_id": row["list_id"],
        "_links": [],
    }


def list_resource(truth: Truth, row: sqlite3.Row) -> dict[str, Any]:
    """A list as Mailchimp shows it."""
    statuses = truth.statuses(row["list_id"])
    merge_fields = truth.count(
        "SELECT count(*) FROM mailchimp_merge_fields WHERE list_id = ?", (row["list_id"],)
    )
    permissions = truth.count(
        "SELECT count(*) FROM mailchimp_permissions WHERE list_id = ?", (row["list_id"],)
    )
    return {
        "id": row["list_id"],
        "web_id": 1,
        "name": row["name"],
        "permission_reminder": "You signed up in our shop.",
        "use_archive_bar": False,
        "date_created": row["created_at"],
        "list_rating": 0,
        "email_type_option": False,
        "visibility": "prv",
        "double_optin": bool(row["double_optin"]),
        "has_welcome": False,
        "marketing_permissions": permissions > 0,
        "stats": {
            "member_count": statuses["subscribed"],
            "total_contacts": sum(statuses.values()),
            "unsubscribe_count": statuses["unsubscribed"],
            "cleaned_count": statuses["cleaned"],
            "merge_field_count": merge_fields,
            "campaign_count": 0,
            "open_rate": 0,
            "click_rate": 0,
        },
        "_links": [],
    }
