"""Users and the roles that they hold."""

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
