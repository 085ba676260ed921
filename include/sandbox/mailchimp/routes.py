"""The paths of Mailchimp's API."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from include.sandbox.answers import Json, Refusal, answer_refusal
from include.sandbox.mailchimp.batches import add_batch_routes
from include.sandbox.mailchimp.contacts import (
    Contact,
    Lists,
    RowRefused,
    check_address,
    subscriber_hash,
)
from include.sandbox.mailchimp.ecommerce import add_store_routes
from include.sandbox.mailchimp.merge_fields import TYPES
from include.sandbox.mailchimp.problems import problem
from include.sandbox.mailchimp.requests import authorise, flag, instant, page, read_json
from include.sandbox.mailchimp.resources import (
    brief,
    list_resource,
    member_resource,
    merge_field_resource,
    segment_resource,
    shown,
)
from include.sandbox.truth import Truth, now

BATCH_SIZE = 500
TAG_LENGTH = 10
OPTIONAL_STATUSES = ("unsubscribed", "cleaned", "transactional")


def create_app(truth: Truth) -> FastAPI:
    """Mailchimp on its own; the paths begin below `/3.0`."""
    app = FastAPI(openapi_url=None, dependencies=[Depends(authorise)])
    app.add_exception_handler(Refusal, answer_refusal)
    app.add_exception_handler(HTTPException, unknown_path)
    lists = Lists(truth)
    add_list_routes(app, truth, lists)
    add_merge_field_routes(app, truth, lists)
    add_member_routes(app, truth, lists)
    add_segment_routes(app, truth, lists)
    add_store_routes(app, truth, lists)
    add_batch_routes(app, truth)
    return app


async def unknown_path(_: Request, error: Exception) -> Response:
    """Mailchimp's answer to a path or method it does not have."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    return problem("MethodNotAllowed" if status == 405 else "ResourceNotFound")


def add_list_routes(app: FastAPI, truth: Truth, lists: Lists) -> None:
    """Ping, lists, and the batch that writes up to 500 contacts."""

    @app.get("/ping")
    async def ping() -> Json:
        return Json({"health_status": "Everything's Chimpy!"})

    @app.get("/lists")
    async def all_lists(request: Request) -> Json:
        count, offset = page(request)
        rows = truth.all(
            "SELECT * FROM mailchimp_lists ORDER BY created_at, list_id LIMIT ? OFFSET ?",
            (count, offset),
        )
        content = {
            "lists": [list_resource(truth, row) for row in rows],
            "total_items": truth.count("SELECT count(*) FROM mailchimp_lists"),
            "constraints": {"may_create": False, "max_instances": 1, "current_total_instances": 1},
            "_links": [],
        }
        return shown(request, content)

    @app.get("/lists/{list_id}")
    async def one_list(request: Request, list_id: str) -> Json:
        return shown(request, list_resource(truth, lists.require(list_id)))

    @app.post("/lists/{list_id}")
    async def batch(request: Request, list_id: str) -> Json:
        body = await read_json(request)
        lists.require(list_id)
        members = body.get("members")
        if not isinstance(members, list) or not all(isinstance(m, dict) for m in members):
            raise Refusal(problem("InvalidResource", errors=[("members", "Not an array")]))
        if len(members) > BATCH_SIZE:
            raise Refusal(
                problem(
                    "InvalidResource",
                    errors=[("members", f"Schema describes at most {BATCH_SIZE} items")],
                )
            )
        return shown(request, write_batch(truth, lists, list_id, members, body, request))


