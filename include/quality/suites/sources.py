"""Every declared source is there, is whole, and is no older than it should be."""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeBetween

EXPECTATIONS = [
    ExpectColumnValuesToBeBetween(
        column="row_count",
        min_value=1,
        severity="critical",
        description="Every declared source has rows.",
        notes="Look at the source's export or API: it is empty, unreachable or declared under "
        "another name. Remove it from sources.yml if it is no longer meant to be there.",
    ),
    ExpectColumnValuesToBeBetween(
        column="duplicate_key_count",
        max_value=0,
        severity="critical",
        description="No key lands twice.",
        notes="The merge into raw has a fault: report it, with the source's name.",
    ),
    ExpectColumnValuesToBeBetween(
        column="incomplete_line_share",
        max_value=0,
        severity="critical",
        description="Every order line has its order, day, amount and currency.",
        notes="Look at the source's column mapping in sources.yml: a column was renamed or is "
        "empty.",
    ),
    ExpectColumnValuesToBeBetween(
        column="newest_order_age_days",
        max_value=90,
        severity="critical",
        description="The newest order is not three months old.",
        notes="The source has stopped delivering, or --as-of lies far behind its last export. "
        "Segments computed now would call every customer lapsed.",
    ),
    ExpectColumnValuesToBeBetween(
        column="newest_order_age_days",
        max_value=30,
        severity="warning",
        description="The newest order is not a month old.",
        notes="Look whether the source still delivers; accept if the shop was closed.",
    ),
    ExpectColumnValuesToBeBetween(
        column="newest_order_age_days",
        max_value=3,
        severity="info",
        description="The newest order is of the last three days.",
        notes="Nothing to do if the shop is quiet at this time of the week.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_line_count_change",
        min_value=-0.2,
        severity="critical",
        description="No source loses a fifth of its order lines.",
        notes="Landed orders do not vanish by themselves: the raw tables or the source's rules "
        "were changed. Restore them, or reload the source.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_line_count_change",
        min_value=-0.01,
        severity="warning",
        description="No source loses a hundredth of its order lines.",
        notes="Accept after an erasure or a deliberate correction of history.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_line_count_change",
        max_value=3,
        severity="warning",
        description="No source has four times its order lines from one snapshot to the next.",
        notes="Look for orders loaded twice under two keys; accept when more history was loaded.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_line_count_change",
        max_value=0.5,
        severity="info",
        description="No source grows by half from one snapshot to the next.",
        notes="Nothing to do when more history was loaded.",
    ),
    ExpectColumnValuesToBeBetween(
        column="contact_count_change",
        min_value=-0.2,
        severity="critical",
        description="No source loses a fifth of its contacts.",
        notes="Landed contacts do not vanish by themselves: reload the source.",
    ),
    ExpectColumnValuesToBeBetween(
        column="email_consent_share_change",
        min_value=-0.1,
        severity="warning",
        description="The share of contacts with e-mail consent does not fall by ten points.",
        notes="Look at the mapping of the consent column; accept when a source of contacts "
        "without consent was added.",
    ),
    ExpectColumnValuesToBeBetween(
        column="week_amount_ratio",
        min_value=0.1,
        max_value=10,
        severity="warning",
        description="This week's usual line amount is of the same size as the quarter's before.",
        notes="Prices may have changed their unit (pence for pounds) or currency; look at the "
        "newest orders of the source.",
    ),
    ExpectColumnValuesToBeBetween(
        column="week_line_ratio",
        min_value=0.3,
        severity="info",
        description="This week has not less than a third of the usual order lines.",
        notes="Part of a day may be missing; nothing to do in a quiet season.",
    ),
    ExpectColumnValuesToBeBetween(
        column="future_line_count",
        max_value=0,
        severity="info",
        description="No order lies in the future.",
        notes="Look at the source's time_zone in sources.yml and at its clock.",
    ),
    ExpectColumnValuesToBeBetween(
        column="negative_line_share",
        max_value=0.25,
        severity="info",
        description="No more than a quarter of the lines are negative.",
        notes="Look whether refunds come as lines of their own and the sign is read right.",
    ),
    ExpectColumnValuesToBeBetween(
        column="guest_line_share",
        max_value=0.6,
        severity="info",
        description="Most lines belong to a known customer.",
        notes="Guests are in no segment. Look at the mapping of customer_key if that is "
        "unexpected.",
    ),
    ExpectColumnValuesToBeBetween(
        column="currency_count",
        max_value=1,
        severity="info",
        description="A source sells in one currency.",
        notes="Amounts of several currencies are not comparable; keep one source per currency.",
    ),
    ExpectColumnValuesToBeBetween(
        column="undated_consent_share",
        max_value=0,
        severity="info",
        description="Every consent has its date.",
        notes="Map consent_at: without a date a consent is hard to prove.",
    ),
    ExpectColumnValuesToBeBetween(
        column="empty_file_count",
        max_value=0,
        severity="info",
        description="No landed file is empty.",
        notes="Look at the export that wrote it; the freshness of the source tells whether it "
        "hurts.",
    ),
    ExpectColumnValuesToBeBetween(
        column="incomplete_order_share",
        max_value=0,
        severity="critical",
        description="Every order document has its instant, day and currency.",
        notes="Look at the source's answers: a field was renamed or is empty.",
    ),
    ExpectColumnValuesToBeBetween(
        column="unknown_status_share",
        max_value=0,
        severity="critical",
        description="Every order document has a payment status that we know.",
        notes="The source's own states have changed: extend how it translates them, or orders "
        "silently stop counting.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_count_change",
        min_value=-0.2,
        severity="critical",
        description="No source loses a fifth of its order documents.",
        notes="Landed orders do not vanish by themselves: the raw tables were changed. Restore "
        "them, or reload the source.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_count_change",
        min_value=-0.01,
        severity="warning",
        description="No source loses a hundredth of its order documents.",
        notes="Accept after an erasure or a deliberate correction of history.",
    ),
    ExpectColumnValuesToBeBetween(
        column="paid_order_share_change",
        min_value=-0.1,
        max_value=0.1,
        severity="warning",
        description="The share of paid orders does not move by ten points.",
        notes="A payment state may have changed its meaning; look at the newest orders.",
    ),
    ExpectColumnValuesToBeBetween(
        column="cancelled_order_share_change",
        max_value=0.1,
        severity="warning",
        description="The share of cancelled orders does not rise by ten points.",
        notes="Cancelled orders do not count: look whether so many really were cancelled.",
    ),
    ExpectColumnValuesToBeBetween(
        column="median_order_sum_change",
        min_value=-0.8,
        max_value=4,
        severity="critical",
        description="The usual order total is of the same size as in the last snapshot.",
        notes="Amounts may have changed their unit (cents for euros) or currency in the whole "
        "history: look at the source's mapping before anything is built.",
    ),
    ExpectColumnValuesToBeBetween(
        column="week_status_ratio",
        max_value=0.6,
        severity="warning",
        description="This week's orders are in the same states as the quarter's before.",
        notes="Some states of recent orders differ, since many are still open; most of them do "
        "not. Look whether the field still means what it did.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_without_address_share_change",
        max_value=0.2,
        severity="warning",
        description="The share of orders without address and telephone does not rise by a fifth.",
        notes="Look at the permissions of the connection: without them the source hides who "
        "ordered.",
    ),
    ExpectColumnValuesToBeBetween(
        column="future_order_count",
        max_value=0,
        severity="info",
        description="No order document lies in the future.",
        notes="Look at the source's time_zone in sources.yml and at its clock.",
    ),
    ExpectColumnValuesToBeBetween(
        column="order_currency_count",
        max_value=1,
        severity="info",
        description="The order documents of a source are in one currency.",
        notes="Set the var reporting_currency and load exchange rates.",
    ),
]
