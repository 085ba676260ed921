"""The server: both vendors, the page, and the routes that control the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from include.sandbox import meta, page
from include.sandbox.answers import Json
from include.sandbox.faults import Fault, Gate
from include.sandbox.google import routes as google
from include.sandbox.mailchimp import batches
from include.sandbox.mailchimp import routes as mailchimp
from include.sandbox.mailchimp.contacts import Lists
from include.sandbox.meta.errors import VERSION
from include.sandbox.receiver import routes as receiver
from include.sandbox.shopify import routes as shopify
from include.sandbox.tiktok import routes as tiktok
from include.sandbox.truth import Truth
from include.sandbox.woocommerce import routes as woocommerce


class Control(BaseModel):
    """A control request, which refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid")


class StatusChange(Control):
    """A person, an admin or the mail system changes a contact's status."""

    status: Literal["subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived"]
    by: Literal["user", "admin", "bounce", "complaint"] = "user"


class ListOptions(Control):
    """A list's settings; a list that is not there is made."""

    double_optin: bool = False
    marketing_permissions: list[str] = []


class AccountOptions(Control):
    """An ad account's settings; an account that is not there is made."""

    tos_accepted: bool = True


class AudienceOptions(Control):
    """An ad audience's state: its operation status, and the size no removal may go below."""

    operation_status: int | None = None
    minimum_size: int = Field(0, ge=0)


class Latency(Control):
    """How long every vendor call takes at least, the vendor's own work included."""

    milliseconds: float = Field(ge=0)


def create_app(database: Path, latency_ms: float = 0) -> Gate:
    """The sandbox over a database file, made if it is not there."""
    truth = Truth(database)
    app = FastAPI(title="Regulars sandbox", openapi_url=None)
    gate = Gate(app, truth, latency_ms / 1000)
    app.mount("/mailchimp/3.0", mailchimp.create_app(truth))
    app.mount(f"/meta/{VERSION}", meta.create_app(truth))
    app.mount("/shopify", shopify.create_app(truth))
    app.mount("/woocommerce/wp-json/wc/v3", woocommerce.create_app(truth))
    app.mount("/google/v1", google.create_app(truth))
    app.mount("/tiktok/open_api/v1.3", tiktok.create_app(truth))
    app.mount("/receiver", receiver.create_app(truth))
    app.include_router(page.create_router(truth, gate))
    app.include_router(shopify.create_world(truth))
    app.include_router(woocommerce.create_router(truth))
    app.include_router(batches.create_router(truth))
    app.include_router(google.create_router(truth))
    app.include_router(tiktok.create_router(truth))
    add_observation(app, truth, gate)
    add_world(app, truth)
    return gate


def add_observation(app: FastAPI, truth: Truth, gate: Gate) -> None:
    """Health, truth, calls, faults, latency, reset."""

    @app.get("/_health")
    async def health() -> Json:
        return Json({"status": "ok"})

    @app.get("/_truth")
    async def everything(summary: bool = False) -> Json:
        return Json(truth.summary() if summary else truth.everything())

    @app.get("/_calls")
    async def calls(since: int = 0) -> Json:
        return Json(truth.calls(since))

    @app.get("/_faults")
    async def faults() -> Json:
        return Json([fault.model_dump() for fault in gate.faults])

    @app.post("/_faults")
    async def add_faults(rules: list[Fault] | Fault) -> Json:
        gate.faults += rules if isinstance(rules, list) else [rules]
        return Json({"faults": len(gate.faults)})

    @app.delete("/_faults")
    async def remove_faults() -> Json:
        gate.clear_faults()
        return Json({"faults": 0})

    @app.get("/_held")
    async def held() -> Json:
        return Json({"calls": gate.held_calls})

    @app.post("/_latency")
    async def latency(wanted: Latency) -> Json:
        gate.latency = wanted.milliseconds / 1000
        return Json({"milliseconds": wanted.milliseconds})

    @app.post("/_reset")
    async def reset() -> Json:
        truth.reset()
        gate.clear_faults()
        gate.latency = 0
        return Json({"status": "ok"})


def add_world(app: FastAPI, truth: Truth) -> None:
    """What happens at the vendors without us: people unsubscribe, somebody changes a setting."""
    lists = Lists(truth)

    @app.post("/_mailchimp/{list_id}")
    async def change_list(list_id: str, options: ListOptions) -> Json:
        with truth.connection:
            if not truth.one("SELECT 1 FROM mailchimp_lists WHERE list_id = ?", (list_id,)):
                truth.create_list(list_id, list_id)
            truth.connection.execute(
                "UPDATE mailchimp_lists SET double_optin = ? WHERE list_id = ?",
                (options.double_optin, list_id),
            )
            truth.connection.execute(
                "DELETE FROM mailchimp_permissions WHERE list_id = ?", (list_id,)
            )
            truth.connection.executemany(
                "INSERT INTO mailchimp_permissions VALUES (?, ?)",
                [(list_id, permission) for permission in options.marketing_permissions],
            )
        return Json({"list_id": list_id, **options.model_dump()})

    @app.post("/_mailchimp/{list_id}/members/{subscriber}/status")
    async def change_status(list_id: str, subscriber: str, change: StatusChange) -> Json:
        row = lists.member(list_id, subscriber)
        if row is None:
            raise HTTPException(404, "no such member")
        with truth.connection:
            lists.set_status(row, change.status, change.by)
        return Json({"id": row["id"], **change.model_dump()})

    @app.post("/_meta/audiences/{audience_id}")
    async def change_audience(audience_id: int, options: AudienceOptions) -> Json:
        with truth.connection:
            changed = truth.connection.execute(
                """
                UPDATE meta_audiences SET operation_code = ?, minimum_size = ?
                WHERE audience_id = ?
                """,
                (options.operation_status, options.minimum_size, audience_id),
            )
        if not changed.rowcount:
            raise HTTPException(404, "no such audience")
        return Json({"audience_id": str(audience_id), **options.model_dump()})

    @app.post("/_meta/{account_id}")
    async def change_account(account_id: str, options: AccountOptions) -> Json:
        number = account_id.removeprefix("act_")
        with truth.connection:
            truth.connection.execute(
                "INSERT OR IGNORE INTO meta_accounts (account_id, name) VALUES (?, ?)",
                (number, account_id),
            )
            truth.connection.execute(
                "UPDATE meta_accounts SET tos_accepted = ? WHERE account_id = ?",
                (options.tos_accepted, number),
            )
        return Json({"account_id": f"act_{number}", **options.model_dump()})
