"""A conversation may have a model of its own."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the column; where it is empty, the question chooses as before."""
    op.execute("ALTER TABLE sessions ADD COLUMN model TEXT")
    op.execute("PRAGMA user_version = 9")
