"""Servers of other tools, and their tools as a person took them."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make both tables."""
    op.execute(
        "CREATE TABLE mcp_servers ("
        "name TEXT NOT NULL PRIMARY KEY, command TEXT NOT NULL, url TEXT, cwd TEXT NOT NULL, "
        "env TEXT NOT NULL, added_by TEXT NOT NULL, created_us BIGINT NOT NULL)"
    )
    op.execute(
        "CREATE TABLE mcp_tools ("
        "server TEXT NOT NULL REFERENCES mcp_servers (name), name TEXT NOT NULL, "
        "description TEXT NOT NULL, parameters TEXT NOT NULL, annotations TEXT NOT NULL, "
        "pin TEXT NOT NULL, risk TEXT NOT NULL, change TEXT, PRIMARY KEY (server, name))"
    )
    op.execute("PRAGMA user_version = 9")
