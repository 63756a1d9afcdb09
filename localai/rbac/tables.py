"""Users, their roles, API keys and codes; how often they called."""

import sqlalchemy as sa

from localai.core.db import metadata

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("is_disabled", sa.Boolean, nullable=False, default=False),
    sa.Column("is_operator", sa.Boolean, nullable=False, default=False),
    sa.Column("created_us", sa.BigInteger, nullable=False),
)

user_roles = sa.Table(
    "user_roles",
    metadata,
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("mac", sa.Text, nullable=False),
    sa.Column("permissions", sa.Text),  # a JSON list; NULL is all that the user holds
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("lifetime_s", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False),
    sa.Column("revoked_us", sa.BigInteger),
    sa.Column("replaced_by", sa.Text),
    sa.Column("models", sa.Text),  # a JSON list; NULL is all
    sa.Column("requests_per_minute", sa.Integer),
    sa.Column("tokens_per_day", sa.BigInteger),
)

rate_buckets = sa.Table(
    "rate_buckets",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("tool", sa.Text, primary_key=True),
    sa.Column("full_us", sa.BigInteger, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
)

# Counts the changes of users, roles and keys: triggers do.
rights = sa.Table(
    "rights",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("changes", sa.BigInteger, nullable=False),
)

codes = sa.Table(
    "codes",
    metadata,
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("is_on", sa.Boolean, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),  # of the newest code that counted
)
