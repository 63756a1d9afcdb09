"""What collections scored when they were last evaluated."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        "CREATE TABLE rag_scores (collection TEXT NOT NULL, question TEXT NOT NULL, "
        "ndcg FLOAT NOT NULL, PRIMARY KEY (collection, question), "
        "FOREIGN KEY(collection) REFERENCES rag_collections (name) ON DELETE CASCADE)"
    )
    op.execute("PRAGMA user_version = 6")
