"""The shop as a whole: sums agree, nothing shrinks or grows beyond belief, consent holds."""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeBetween

EXPECTATIONS = [
    ExpectColumnValuesToBeBetween(
        column="customer_count",
        min_value=1,
        severity="critical",
        description="There are customers.",
        notes="Look at the raw gate's report: orders without customer_key make no customers.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_count",
        min_value=1,
        severity="critical",
        description="There are orders.",
        notes="Look at the raw gate's report, and at data_quality for what the rules leave out.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_line_count",
        min_value=1,
        severity="critical",
        description="There are order lines.",
        notes="Look at the raw gate's report, and at data_quality for what the rules leave out.",
    ),
    ExpectColumnValuesToBeBetween(
        column="customer_order_sum_difference",
        max_value=0.01,
        severity="critical",
        description="Customers have spent what their orders add up to.",
        notes="A model loses or repeats orders on the way to customers: mend it before publishing.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_after_as_of_count",
        max_value=0,
        severity="critical",
        description="No order is younger than the day everything is computed for.",
        notes="The models were built for another day: build again with the same --as-of.",
    ),
    ExpectColumnValuesToBeBetween(
        column="customer_from_the_future_count",
        max_value=0,
        severity="critical",
        description="No customer last bought after the day everything is computed for.",
        notes="The models were built for another day: build again with the same --as-of.",
    ),
    ExpectColumnValuesToBeBetween(
        column="days_since_previous_as_of",
        min_value=0,
        severity="warning",
        description="The day everything is computed for does not go back.",
        notes="Publishing an older day would bring every destination back to it; accept only if "
        "that is meant.",
    ),
    ExpectColumnValuesToBeBetween(
        column="newest_order_age_days",
        max_value=90,
        severity="critical",
        description="The newest order is not three months old.",
        notes="The sources have stopped delivering, or --as-of is wrong. Segments computed now "
        "would call every customer lapsed.",
    ),
    ExpectColumnValuesToBeBetween(
        column="customer_count_change",
        min_value=-0.2,
        severity="critical",
        description="The shop does not lose a fifth of its customers.",
        notes="Look for a source that is missing or a rule that leaves out too much.",
    ),
    ExpectColumnValuesToBeBetween(
        column="customer_count_change",
        min_value=-0.02,
        max_value=2,
        severity="warning",
        description="Customers do not shrink by 2 % nor triple.",
        notes="Accept after an erasure, a merge of identities, or when more history was loaded.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_count_change",
        min_value=-0.2,
        severity="critical",
        description="The shop does not lose a fifth of its orders.",
        notes="Look for a source that is missing or a rule that leaves out too much.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_count_change",
        min_value=-0.02,
        max_value=2,
        severity="warning",
        description="Orders do not shrink by 2 % nor triple.",
        notes="Accept after a deliberate correction, or when more history was loaded.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_count_change",
        max_value=0.5,
        severity="info",
        description="Orders do not grow by half.",
        notes="Nothing to do when more history was loaded.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_net_sum_change",
        min_value=-0.05,
        max_value=2,
        severity="warning",
        description="Net revenue of all time does not fall by 5 % nor triple.",
        notes="Look at amounts and signs of the newest orders: a refund read as a sale, or pence "
        "read as pounds.",
    ),
    ExpectColumnValuesToBeBetween(
        column="email_consent_share_change",
        min_value=-0.2,
        severity="critical",
        description="The share of customers with e-mail consent does not fall by twenty points.",
        notes="A source of contacts is missing or its consent column is read wrong: publishing "
        "now would take these people out of every e-mail audience.",
    ),
    ExpectColumnValuesToBeBetween(
        column="email_consent_share_change",
        min_value=-0.05,
        severity="warning",
        description="The share of customers with e-mail consent does not fall by five points.",
        notes="Look at the newest contacts; accept when many customers without consent were added.",
    ),
    ExpectColumnValuesToBeBetween(
        column="ads_consent_share_change",
        min_value=-0.05,
        severity="warning",
        description="The share of customers with consent to ads does not fall by five points.",
        notes="Look at the newest contacts; accept when many customers without consent were added.",
    ),
    ExpectColumnValuesToBeBetween(
        column="undeclared_membership_count",
        max_value=0,
        severity="critical",
        description="Nobody is to be sent to an audience that is not declared.",
        notes="Declare the audience in _audiences.yml or remove its model, then build again.",
    ),
    ExpectColumnValuesToBeBetween(
        column="vip_share",
        max_value=0.3,
        severity="info",
        description="VIPs are a minority.",
        notes="Look at the VIP thresholds in dbt_project.yml.",
    ),
    ExpectColumnValuesToBeBetween(
        column="lapsed_share_change",
        min_value=-0.1,
        max_value=0.1,
        severity="info",
        description="The share of lapsed customers moves by less than ten points.",
        notes="Many customers changed sides at once; look whether orders of the last days are "
        "whole.",
    ),
    ExpectColumnValuesToBeBetween(
        column="negative_customer_share",
        max_value=0.05,
        severity="info",
        description="Few customers got back more than they paid.",
        notes="Refunds may lack their orders because history begins too late.",
    ),
    ExpectColumnValuesToBeBetween(
        column="cancelled_order_share",
        max_value=0.3,
        severity="info",
        description="Most orders are not cancelled.",
        notes="Look at cancellation_prefix and the order status in sources.yml.",
    ),
]
