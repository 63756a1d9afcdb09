"""Conversations belong to projects and can be pinned; what happened is counted."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns, find the projects of conversations that were held, create the counters."""
    op.execute("ALTER TABLE sessions ADD COLUMN project TEXT NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE sessions ADD COLUMN is_pinned BOOLEAN NOT NULL DEFAULT 0")
    op.execute("CREATE INDEX ix_sessions_project ON sessions (user_id, project, updated_us)")
    connection = op.get_bind()
    for workspace in list(connection.scalars(sa.text("SELECT DISTINCT workspace FROM sessions"))):
        connection.execute(
            sa.text("UPDATE sessions SET project = :project WHERE workspace = :workspace"),
            {"project": _project(Path(workspace)), "workspace": workspace},
        )
    op.execute(
        "CREATE TABLE counters (name TEXT NOT NULL, labels TEXT NOT NULL, "
        "value BIGINT NOT NULL, PRIMARY KEY (name, labels))"
    )
    op.execute("PRAGMA user_version = 5")


def _project(folder: Path) -> str:
    roots = (place for place in (folder, *folder.parents) if (place / ".git").exists())
    return str(next(roots, ""))
