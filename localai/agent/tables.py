"""Conversations, their messages and their index; servers of other tools, and those tools."""

import sqlalchemy as sa

from localai.core.db import metadata

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, nullable=False, index=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("workspace", sa.Text, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("updated_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("project", sa.Text, nullable=False, server_default=""),
    sa.Column("is_pinned", sa.Boolean, nullable=False, server_default="0"),
    # Whether a model read in it what strangers wrote.
    sa.Column("has_foreign", sa.Boolean, nullable=False, server_default="0"),
    # The one that answers, where one was chosen for this conversation.
    sa.Column("model", sa.Text),
    sa.Index("ix_sessions_project", "user_id", "project", "updated_us"),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("session_id", sa.Text, sa.ForeignKey("sessions.id"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    # Empty until a tool's request is decided.
    sa.Column("content", sa.Text),
    sa.Column("tool_calls", sa.Text, nullable=False),
    sa.Column("tool_call_id", sa.Text),
    sa.Column("tool_name", sa.Text),
    sa.Column("approval_id", sa.Text),
    sa.Column("model", sa.Text),
    sa.Column("is_interrupted", sa.Boolean, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
)

# FTS5's, which a trigger fills: it has no rows of its own that could be written here.
index = sa.table("messages_search", sa.column("content"), sa.column("session_id"), sa.column("seq"))

mcp_servers = sa.Table(
    "mcp_servers",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("command", sa.Text, nullable=False),  # JSON: the words; [] for an address
    sa.Column("url", sa.Text),
    sa.Column("cwd", sa.Text, nullable=False),
    sa.Column("env", sa.Text, nullable=False),  # JSON: names of variables, never values
    sa.Column("added_by", sa.Text, nullable=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
)

mcp_tools = sa.Table(
    "mcp_tools",
    metadata,
    sa.Column("server", sa.Text, sa.ForeignKey("mcp_servers.name"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("parameters", sa.Text, nullable=False),  # JSON schema
    sa.Column("annotations", sa.Text, nullable=False),  # JSON
    sa.Column("pin", sa.Text, nullable=False),
    sa.Column("risk", sa.Text, nullable=False),
    # What was seen to be different since a person took it; nothing is called while it stands.
    sa.Column("change", sa.Text),
)
