"""Webhooks at Airflow's API server, below `/webhooks`: each call that is kept wakes the ingest."""

from __future__ import annotations

from typing import Any

from airflow.assets.manager import asset_manager
from airflow.models.asset import AssetModel
from airflow.utils.session import create_session
from sqlalchemy import select

from include.settings import load_settings
from include.webhooks import create_app
from regulars_airflow.assets import WEBHOOKS
from regulars_airflow.hooks import source_credentials

PREFIX = "/webhooks"


def announce(source: str) -> None:
    """Let an event of the asset `webhooks` start `ingest_orders`; events in a row start it once."""
    with create_session() as session:
        asset = session.scalar(select(AssetModel).where(AssetModel.uri == WEBHOOKS.uri))
        if asset is None:
            # The DAG that waits for it has not been read yet; its first run brings the call in.
            return
        asset_manager.register_asset_change(
            asset=asset, extra={"source": source}, source_is_api=True, session=session
        )


def receiver() -> dict[str, Any]:
    """The application, as `AirflowPlugin.fastapi_apps` takes it.

    Callers are known by their signatures, which is why Airflow's own sign-in is not asked for.
    """
    app = create_app(load_settings(), source_credentials, announce)
    return {"app": app, "url_prefix": PREFIX, "name": "Regulars webhooks"}
