"""Customers whom two categories share, counted by a matrix and by hand."""

from __future__ import annotations

from itertools import product

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from include.joint_customers import joint_customers

CUSTOMERS = ["ann", "ben", "cid", "dan"]
CATEGORIES = ["cats", "dogs", "toys"]


@settings(deadline=None, max_examples=50)
@given(bought=st.sets(st.tuples(st.sampled_from(CUSTOMERS), st.sampled_from(CATEGORIES))))
def test_categories_share_the_customers_who_are_found_in_both(bought):
    with duckdb.connect() as connection:
        connection.execute("create table purchases (customer_id varchar, category varchar)")
        for purchase in bought:
            connection.execute("insert into purchases values ($1, $2)", list(purchase))
        purchases = connection.table("purchases")
        found = joint_customers(
            purchases,
            connection.sql(f"select unnest({CUSTOMERS}) as customer_id"),
            purchases.select("category").distinct(),
        )
    buyers = {
        category: {customer for customer, of in bought if of == category} for category in CATEGORIES
    }
    assert {
        (row["category"], row["other_category"]): row["joint_customers"]
        for row in found.to_pylist()
    } == {
        (one, other): len(buyers[one] & buyers[other])
        for one, other in product(CATEGORIES, CATEGORIES)
        if buyers[one] & buyers[other]
    }
