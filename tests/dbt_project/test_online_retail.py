"""Two years of a real gift shop, from its file to its customers: what is known of them."""

from __future__ import annotations

from datetime import date

import pytest
import yaml

from include.landing import ingest
from include.settings import PROJECT, load_settings
from tests.dbt_project.shops import Shop

AS_OF = date(2011, 12, 10)
FILE = load_settings().test_data.absolute() / "online_retail_II.parquet"
DECLARATION = PROJECT / "examples/online_retail/sources.yml"

pytestmark = pytest.mark.skipif(
    not FILE.exists(), reason="REGULARS_TEST_DATA holds no online_retail_II.parquet"
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Shop:
    home = tmp_path_factory.mktemp("online_retail")
    declared = yaml.safe_load(DECLARATION.read_text())["sources"][0]
    sources = home / "sources.yml"
    sources.write_text(yaml.safe_dump({"sources": [declared | {"path": str(FILE)}]}))
    shop = Shop(home, sources=sources)
    ingest(shop.settings)
    shop.build(as_of=AS_OF)
    return shop


def test_every_raw_line_is_kept_or_removed_under_one_rule(shop):
    assert dict(
        shop.read("select rule, row_count from marts.data_quality where records = 'order_lines'")
    ) == {
        "sale": 788_189,
        "guest_sale": 226_882,
        "cancellation": 17_641,
        "guest_cancellation": 332,
        "non_product_skus": 5_723,
        "non_product_sku_prefixes": 100,
        "write_off_without_price": 3_393,
        "zero_price": 2_581,
        "excluded_order_prefix": 6,
    }


def test_the_two_largest_buyers_who_returned_it_all_are_no_vips(shop):
    assert shop.read(
        "select customer_id, order_count, net_spend::double, is_vip from marts.customers"
        " where customer_id in ('online_retail:12346', 'online_retail:16446') order by all"
    ) == [("online_retail:12346", 2, 169.36, False), ("online_retail:16446", 1, 2.9, False)]


def test_customers_segments_and_vips_are_the_known_ones(shop):
    segments = shop.read("select rfm_segment, count(*) from marts.customers group by 1")
    assert dict(segments) == {
        "champions": 795,
        "loyal_customers": 1_051,
        "potential_loyalists": 707,
        "new_customers": 71,
        "promising": 163,
        "need_attention": 287,
        "about_to_sleep": 424,
        "at_risk": 641,
        "cant_lose_them": 65,
        "hibernating": 1_635,
        None: 36,
    }
    assert shop.read("select vip_status, count(*) from marts.customers group by 1 order by 1") == [
        ("none", 5_318),
        ("vip", 516),
        ("vip_at_risk", 41),
    ]
