"""Collections are described, and their files say whether they are to be trusted."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the columns; what was indexed until now were the operator's own files."""
    op.execute("ALTER TABLE rag_collections ADD COLUMN description TEXT NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE rag_files ADD COLUMN is_trusted BOOLEAN NOT NULL DEFAULT 1")
    op.execute("PRAGMA user_version = 7")
