"""What is to be told: one row for an event and a channel."""

import sqlalchemy as sa

from localai.core.db import metadata

notifications = sa.Table(
    "notifications",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    # The same event of the same request is told once on a channel, whoever enqueues it twice.
    sa.Column("key", sa.Text, nullable=False, unique=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("approval", sa.Text, nullable=False),
    sa.Column("risk", sa.Text, nullable=False),
    sa.Column("facts", sa.Text, nullable=False),  # JSON, redacted
    sa.Column("state", sa.Text, nullable=False),  # queued, leased, sent, dead
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("due_us", sa.BigInteger, nullable=False),
    sa.Column("until_us", sa.BigInteger),  # nobody needs it any more after this
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("first_us", sa.BigInteger),  # when it was tried first
    sa.Column("held_us", sa.BigInteger),  # the server wants nothing before this
    sa.Column("batch", sa.Text),  # the message that it is a part of
    sa.Column("lease", sa.Text),
    sa.Column("sent_us", sa.BigInteger),
    sa.Column("error", sa.Text),
    sa.Index("notifications_by_due", "state", "channel", "due_us"),
    sa.Index("notifications_by_time", "created_us", "id"),
    sa.Index("notifications_by_sending", "channel", "sent_us"),
    sa.Index("notifications_by_approval", "approval"),
)
