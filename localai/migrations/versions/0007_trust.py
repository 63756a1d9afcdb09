"""Collections are described; files say whether they are trusted, and which passages they have."""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_NAMESPACE = uuid.UUID("8f0c2d1e-5a43-5b1c-9d5e-3b6f2a7c4e10")


def upgrade() -> None:
    """Add the columns; what was indexed until now were the operator's own files."""
    op.execute("ALTER TABLE rag_collections ADD COLUMN description TEXT NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE rag_files ADD COLUMN is_trusted BOOLEAN NOT NULL DEFAULT 1")
    op.execute("ALTER TABLE rag_files ADD COLUMN version TEXT NOT NULL DEFAULT ''")
    connection = op.get_bind()
    known = sa.text("SELECT collection, path, source, sha256 FROM rag_files WHERE sha256 <> ''")
    for row in list(connection.execute(known)):
        connection.execute(
            sa.text(
                "UPDATE rag_files SET version = :version "
                "WHERE collection = :collection AND path = :path"
            ),
            {"version": _version(row), "collection": row.collection, "path": row.path},
        )
    op.execute("PRAGMA user_version = 7")


def _version(row: sa.Row[tuple[str, str, str, str]]) -> str:
    """What the passages of the file say that they are of."""
    return str(uuid.uuid5(_NAMESPACE, f"{row.path}\0{row.source}\0{row.sha256}"))