def write_batch(
    truth: Truth,
    lists: Lists,
    list_id: str,
    members: list[dict[str, Any]],
    options: dict[str, Any],
    request: Request,
) -> dict[str, Any]:
    """Write each contact that can be written; the answer names the others."""
    update_existing = bool(options.get("update_existing"))
    skip_merge_validation = flag(request, "skip_merge_validation")
    skip_duplicates = flag(request, "skip_duplicate_check")
    fields = lists.fields(list_id)
    ids = [subscriber_hash(str(member.get("email_address", "")).strip()) for member in members]
    found = lists.find(list_id, ids)
    contacts: dict[str, Contact] = {}
    tags: dict[str, list[str]] = {}
    errors: list[dict[str, str]] = []

    def refuse(member: dict[str, Any], text: str, code: str, field: str, message: str) -> None:
        errors.append(
            {
                "email_address": str(member.get("email_address", "")),
                "error": text,
                "error_code": code,
                "field": field,
                "field_message": message,
            }
        )

    for member, member_id in zip(members, ids, strict=True):
        row = found.get(member_id)
        if member_id in contacts:
            if not skip_duplicates:
                # A guess at the words; that a duplicate fails is documented.
                refuse(member, "Duplicate contact in this batch.", "ERROR_GENERIC", "", "")
            continue
        try:
            email = check_address(member.get("email_address"))
            known = row is not None and row["status"] not in ("archived", "forgotten")
            if known and not update_existing:
                refuse(
                    member,
                    f"{email} is already a list member, do you want to update? "
                    "please provide update_existing:true in the request body",
                    "ERROR_CONTACT_EXISTS",
                    "",
                    "",
                )
                continue
            # An item of a batch has no permissions: Mailchimp passes over what it does not know.
            member.pop("marketing_permissions", None)
            contacts[member_id] = lists.prepare(
                row, member_id, email, member, member.get("status"), fields, skip_merge_validation
            )
        except RowRefused as refused:
            refuse(member, refused.detail, "ERROR_GENERIC", refused.field, refused.field_message)
            continue
        if "tags" in member or options.get("sync_tags"):
            tags[member_id] = list(member.get("tags") or [])
    with truth.connection:
        lists.write(list_id, contacts.values())
        if tags:
            lists.set_tags(list_id, tags, replace=bool(options.get("sync_tags")))
    new = [contact for contact in contacts.values() if contact.row is None]
    updated = [contact for contact in contacts.values() if contact.row is not None]
    return {
        "new_members": [brief(list_id, c.id, c.email_address, c.status) for c in new],
        "updated_members": [brief(list_id, c.id, c.email_address, c.status) for c in updated],
        "errors": errors,
        "total_created": len(new),
        "total_updated": len(updated),
        "error_count": len(errors),
        "_links": [],
    }


