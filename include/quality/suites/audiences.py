"""Every declared audience is built, holds known customers, and sends only those who agreed."""

from __future__ import annotations

from great_expectations.expectations import ExpectColumnValuesToBeBetween

EXPECTATIONS = [
    ExpectColumnValuesToBeBetween(
        column="is_built",
        min_value=1,
        severity="critical",
        description="Every declared audience has its model.",
        notes="Build again; if it stays away, the model is missing, disabled or named otherwise.",
    ),
    ExpectColumnValuesToBeBetween(
        column="duplicate_member_count",
        max_value=0,
        severity="critical",
        description="Nobody is in an audience twice.",
        notes="A join in the audience's model repeats customers.",
    ),
    ExpectColumnValuesToBeBetween(
        column="stranger_count",
        max_value=0,
        severity="critical",
        description="Only known customers are in an audience.",
        notes="The audience's model must take its customer_id from the customers table.",
    ),
    ExpectColumnValuesToBeBetween(
        column="duplicate_membership_count",
        max_value=0,
        severity="critical",
        description="Nobody is to be sent to one place twice.",
        notes="Mend desired_memberships: one row per channel, audience and customer.",
    ),
    ExpectColumnValuesToBeBetween(
        column="membership_without_member_count",
        max_value=0,
        severity="critical",
        description="Only members of an audience are to be sent to it.",
        notes="Mend desired_memberships: it must start from the audience's members.",
    ),
    ExpectColumnValuesToBeBetween(
        column="unconsented_count",
        max_value=0,
        severity="critical",
        description="Nobody is to be sent anywhere without consent for that channel.",
        notes="Do not publish. Mend desired_memberships, where consent is settled.",
    ),
    ExpectColumnValuesToBeBetween(
        column="suppressed_count",
        max_value=0,
        severity="critical",
        description="Nobody who unsubscribed, complained, bounced or was erased is to be sent.",
        notes="Do not publish. Mend desired_memberships, where suppression is settled.",
    ),
    ExpectColumnValuesToBeBetween(
        column="held_out_membership_count",
        max_value=0,
        severity="critical",
        description="Nobody who is held out is to be sent.",
        notes="Mend desired_memberships: the measurement would be worthless.",
    ),
    ExpectColumnValuesToBeBetween(
        column="member_count_change",
        min_value=-1,
        strict_min=True,
        severity="warning",
        description="No audience that had members is empty now.",
        notes="Look at the audience's model and what it reads; accept if it is meant to run dry.",
    ),
    ExpectColumnValuesToBeBetween(
        column="member_count_change",
        min_value=-0.5,
        max_value=2,
        severity="info",
        description="No audience halves or triples.",
        notes="The guard of each audience decides about the sync; look why it moved.",
    ),
    ExpectColumnValuesToBeBetween(
        column="member_share",
        max_value=0.9,
        severity="info",
        description="No audience holds nine tenths of all customers.",
        notes="An audience of everybody is hardly an audience; look at its conditions.",
    ),
]
