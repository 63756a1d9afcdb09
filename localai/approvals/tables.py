"""Requests, votes, standing rules, figures. Triggers guard and count, whoever is connected."""

import sqlalchemy as sa

from localai.core.db import metadata

# From each state, the states that may follow; the last seven states are final.
TRANSITIONS: dict[str, frozenset[str]] = {
    "pending": frozenset({"approved", "rejected", "expired", "cancelled"}),
    "approved": frozenset({"executing", "revoked", "expired"}),
    "executing": frozenset({"succeeded", "failed", "unknown"}),
    "rejected": frozenset(),
    "expired": frozenset(),
    "cancelled": frozenset(),
    "revoked": frozenset(),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "unknown": frozenset(),
}

approvals = sa.Table(
    "approvals",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # What is asked: never changes.
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("proposed_arguments", sa.Text, nullable=False),
    sa.Column("action_sha256", sa.Text, nullable=False),
    sa.Column("risk", sa.Text, nullable=False),
    sa.Column("permission", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("requester_kind", sa.Text, nullable=False),
    sa.Column("session", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Column("policy_rule", sa.Text, nullable=False),
    sa.Column("sandbox", sa.Text, nullable=False),
    sa.Column("needed", sa.Integer, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("mono_us", sa.BigInteger, nullable=False),
    # What became of it: each column is written once.
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("decided_us", sa.BigInteger),
    sa.Column("decided_by", sa.Text),
    sa.Column("decision_reason", sa.Text),
    sa.Column("grant_expires_us", sa.BigInteger),
    sa.Column("grant_boot_id", sa.Text),
    sa.Column("grant_mono_us", sa.BigInteger),
    sa.Column("claimed_by", sa.Text),
    sa.Column("claimed_us", sa.BigInteger),
    sa.Column("finished_us", sa.BigInteger),
    sa.Column("outcome", sa.Text),
    sa.Column("replaces", sa.Text, sa.ForeignKey("approvals.id")),
    sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
    # Who asked, if it is not `user_id` whose permissions they try; whether they may not approve.
    sa.Column("asked_by", sa.Text),
    sa.Column("bars_asker", sa.Boolean, nullable=False, server_default="0"),
    sa.Index("approvals_by_state", "state", "created_us", "id"),
    sa.Index("approvals_by_time", "created_us", "id"),
    sa.Index("approvals_by_session", "session", "created_us", "id"),
    sa.Index("approvals_by_replaced", "replaces", unique=True),
)

approval_votes = sa.Table(
    "approval_votes",
    metadata,
    sa.Column("approval", sa.Text, sa.ForeignKey("approvals.id"), primary_key=True),
    sa.Column("voter", sa.Text, primary_key=True),
    sa.Column("decision", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("action_sha256", sa.Text, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
)

standing_rules = sa.Table(
    "standing_rules",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("approval", sa.Text, sa.ForeignKey("approvals.id"), nullable=False),
    sa.Column("tool", sa.Text, nullable=False),
    sa.Column("workspace", sa.Text, nullable=False),
    sa.Column("arguments", sa.Text, nullable=False),  # JSON: the value that each must have
    sa.Column("open_arguments", sa.Text, nullable=False),  # JSON: those that may be anything
    sa.Column("risk", sa.Text, nullable=False),
    sa.Column("user_id", sa.Text, nullable=False),
    sa.Column("session", sa.Text),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
    sa.Column("boot_id", sa.Text, nullable=False),
    sa.Column("mono_us", sa.BigInteger, nullable=False),
    sa.Column("revoked_us", sa.BigInteger),
    sa.Column("epoch", sa.Integer, nullable=False),
)

# Requests and the time to their decisions, by the hour (`span_us`) and the day in which they were
# made, told by who decided, and of all time (span 0), told by user: triggers keep them in step
# with `approvals`.
approval_counts = sa.Table(
    "approval_counts",
    metadata,
    sa.Column("span_us", sa.BigInteger, primary_key=True),
    sa.Column("start_us", sa.BigInteger, primary_key=True),
    sa.Column("tool", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("decided_by", sa.Text, primary_key=True),  # "" for nobody, as in `user_id`
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("waited_us", sa.BigInteger, nullable=False),
)

# How many waited about how long: `statistics.edges` says what a bucket holds.
approval_waits = sa.Table(
    "approval_waits",
    metadata,
    sa.Column("span_us", sa.BigInteger, primary_key=True),
    sa.Column("start_us", sa.BigInteger, primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
)

# What somebody asked for with a key of their own making, so that asking again opens nothing new.
approval_keys = sa.Table(
    "approval_keys",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request_sha256", sa.Text, nullable=False),
    sa.Column("approval", sa.Text, sa.ForeignKey("approvals.id"), nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Index("approval_keys_by_time", "created_us"),
)
