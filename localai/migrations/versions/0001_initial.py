"""The first schema: users, audit, approvals, conversations, documents."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table and the triggers that guard them."""
    _users()
    _audit()
    _approvals()
    _approval_votes()
    _sessions()
    _rag()
    op.execute("PRAGMA user_version = 1")


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("is_disabled", sa.Boolean, nullable=False),
        sa.Column("is_operator", sa.Boolean, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "user_roles",
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev", sa.Text, nullable=False),
        sa.Column("mac", sa.Text, nullable=False),
    )
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{change.lower()} BEFORE {change} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
        )

    exists = "EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)"
    _refuse("audit", "INSERT", "the audit is append-only", exists)


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.Text, primary_key=True),
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
        *(sa.CheckConstraint(rule) for rule in _APPROVAL_RULES),
    )
    op.create_index("approvals_by_state", "approvals", ["state"])
    op.create_index("approvals_by_time", "approvals", ["created_us", "id"])
    _refuse("approvals", "INSERT", "a request begins pending", _NOT_A_BEGINNING)
    _refuse("approvals", "INSERT", "the request exists", _EXISTS, suffix="_again")
    _refuse("approvals", "DELETE", "requests are kept", "1")
    pairs = ", ".join(f"'{old}>{new}'" for old, new in _TRANSITIONS)
    illegal = f"OLD.state || '>' || NEW.state NOT IN ({pairs}) OR NEW.version <> OLD.version + 1"
    _refuse("approvals", "UPDATE", "illegal transition", illegal)
    changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in _FIXED)
    _refuse("approvals", "UPDATE", "what is asked cannot change", changed, suffix="_of_fixed")
    again = " OR ".join(
        f"(OLD.{name} IS NOT NULL AND NEW.{name} IS NOT OLD.{name})" for name in _ONCE
    )
    _refuse("approvals", "UPDATE", "what happened cannot change", again, suffix="_of_written")
    unvoted = (
        "OLD.state = 'approved' AND NEW.state = 'executing' AND NEW.needed > "
        "(SELECT count(*) FROM approval_votes "
        "WHERE approval = NEW.id AND decision = 'approved' AND action_sha256 = NEW.action_sha256)"
    )
    _refuse("approvals", "UPDATE", "too few have approved it", unvoted, suffix="_without_votes")


def _approval_votes() -> None:
    op.create_table(
        "approval_votes",
        sa.Column("approval", sa.Text, sa.ForeignKey("approvals.id"), primary_key=True),
        sa.Column("voter", sa.Text, primary_key=True),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("action_sha256", sa.Text, nullable=False),
        sa.Column("at_us", sa.BigInteger, nullable=False),
        sa.CheckConstraint("decision IN ('approved', 'rejected')"),
    )
    unfitting = (
        "NOT EXISTS (SELECT 1 FROM approvals WHERE id = NEW.approval "
        "AND state = NEW.decision AND decided_by = NEW.voter AND decided_us = NEW.at_us "
        "AND action_sha256 = NEW.action_sha256)"
    )
    twice = "EXISTS (SELECT 1 FROM approval_votes WHERE approval = NEW.approval)"
    _refuse("approval_votes", "INSERT", "the vote fits no decision", unfitting)
    _refuse("approval_votes", "INSERT", "it has been voted on", twice, suffix="_again")
    _refuse("approval_votes", "UPDATE", "votes are kept", "1")
    _refuse("approval_votes", "DELETE", "votes are kept", "1")


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False, index=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "messages",
        sa.Column("session_id", sa.Text, sa.ForeignKey("sessions.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("content", sa.Text),
        sa.Column("tool_calls", sa.Text, nullable=False),
        sa.Column("tool_call_id", sa.Text),
        sa.Column("tool_name", sa.Text),
        sa.Column("approval_id", sa.Text),
        sa.Column("model", sa.Text),
        sa.Column("is_interrupted", sa.Boolean, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
    )


def _rag() -> None:
    op.create_table(
        "rag_collections",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("directory", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("dim", sa.Integer, nullable=False),
        sa.Column("is_multilingual", sa.Boolean, nullable=False),
        sa.Column("tokenizer_version", sa.Integer, nullable=False),
        sa.Column("average_terms", sa.Float, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rag_files",
        sa.Column(
            "collection",
            sa.Text,
            sa.ForeignKey("rag_collections.name", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("chunks", sa.Integer, nullable=False),
    )


def _refuse(table: str, change: str, message: str, when: str, *, suffix: str = "") -> None:
    op.execute(
        f"CREATE TRIGGER {table}_refuses_{change.lower()}{suffix} BEFORE {change} ON {table} "
        f"WHEN {when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )


_TRANSITIONS = (
    ("pending", "approved"),
    ("pending", "rejected"),
    ("pending", "expired"),
    ("pending", "cancelled"),
    ("approved", "executing"),
    ("approved", "revoked"),
    ("approved", "expired"),
    ("executing", "succeeded"),
    ("executing", "failed"),
    ("executing", "unknown"),
)
_FIXED = (
    "id",
    "tool",
    "action",
    "proposed_arguments",
    "action_sha256",
    "risk",
    "permission",
    "user_id",
    "requester_kind",
    "session",
    "reason",
    "policy_rule",
    "sandbox",
    "needed",
    "created_us",
    "expires_us",
    "boot_id",
    "mono_us",
)
_ONCE = (
    "decided_us",
    "decided_by",
    "decision_reason",
    "grant_expires_us",
    "grant_boot_id",
    "grant_mono_us",
    "claimed_by",
    "claimed_us",
    "finished_us",
    "outcome",
)
_DECIDED = "'approved', 'rejected', 'cancelled', 'revoked'"
_CLAIMED = "'executing', 'succeeded', 'failed', 'unknown'"
_ENDED = "'succeeded', 'failed', 'unknown', 'revoked', 'expired'"
_HAS_GRANT = (
    "grant_expires_us IS NOT NULL AND grant_boot_id IS NOT NULL AND grant_mono_us IS NOT NULL"
)
_APPROVAL_RULES = (
    f"state IN ('pending', {_DECIDED}, {_CLAIMED}, 'expired')",
    "risk IN ('low', 'medium', 'high', 'critical')",
    "requester_kind IN ('human', 'agent')",
    "needed >= 1",
    f"state NOT IN ({_DECIDED}, {_CLAIMED}) OR decided_us IS NOT NULL AND decided_by IS NOT NULL",
    f"state NOT IN ('approved', 'revoked', {_CLAIMED}) OR {_HAS_GRANT}",
    f"state NOT IN ({_CLAIMED}) OR claimed_by IS NOT NULL AND claimed_us IS NOT NULL",
    f"state NOT IN ({_ENDED}) OR finished_us IS NOT NULL",
)
_EXISTS = "EXISTS (SELECT 1 FROM approvals WHERE id = NEW.id)"
_NOT_A_BEGINNING = "NEW.state <> 'pending' OR NEW.version <> 1 OR " + " OR ".join(
    f"NEW.{name} IS NOT NULL" for name in _ONCE
)
