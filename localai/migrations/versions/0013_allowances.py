"""What a key is for: which models, how many requests a minute, how many tokens a day."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"

_COLUMNS = ("models", "requests_per_minute", "tokens_per_day")


def upgrade() -> None:
    """Add the columns, which never change, as nothing of a key does."""
    op.add_column("api_keys", sa.Column("models", sa.Text))
    op.add_column("api_keys", sa.Column("requests_per_minute", sa.Integer))
    op.add_column("api_keys", sa.Column("tokens_per_day", sa.BigInteger))
    changed = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in _COLUMNS)
    op.execute(
        f"CREATE TRIGGER api_keys_refuses_update_of_allowance BEFORE UPDATE ON api_keys "
        f"WHEN {changed} BEGIN SELECT RAISE(ABORT, 'what a key is for cannot change'); END"
    )
    op.execute("PRAGMA user_version = 13")
