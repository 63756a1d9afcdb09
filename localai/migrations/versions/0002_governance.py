"""API keys, rate limits, standing rules, replaced requests, epochs, counts of checks."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables and what guards them."""
    _api_keys()
    _counts()
    _replacements()
    _epochs()
    _standing_rules()
    op.execute("PRAGMA user_version = 2")


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
        sa.Column("mac", sa.Text, nullable=False),
        sa.Column("permissions", sa.Text),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("lifetime_s", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger, nullable=False),
        sa.Column("revoked_us", sa.BigInteger),
        sa.Column("replaced_by", sa.Text),
    )
    fixed = ("id", "user_id", "mac", "permissions", "created_us", "lifetime_s")
    longer = "NEW.expires_us > OLD.expires_us OR OLD.revoked_us IS NOT NULL"
    _refuse("api_keys", "UPDATE", "what a key is cannot change", _changed(fixed), "_of_fixed")
    _refuse("api_keys", "UPDATE", "a key never holds for longer", longer, "_of_end")
    _refuse("api_keys", "DELETE", "keys are kept", "1")


def _counts() -> None:
    op.create_table(
        "permission_checks",
        sa.Column("result", sa.Text, primary_key=True),
        sa.Column("role", sa.Text, primary_key=True),
        sa.Column("checks", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "rate_buckets",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("tool", sa.Text, primary_key=True),
        sa.Column("full_us", sa.BigInteger, nullable=False),
        sa.Column("refused", sa.Integer, nullable=False),
    )


def _epochs() -> None:
    op.create_table(
        "epochs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.CheckConstraint("id = 1"),
    )
    op.execute("INSERT INTO epochs (id, epoch) VALUES (1, 0)")
    _refuse("epochs", "UPDATE", "an epoch only rises", "NEW.epoch <> OLD.epoch + 1")
    _refuse("epochs", "DELETE", "the epoch is kept", "1")
    op.execute("ALTER TABLE approvals ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0")
    over = "NEW.epoch <> (SELECT epoch FROM epochs)"
    granted = f"NEW.state IN ('approved', 'executing') AND {over}"
    _refuse("approvals", "INSERT", "a request is of now", over, "_of_epoch")
    _refuse("approvals", "UPDATE", "it is of before a restore", granted, "_of_epoch")
    _refuse("approvals", "UPDATE", "an epoch is kept", "NEW.epoch <> OLD.epoch", "_of_its_epoch")


def _standing_rules() -> None:
    op.create_table(
        "standing_rules",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("approval", sa.Text, sa.ForeignKey("approvals.id"), nullable=False),
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("open_arguments", sa.Text, nullable=False),
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
        sa.CheckConstraint("risk IN ('low', 'medium', 'high')"),
        sa.CheckConstraint(f"expires_us - created_us <= {8 * 3600 * 1_000_000 + 1_000_000}"),
    )
    unfitting = (
        "NOT EXISTS (SELECT 1 FROM approvals WHERE id = NEW.approval AND state = 'approved' "
        "AND tool = NEW.tool AND risk = NEW.risk AND user_id = NEW.user_id "
        "AND decided_by = NEW.made_by)"
    )
    fixed = (
        *("id", "approval", "tool", "workspace", "arguments", "open_arguments", "risk", "user_id"),
        *("session", "made_by", "created_us", "expires_us", "boot_id", "mono_us", "epoch"),
    )
    changed = f"{_changed(fixed)} OR OLD.revoked_us IS NOT NULL"
    _refuse("standing_rules", "INSERT", "a rule fits the approval that makes it", unfitting)
    _refuse("standing_rules", "UPDATE", "a rule is taken back and never changed", changed)
    _refuse("standing_rules", "DELETE", "rules are kept", "1")


def _replacements() -> None:
    op.execute("ALTER TABLE approvals ADD COLUMN replaces TEXT REFERENCES approvals (id)")
    op.create_index("approvals_by_replaced", "approvals", ["replaces"], unique=True)
    unfitting = (
        "NEW.replaces IS NOT NULL AND NOT EXISTS (SELECT 1 FROM approvals "
        "WHERE id = NEW.replaces AND state IN ('cancelled', 'expired') "
        "AND tool = NEW.tool AND user_id = NEW.user_id "
        "AND proposed_arguments = NEW.proposed_arguments)"
    )
    fixed = _changed(("replaces",))
    _refuse("approvals", "INSERT", "only what has ended is replaced", unfitting, "_of_replaced")
    _refuse("approvals", "UPDATE", "what is asked cannot change", fixed, "_of_replaces")


def _changed(names: tuple[str, ...]) -> str:
    return " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in names)


def _refuse(table: str, change: str, message: str, when: str, suffix: str = "") -> None:
    op.execute(
        f"CREATE TRIGGER {table}_refuses_{change.lower()}{suffix} BEFORE {change} ON {table} "
        f"WHEN {when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )
