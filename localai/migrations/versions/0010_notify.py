"""Notifications that wait to be sent, were sent, or could not be."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        "CREATE TABLE notifications (id TEXT NOT NULL PRIMARY KEY, key TEXT NOT NULL UNIQUE, "
        "event TEXT NOT NULL, channel TEXT NOT NULL, approval TEXT NOT NULL, risk TEXT NOT NULL, "
        "facts TEXT NOT NULL, state TEXT NOT NULL, created_us BIGINT NOT NULL, "
        "due_us BIGINT NOT NULL, until_us BIGINT, attempts INTEGER NOT NULL, first_us BIGINT, "
        "held_us BIGINT, batch TEXT, lease TEXT, sent_us BIGINT, error TEXT)"
    )
    op.execute("CREATE INDEX notifications_by_due ON notifications (state, channel, due_us)")
    op.execute("CREATE INDEX notifications_by_time ON notifications (created_us, id)")
    op.execute("CREATE INDEX notifications_by_sending ON notifications (channel, sent_us)")
    op.execute("CREATE INDEX notifications_by_approval ON notifications (approval)")
    op.execute("PRAGMA user_version = 10")
