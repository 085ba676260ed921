"""How many customers buy in two categories: the product of a sparse matrix with itself.

In SQL it is a join of all purchases with themselves, which makes a row of every customer's every
pair of categories.
"""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

Relation = duckdb.DuckDBPyRelation

JOINT = pa.schema(
    {"category": pa.string(), "other_category": pa.string(), "joint_customers": pa.int64()}
)


def joint_customers(purchases: Relation, customers: Relation, categories: Relation) -> pa.Table:
    """One row per two categories that somebody bought in both of, as `int_joint_customers` has it.

    `purchases` is `int_customer_categories`, one row per customer and category; `customers` and
    `categories` hold each of them once.
    """
    names = categories.order("category").fetchnumpy()["category"]
    rows = customers.project("customer_id, cast(row_number() over () - 1 as integer) as i")
    columns = categories.project(
        "category, cast(row_number() over (order by category) - 1 as integer) as j"
    )
    bought = (
        purchases.set_alias("purchases")
        .join(rows.set_alias("rows"), "customer_id")
        .join(columns.set_alias("columns"), "category")
        .select("i, j")
        .fetchnumpy()
    )
    i, j = (np.asarray(bought[name]) for name in "ij")
    shape = (int(i.max(initial=-1)) + 1, len(names))
    matrix = csr_array((np.ones(len(i), dtype=np.int32), (i, j)), shape=shape)
    joint = (matrix.T @ matrix).tocoo()
    return pa.table([names[joint.row], names[joint.col], joint.data.astype(np.int64)], schema=JOINT)