def add_merge_field_routes(app: FastAPI, truth: Truth, lists: Lists) -> None:
    """Merge fields: list, create, read, change, delete."""

    def require(list_id: str, merge_id: str) -> Any:
        row = truth.one(
            "SELECT * FROM mailchimp_merge_fields WHERE list_id = ? AND merge_id = ?",
            (list_id, merge_id),
        )
        if row is None:
            raise Refusal(problem("ResourceNotFound"))
        return row

    @app.get("/lists/{list_id}/merge-fields")
    async def merge_fields(request: Request, list_id: str) -> Json:
        lists.require(list_id)
        count, offset = page(request)
        rows = truth.all(
            """
            SELECT * FROM mailchimp_merge_fields WHERE list_id = ?
            ORDER BY merge_id LIMIT ? OFFSET ?
            """,
            (list_id, count, offset),
        )
        content = {
            "merge_fields": [merge_field_resource(row) for row in rows],
            "list_id": list_id,
            "total_items": truth.count(
                "SELECT count(*) FROM mailchimp_merge_fields WHERE list_id = ?", (list_id,)
            ),
            "_links": [],
        }
        return shown(request, content)

    @app.post("/lists/{list_id}/merge-fields")
    async def create_merge_field(request: Request, list_id: str) -> Json:
        body = await read_json(request)
        lists.require(list_id)
        name, kind = body.get("name"), body.get("type")
        tag = str(body.get("tag") or f"MMERGE{len(lists.fields(list_id).types) + 1}").upper()
        complaints = []
        if not name:
            complaints.append(("name", "This value should not be blank."))
        if kind not in TYPES:
            complaints.append(("type", "The value you selected is not a valid choice."))
        if len(tag) > TAG_LENGTH:
            complaints.append(("tag", f"Tag must be {TAG_LENGTH} characters or less."))
        if complaints:
            raise Refusal(problem("InvalidResource", errors=complaints))
        if tag in lists.fields(list_id).types:
            raise Refusal(
                problem("InvalidResource", f'A Merge Field with the tag "{tag}" already exists.')
            )
        with truth.connection:
            number = truth.all(
                "SELECT max(merge_id) FROM mailchimp_merge_fields WHERE list_id = ?", (list_id,)
            )[0][0]
            truth.connection.execute(
                """
                INSERT INTO mailchimp_merge_fields (
                    list_id, merge_id, tag, name, type, required, default_value, public,
                    display_order, options, help_text
                ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
                (
                    list_id,
                    (number or 0) + 1,
                    tag,
                    name,
                    kind,
                    bool(body.get("required")),
                    str(body.get("default_value", "")),
                    bool(body.get("public")),
                    body.get("display_order", (number or 0) + 2),
                    json.dumps(body.get("options") or {}),
                    body.get("help_text", ""),
                ),
            )
        return Json(merge_field_resource(require(list_id, str((number or 0) + 1))))

    @app.get("/lists/{list_id}/merge-fields/{merge_id}")
    async def merge_field(request: Request, list_id: str, merge_id: str) -> Json:
        return shown(request, merge_field_resource(require(list_id, merge_id)))

    @app.patch("/lists/{list_id}/merge-fields/{merge_id}")
    async def change_merge_field(request: Request, list_id: str, merge_id: str) -> Json:
        body = await read_json(request)
        row = dict(require(list_id, merge_id))
        row.update((key, body[key]) for key in ("name", "required", "default_value") if key in body)
        if "options" in body:
            row["options"] = json.dumps(body["options"])
        with truth.connection:
            truth.connection.execute(
                """
                UPDATE mailchimp_merge_fields SET
                    name = :name, required = :required, default_value = :default_value,
                    options = :options
                WHERE list_id = :list_id AND merge_id = :merge_id
                """,
                row,
            )
        return Json(merge_field_resource(require(list_id, merge_id)))

    @app.delete("/lists/{list_id}/merge-fields/{merge_id}")
    async def delete_merge_field(list_id: str, merge_id: str) -> Response:
        require(list_id, merge_id)
        with truth.connection:
            truth.connection.execute(
                "DELETE FROM mailchimp_merge_fields WHERE list_id = ? AND merge_id = ?",
                (list_id, merge_id),
            )
        return Response(status_code=204)


def add_member_routes(app: FastAPI, truth: Truth, lists: Lists) -> None:
    """One contact at a time, and the listing of all."""

    def answer(request: Request, list_id: str, subscriber: str) -> Json:
        row = lists.require_member(list_id, subscriber)
        tags = lists.tags([row["member_number"]])
        resource = member_resource(row, lists.fields(list_id), tags)
        if asked := lists.permissions(list_id):
            given = json.loads(row["attributes"]).get("marketing_permissions", [])
            enabled = {one["marketing_permission_id"] for one in given if one["enabled"]}
            resource["marketing_permissions"] = [
                {"marketing_permission_id": one, "text": "Email", "enabled": one in enabled}
                for one in asked
            ]
        return shown(request, resource)

    def save(
        request: Request,
        list_id: str,
        row: Any,
        body: dict[str, Any],
        wanted: str | None,
    ) -> Json:
        skip = flag(request, "skip_merge_validation")
        try:
            if row is None or "email_address" in body:
                email = check_address(body.get("email_address"))
            else:
                email = row["email_address"]
            contact = lists.prepare(
                row, subscriber_hash(email), email, body, wanted, lists.fields(list_id), skip
            )
        except RowRefused as refused:
            raise Refusal(refused.problem()) from None
        if row is not None and contact.id != row["id"]:
            other = lists.find(list_id, [contact.id]).get(contact.id)
            if other is not None:
                raise Refusal(member_exists(contact.email_address))
        with truth.connection:
            lists.write(list_id, [contact])
            if body.get("tags"):
                lists.set_tags(list_id, {contact.id: body["tags"]}, replace=False)
        return answer(request, list_id, contact.id)

    @app.get("/lists/{list_id}/members")
    async def members(request: Request, list_id: str) -> Json:
        lists.require(list_id)
        count, offset = page(request)
        query = request.query_params
        rows, total = lists.listing(
            list_id,
            query.get("status"),
            instant(query.get("since_last_changed")),
            count,
            offset,
        )
        fields = lists.fields(list_id)
        tags = lists.tags(row["member_number"] for row in rows)
        content = {
            "members": [member_resource(row, fields, tags) for row in rows],
            "list_id": list_id,
            "total_items": total,
            "_links": [],
        }
        return shown(request, content)

    @app.post("/lists/{list_id}/members")
    async def add_member(request: Request, list_id: str) -> Json:
        body = await read_json(request)
        lists.require(list_id)
        member_id = subscriber_hash(str(body.get("email_address", "")).strip())
        row = lists.find(list_id, [member_id]).get(member_id)
        if row is not None and row["status"] not in ("archived", "forgotten"):
            raise Refusal(member_exists(str(body["email_address"])))
        return save(request, list_id, row, body, body.get("status"))

    @app.get("/lists/{list_id}/members/{subscriber}")
    async def member(request: Request, list_id: str, subscriber: str) -> Json:
        return answer(request, list_id, subscriber)

    @app.put("/lists/{list_id}/members/{subscriber}")
    async def put_member(request: Request, list_id: str, subscriber: str) -> Json:
        body = await read_json(request)
        lists.require(list_id)
        row = lists.member(list_id, subscriber)
        if row is None:
            member_id = subscriber_hash(str(body.get("email_address", "")).strip())
            row = lists.find(list_id, [member_id]).get(member_id)
        if row is None and "status_if_new" not in body:
            raise Refusal(
                problem("InvalidResource", errors=[("status_if_new", "This value is required.")])
            )
        wanted = body["status_if_new"] if row is None else body.get("status")
        return save(request, list_id, row, body, wanted)

    @app.patch("/lists/{list_id}/members/{subscriber}")
    async def patch_member(request: Request, list_id: str, subscriber: str) -> Json:
        body = await read_json(request)
        row = lists.require_member(list_id, subscriber)
        return save(request, list_id, row, body, body.get("status"))

    @app.delete("/lists/{list_id}/members/{subscriber}")
    async def archive_member(list_id: str, subscriber: str) -> Response:
        row = lists.require_member(list_id, subscriber)
        if row["status"] in ("cleaned", "pending", "archived"):
            refusal = problem(
                "MethodNotAllowed",
                "This list member cannot be removed. "
                "Can not archive a contact that is bounced, pending or archived",
            )
            refusal.headers["Allow"] = "GET, PUT"
            raise Refusal(refusal)
        with truth.connection:
            by = "api" if row["status"] == "subscribed" else row["status_by"]
            lists.set_status(row, "archived", by)
        return Response(status_code=204)

    @app.post("/lists/{list_id}/members/{subscriber}/actions/delete-permanent")
    async def delete_permanently(list_id: str, subscriber: str) -> Response:
        row = lists.require_member(list_id, subscriber)
        with truth.connection:
            lists.forget(row)
        return Response(status_code=204)

    @app.get("/lists/{list_id}/members/{subscriber}/tags")
    async def member_tags(request: Request, list_id: str, subscriber: str) -> Json:
        row = lists.require_member(list_id, subscriber)
        tags = lists.tags([row["member_number"]]).get(row["member_number"], [])
        return shown(request, {"tags": tags, "total_items": len(tags), "_links": []})

    @app.post("/lists/{list_id}/members/{subscriber}/tags")
    async def change_member_tags(request: Request, list_id: str, subscriber: str) -> Response:
        body = await read_json(request)
        row = lists.require_member(list_id, subscriber)
        tags = body.get("tags")
        if not isinstance(tags, list) or not all(
            isinstance(tag, dict)
            and tag.get("name")
            and tag.get("status") in ("active", "inactive")
            for tag in tags
        ):
            raise Refusal(problem("InvalidResource", errors=[("tags", "Name and status needed")]))
        with truth.connection:
            for tag in tags:
                change = lists.tag if tag["status"] == "active" else lists.untag
                change(lists.tag_id(list_id, tag["name"]), [row])
        return Response(status_code=204)


def member_exists(email: str) -> Response:
    """The answer to adding somebody who is there."""
    return problem(
        "InvalidResource",
        f"{email} is already a list member. Use PUT to insert or update list members.",
        "Member Exists",
    )


def add_segment_routes(app: FastAPI, truth: Truth, lists: Lists) -> None:
    """Segments; a static one is a tag."""

    def addresses(body: dict[str, Any], key: str) -> list[str]:
        given = body.get(key) or []
        if not isinstance(given, list) or len(given) > BATCH_SIZE:
            raise Refusal(
                problem(
                    "InvalidResource",
                    errors=[(key, f"Schema describes at most {BATCH_SIZE} addresses")],
                )
            )
        return [str(address).strip() for address in given]

    def split(list_id: str, given: list[str]) -> tuple[dict[str, Any], list[str]]:
        """The contacts on the list by id, and the addresses that are not on it."""
        by_id = {subscriber_hash(address): address for address in given}
        known = lists.reachable(list_id, by_id)
        return known, [address for key, address in by_id.items() if key not in known]

    def brief_row(row: Any) -> dict[str, Any]:
        return brief(row["list_id"], row["id"], row["email_address"], row["status"])

    @app.get("/lists/{list_id}/segments")
    async def segments(request: Request, list_id: str) -> Json:
        lists.require(list_id)
        count, offset = page(request)
        kind = request.query_params.get("type")
        rows = truth.all(
            """
            SELECT * FROM mailchimp_segments WHERE list_id = ? AND (? IS NULL OR type = ?)
            ORDER BY segment_id LIMIT ? OFFSET ?
            """,
            (list_id, kind, kind, count, offset),
        )
        total = truth.count(
            """
            SELECT count(*) FROM mailchimp_segments WHERE list_id = ? AND (? IS NULL OR type = ?)
            """,
            (list_id, kind, kind),
        )
        content = {
            "segments": [segment_resource(row) for row in rows],
            "list_id": list_id,
            "total_items": total,
            "_links": [],
        }
        return shown(request, content)

    @app.post("/lists/{list_id}/segments")
    async def create_segment(request: Request, list_id: str) -> Json:
        body = await read_json(request)
        lists.require(list_id)
        name = body.get("name")
        static = "static_segment" in body
        if not name or not (static or "options" in body):
            raise Refusal(
                problem("InvalidResource", errors=[("name", "A name and a kind are required.")])
            )
        given = addresses(body, "static_segment")
        clash = truth.one(
            "SELECT 1 FROM mailchimp_segments WHERE list_id = ? AND lower(name) = lower(?)",
            (list_id, name),
        )
        if clash:
            # The words of issue threads: "Sorry, that tag already exists."
            raise Refusal(problem("BadRequest", "Sorry, that tag already exists."))
        known, _ = split(list_id, given)
        kind, options = ("static", "{}") if static else ("saved", json.dumps(body["options"]))
        with truth.connection:
            segment_id = lists.create_segment(list_id, name, kind, options)
            lists.tag(segment_id, known.values())
        return Json(segment_resource(lists.require_segment(list_id, str(segment_id))))

    @app.get("/lists/{list_id}/segments/{segment_id}")
    async def segment(request: Request, list_id: str, segment_id: str) -> Json:
        return shown(request, segment_resource(lists.require_segment(list_id, segment_id)))

    @app.patch("/lists/{list_id}/segments/{segment_id}")
    async def rename_segment(request: Request, list_id: str, segment_id: str) -> Json:
        body = await read_json(request)
        row = lists.require_segment(list_id, segment_id)
        with truth.connection:
            truth.connection.execute(
                "UPDATE mailchimp_segments SET name = ?, updated_at = ? WHERE segment_id = ?",
                (body.get("name") or row["name"], now(), segment_id),
            )
        return Json(segment_resource(lists.require_segment(list_id, segment_id)))

    @app.delete("/lists/{list_id}/segments/{segment_id}")
    async def delete_segment(list_id: str, segment_id: str) -> Response:
        lists.require_segment(list_id, segment_id)
        with truth.connection:
            truth.connection.execute(
                "DELETE FROM mailchimp_segment_members WHERE segment_id = ?", (segment_id,)
            )
            truth.connection.execute(
                "DELETE FROM mailchimp_segments WHERE segment_id = ?", (segment_id,)
            )
        return Response(status_code=204)

    @app.post("/lists/{list_id}/segments/{segment_id}")
    async def change_segment(request: Request, list_id: str, segment_id: str) -> Json:
        body = await read_json(request)
        row = lists.require_segment(list_id, segment_id)
        if row["type"] != "static":
            raise Refusal(
                problem(
                    "ResourceNotFound",
                    f"A Static Segment with an id of {segment_id} does not exist",
                )
            )
        to_add, not_added = split(list_id, addresses(body, "members_to_add"))
        to_remove, not_removed = split(list_id, addresses(body, "members_to_remove"))
        with truth.connection:
            added = lists.tag(row["segment_id"], to_add.values())
            removed = lists.untag(row["segment_id"], to_remove.values())
            if added or removed:
                truth.connection.execute(
                    "UPDATE mailchimp_segments SET updated_at = ? WHERE segment_id = ?",
                    (now(), row["segment_id"]),
                )
        errors = [
            {"email_addresses": absent, "error": f"Email address does not exist: cannot {verb}"}
            for absent, verb in ((not_added, "add"), (not_removed, "remove"))
            if absent
        ]
        content = {
            "members_added": [brief_row(row) for row in added],
            "members_removed": [brief_row(row) for row in removed],
            "errors": errors,
            "total_added": len(added),
            "total_removed": len(removed),
            "error_count": len(not_added) + len(not_removed),
            "_links": [],
        }
        return shown(request, content)

    @app.get("/lists/{list_id}/segments/{segment_id}/members")
    async def segment_members(request: Request, list_id: str, segment_id: str) -> Json:
        lists.require_segment(list_id, segment_id)
        count, offset = page(request)
        rows, total = lists.tagged(
            segment_id,
            ["subscribed"] + [s for s in OPTIONAL_STATUSES if flag(request, f"include_{s}")],
            count,
            offset,
        )
        fields = lists.fields(list_id)
        content = {
            "members": [member_resource(row, fields, {}) for row in rows],
            "total_items": total,
            "_links": [],
        }
        return shown(request, content)

    @app.delete("/lists/{list_id}/segments/{segment_id}/members/{subscriber}")
    async def remove_from_segment(list_id: str, segment_id: str, subscriber: str) -> Response:
        lists.require_segment(list_id, segment_id)
        row = lists.require_member(list_id, subscriber)
        with truth.connection:
            lists.untag(int(segment_id), [row])
        return Response(status_code=204)
