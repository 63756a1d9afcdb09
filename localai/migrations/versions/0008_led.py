"""Conversations remember that something foreign was read in them."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; what was said until now was said without tools that read foreign text."""
    op.execute("ALTER TABLE sessions ADD COLUMN has_foreign BOOLEAN NOT NULL DEFAULT 0")
    op.execute("PRAGMA user_version = 8")
