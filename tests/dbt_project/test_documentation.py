"""The models as a data product: described, owned, under contract, and told who may use them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import pytest

from include.activation.audiences import load_audiences
from include.dbt import target_path
from include.settings import PROJECT
from tests.dbt_project.shops import Shop

PUBLISHED = {"marts", "marts_private"}
QUESTIONS = PROJECT / "docs/questions.md"

Node = dict[str, Any]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Every table and view as the models make it, without a row."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    shop.build("--empty", "--exclude-resource-type", "test")
    return shop


@pytest.fixture(scope="module")
def manifest(shop: Shop) -> Node:
    return json.loads((target_path(shop.settings) / "manifest.json").read_text())


@pytest.fixture(scope="module")
def models(manifest: Node) -> dict[str, Node]:
    """Models by their names."""
    nodes = manifest["nodes"].values()
    return {node["name"]: node for node in nodes if node["resource_type"] == "model"}


def test_every_model_seed_source_and_exposure_and_all_their_columns_are_described(manifest: Node):
    nodes = [*manifest["nodes"].values(), *manifest["sources"].values()]
    silent = [
        ".".join([node["name"], *column])
        for node in [*nodes, *manifest["exposures"].values()]
        if node["resource_type"] in {"model", "seed", "source", "exposure"}
        for column, described in (
            ((), node["description"]),
            *(((name,), c["description"]) for name, c in node.get("columns", {}).items()),
        )
        if not described.strip()
    ]
    assert silent == []


def test_every_column_that_is_built_is_described(shop: Shop, models: dict[str, Node]):
    """An audience's columns are those of the models it reads, under their names."""
    built = defaultdict(set)
    query = "select table_schema, table_name, column_name from information_schema.columns"
    for schema, table, column in shop.read(query):
        built[schema, table].add(column)
    undescribed = {
        name: sorted(missing)
        for name, node in models.items()
        if node["schema"] != "audiences"
        and (missing := built[node["schema"], node["alias"]] - node["columns"].keys())
    }
    assert undescribed == {}


def test_every_published_model_is_under_contract_public_and_begins_with_its_grain(
    models: dict[str, Node],
):
    published = {n: node for n, node in models.items() if node["schema"] in PUBLISHED}
    assert published
    for name, node in published.items():
        assert node["config"]["contract"]["enforced"], name
        assert node["access"] == "public", name
        assert re.match(r"(One row|Exactly one row)\b", node["description"]), name


def test_every_model_has_an_owner_and_nothing_unpublished_is_public(
    manifest: Node, models: dict[str, Node]
):
    owners = {group["name"]: group["owner"]["name"] for group in manifest["groups"].values()}
    for name, node in models.items():
        assert owners.get(node["config"]["group"]), name
        assert node["access"] in {"private", "protected"} or node["schema"] in PUBLISHED, name


def test_every_audience_is_tested_under_its_own_name(manifest: Node):
    tested = {
        node["attached_node"].split(".")[-1]
        for node in manifest["nodes"].values()
        if node.get("test_metadata", {}).get("name") == "audience_grain"
    }
    assert tested == {*load_audiences()}, "give each of them data_tests: [audience_grain]"


def test_every_sync_is_an_exposure_of_the_audiences_that_go_there(manifest: Node):
    exposed = {
        exposure["name"]: {parent.split(".")[-1] for parent in exposure["depends_on"]["nodes"]}
        for exposure in manifest["exposures"].values()
    }
    expected: dict[str, set[str]] = defaultdict(lambda: {"desired_memberships", "dim_contacts"})
    for audience in load_audiences().values():
        for target in audience.destinations:
            expected[f"{target.to}_sync"] |= {audience.name}
    syncs = {name: parents for name, parents in exposed.items() if name.endswith("_sync")}
    assert syncs == expected, "list them in models/activation/_activation__exposures.yml"


def test_every_published_table_answers_a_question(models: dict[str, Node]):
    told = set(re.findall(r"`([a-z_]+)`", QUESTIONS.read_text()))
    published = {node["alias"] for node in models.values() if node["schema"] in PUBLISHED}
    assert published - told == set(), f"say in {QUESTIONS.name} what they answer"
