"""The customers are spread over the segments, and do not move between them all at once."""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeBetween

EXPECTATIONS = [
    ExpectColumnValuesToBeBetween(
        column="customer_share",
        max_value=0.9,
        severity="info",
        description="No segment holds nine tenths of the customers.",
        notes="The scores tell nobody apart; look at recency and frequency in the customers table.",
    ),
    ExpectColumnValuesToBeBetween(
        column="customer_share_change",
        min_value=-0.15,
        max_value=0.15,
        severity="info",
        description="No segment gains or loses fifteen points of the customers.",
        notes="Many customers changed segments at once; look whether the newest orders are whole.",
    ),
]
