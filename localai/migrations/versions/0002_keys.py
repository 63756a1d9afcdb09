"""API keys, rate limits, and how often permissions were checked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables and what guards a key."""
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
    changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in fixed)
    longer = "NEW.expires_us > OLD.expires_us OR OLD.revoked_us IS NOT NULL"
    _refuse("UPDATE", "what a key is cannot change", changed, "_of_fixed")
    _refuse("UPDATE", "a key never holds for longer", longer, "_of_end")
    _refuse("DELETE", "keys are kept", "1")
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
    op.execute("PRAGMA user_version = 2")


def _refuse(change: str, message: str, when: str, suffix: str = "") -> None:
    op.execute(
        f"CREATE TRIGGER api_keys_refuses_{change.lower()}{suffix} BEFORE {change} ON api_keys "
        f"WHEN {when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )
