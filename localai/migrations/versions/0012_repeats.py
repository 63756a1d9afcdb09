"""Requests that may come twice, and what they opened."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        "CREATE TABLE approval_keys (user_id TEXT NOT NULL, key TEXT NOT NULL, "
        "request_sha256 TEXT NOT NULL, approval TEXT NOT NULL REFERENCES approvals (id), "
        "created_us BIGINT NOT NULL, PRIMARY KEY (user_id, key))"
    )
    op.execute("CREATE INDEX approval_keys_by_time ON approval_keys (created_us)")
    op.execute("PRAGMA user_version = 12")
