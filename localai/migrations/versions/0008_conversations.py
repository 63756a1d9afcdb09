"""Conversations remember that something foreign was read in them, and may have a model."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the columns; where the model is empty, the question chooses as before."""
    op.execute("ALTER TABLE sessions ADD COLUMN has_foreign BOOLEAN NOT NULL DEFAULT 0")
    op.execute("ALTER TABLE sessions ADD COLUMN model TEXT")
    op.execute("PRAGMA user_version = 8")
