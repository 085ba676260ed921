"""What a shop holds. A record is a JSON document; the columns beside it are for the lists."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS woocommerce_shop (
    gmt_offset INTEGER NOT NULL DEFAULT 1,
    sorts_by_modified INTEGER NOT NULL DEFAULT 1,
    lists_refunds INTEGER NOT NULL DEFAULT 1,
    next_id INTEGER NOT NULL DEFAULT 1
);

INSERT INTO woocommerce_shop (gmt_offset)
SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM woocommerce_shop);

-- kind: order, refund, customer, product or variation. parent_id: a refund's order, a variation's
-- product. status of a customer: the role. Dates are GMT, as text that sorts.
CREATE TABLE IF NOT EXISTS woocommerce_records (
    kind TEXT NOT NULL,
    id INTEGER NOT NULL,
    parent_id INTEGER NOT NULL DEFAULT 0,
    status TEXT NOT NULL,
    created TEXT NOT NULL,
    modified TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS woocommerce_records_by_change
ON woocommerce_records (kind, modified, id);
"""

TABLES = ("woocommerce_shop", "woocommerce_records")
