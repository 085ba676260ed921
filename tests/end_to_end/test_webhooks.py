"""A shop calls, and a real Airflow ingests what it said without waiting for the night."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from include.local.rest import FINISHED, Airflow
from include.local.stack import Stack, prepare
from tests.include.sources.shops import ANN, LINES, declare, raw, write_csv
from tests.include.test_webhooks import BODY, SECRET, SHOPIFY, shopify_headers
from tests.sandbox_server import free_port
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)


def test_a_call_of_the_shop_wakes_the_ingest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "shopify", "extra": {"webhook_secret": SECRET}}
    monkeypatch.setenv("AIRFLOW_CONN_SHOPIFY_DEFAULT", json.dumps(connection))
    settings = declare(
        tmp_path,
        LINES | {"name": "orders"},
        SHOPIFY,
        airflow_port=free_port(),
        sandbox_port=free_port(),
        lock_wait_seconds=60,
    )
    write_csv(tmp_path / "export/orders.csv", [ANN])
    since = datetime.now(UTC)
    with Stack(settings) as stack, Airflow(stack.address.airflow) as airflow:
        prepare(airflow)
        url = f"{stack.address.airflow}/webhooks/shop"
        forged, signed = shopify_headers(BODY, "no"), shopify_headers(BODY)
        assert httpx.post(url, content=BODY, headers=forged, timeout=60).status_code == 401
        assert httpx.post(url, content=BODY, headers=signed, timeout=60).status_code == 200
        run = wait_for_ingest(airflow, since)
    assert (run["run_type"], run["state"]) == ("asset_triggered", "success")
    [consent] = raw(settings, "consents")
    assert (consent["customer_id"], consent["state"]) == ("shop:7", "withdrawn")


def wait_for_ingest(airflow: Airflow, since: datetime) -> dict[str, str]:
    def ended() -> dict[str, str] | None:
        runs = (run for run in airflow.runs(since) if run["dag_id"] == "ingest_orders")
        return next((run for run in runs if run["state"] in FINISHED), None)

    return until(ended, look_again=1)
