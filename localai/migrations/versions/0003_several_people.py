"""Votes of several people, codes that count once, figures that change with the requests."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables, the triggers that guard them and those that count."""
    _votes()
    _codes()
    _rights()
    _figures()
    op.execute("PRAGMA user_version = 3")


def _votes() -> None:
    op.execute("ALTER TABLE approvals ADD COLUMN asked_by TEXT")
    op.execute("ALTER TABLE approvals ADD COLUMN bars_asker BOOLEAN NOT NULL DEFAULT 0")
    fixed = "NEW.asked_by IS NOT OLD.asked_by OR NEW.bars_asker IS NOT OLD.bars_asker"
    _refuse("approvals", "UPDATE", "what is asked cannot change", fixed, "_of_asker")
    early = (
        "OLD.state = 'pending' AND NEW.state = 'approved' AND (NEW.needed - 1 > "
        "(SELECT count(*) FROM approval_votes WHERE approval = NEW.id AND voter <> NEW.decided_by "
        "AND decision = 'approved' AND action_sha256 = NEW.action_sha256) "
        "OR EXISTS (SELECT 1 FROM approval_votes "
        "WHERE approval = NEW.id AND voter = NEW.decided_by))"
    )
    _refuse("approvals", "UPDATE", "too few have approved it", early, "_before_votes")
    own = (
        "OLD.state = 'pending' AND NEW.state = 'approved' AND NEW.bars_asker "
        "AND NEW.decided_by IN (NEW.user_id, NEW.asked_by)"
    )
    _refuse("approvals", "UPDATE", "nobody approves what they ask", own, "_of_own")
    op.execute("DROP TRIGGER approval_votes_refuses_insert")
    op.execute("DROP TRIGGER approval_votes_refuses_insert_again")
    before = "(SELECT count(*) FROM approval_votes WHERE approval = NEW.approval)"
    unfitting = (
        "NOT EXISTS (SELECT 1 FROM approvals WHERE id = NEW.approval "
        "AND action_sha256 = NEW.action_sha256 AND (state = NEW.decision "
        "AND decided_by = NEW.voter AND decided_us = NEW.at_us OR state = 'pending' "
        "AND NEW.decision = 'approved' "
        f"AND NOT (bars_asker AND NEW.voter IN (user_id, asked_by)) AND needed > 1 + {before}))"
    )
    ended = "SELECT 1 FROM approval_votes WHERE approval = NEW.approval AND decision = 'rejected'"
    over = (
        f"EXISTS ({ended}) OR NEW.decision = 'approved' "
        f"AND {before} >= (SELECT needed FROM approvals WHERE id = NEW.approval)"
    )
    _refuse("approval_votes", "INSERT", "the vote fits no decision", unfitting)
    _refuse("approval_votes", "INSERT", "it has been voted on", over, "_again")


def _codes() -> None:
    op.create_table(
        "codes",
        sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("is_on", sa.Boolean, nullable=False),
        sa.Column("step", sa.BigInteger, nullable=False),
    )
    back = (
        "NEW.user_id <> OLD.user_id OR NEW.generation < OLD.generation OR NEW.step < OLD.step "
        "OR NEW.step = OLD.step AND NEW.is_on = OLD.is_on AND NEW.generation = OLD.generation"
    )
    _refuse("codes", "UPDATE", "a code counts once", back)
    _refuse("codes", "DELETE", "codes are kept", "1")


def _rights() -> None:
    op.create_table(
        "rights",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("changes", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1"),
    )
    op.execute("INSERT INTO rights (id, changes) VALUES (1, 0)")
    for table in ("users", "user_roles", "api_keys"):
        for change in ("INSERT", "UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_counts_{change.lower()} AFTER {change} ON {table} "
                "BEGIN UPDATE rights SET changes = changes + 1; END"
            )
    _refuse("rights", "UPDATE", "every change counts", "NEW.changes <= OLD.changes")
    _refuse("rights", "DELETE", "the count is kept", "1")


def _figures() -> None:
    op.create_table(
        "approval_counts",
        sa.Column("span_us", sa.BigInteger, primary_key=True),
        sa.Column("start_us", sa.BigInteger, primary_key=True),
        sa.Column("tool", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, primary_key=True),
        sa.Column("decided_by", sa.Text, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("waited_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "approval_waits",
        sa.Column("span_us", sa.BigInteger, primary_key=True),
        sa.Column("start_us", sa.BigInteger, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.drop_index("approvals_by_state", "approvals")
    op.create_index("approvals_by_state", "approvals", ["state", "created_us", "id"])
    op.create_index("approvals_by_session", "approvals", ["session", "created_us", "id"])
    op.execute(
        f"CREATE INDEX approvals_by_wait ON approvals ({_WAITED}, created_us) WHERE {_DECIDED}"
    )
    op.execute(_count("SELECT * FROM approvals", 1))
    op.execute(_bucket(f"SELECT * FROM approvals WHERE {_DECIDED}"))
    op.execute(
        "CREATE TRIGGER approvals_counts_insert AFTER INSERT ON approvals "
        f"BEGIN {_count(_row('NEW'), 1)}; END"
    )
    op.execute(
        "CREATE TRIGGER approvals_counts_update AFTER UPDATE OF state ON approvals "
        f"BEGIN {_count(_row('OLD'), -1)}; {_count(_row('NEW'), 1)}; END"
    )
    op.execute(
        "CREATE TRIGGER approvals_counts_wait AFTER UPDATE OF state ON approvals "
        "WHEN OLD.state = 'pending' AND NEW.state IN ('approved', 'rejected') "
        f"BEGIN {_bucket(_row('NEW'))}; END"
    )


_HOUR = 3_600_000_000
_SPANS = f"(SELECT 0 AS span_us UNION ALL SELECT {_HOUR} UNION ALL SELECT {24 * _HOUR}) AS s"
_START = "CASE span_us WHEN 0 THEN 0 ELSE created_us - created_us % span_us END"
_WAITED = "decided_us - created_us"
_DECIDED = "decided_us IS NOT NULL AND state <> 'cancelled'"
# Hundredths of the first second, seconds to the tenth minute, minutes after that.
_BUCKET = (
    f"CASE WHEN {_WAITED} < 10000 THEN 0 WHEN {_WAITED} < 1000000 THEN ({_WAITED}) / 10000 "
    f"WHEN {_WAITED} < 600000000 THEN 99 + ({_WAITED}) / 1000000 "
    f"ELSE 689 + ({_WAITED}) / 60000000 END"
)


# All of time is told by user, for lists; hours and days by who decided, for statistics.
_USER = "CASE span_us WHEN 0 THEN user_id ELSE '' END"
_DECIDER = "CASE span_us WHEN 0 THEN '' ELSE coalesce(decided_by, '') END"


def _row(name: str) -> str:
    columns = ("tool", "user_id", "state", "decided_by", "decided_us", "created_us")
    return "SELECT " + ", ".join(f"{name}.{column} AS {column}" for column in columns)


def _count(rows: str, sign: int) -> str:
    waited = f"CASE WHEN {_DECIDED} THEN {_WAITED} ELSE 0 END"
    return (
        f"INSERT INTO approval_counts SELECT span_us, {_START}, tool, {_USER}, state, {_DECIDER}, "
        f"{sign} * count(*), {sign} * sum({waited}) "
        f"FROM ({rows}) JOIN {_SPANS} GROUP BY 1, 2, 3, 4, 5, 6 "
        "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, "
        "waited_us = waited_us + excluded.waited_us"
    )


def _bucket(rows: str) -> str:
    return (
        f"INSERT INTO approval_waits SELECT span_us, {_START}, {_BUCKET}, count(*) "
        f"FROM ({rows}) JOIN {_SPANS} GROUP BY 1, 2, 3 "
        "ON CONFLICT DO UPDATE SET requests = requests + excluded.requests"
    )


def _refuse(table: str, change: str, message: str, when: str, suffix: str = "") -> None:
    op.execute(
        f"CREATE TRIGGER {table}_refuses_{change.lower()}{suffix} BEFORE {change} ON {table} "
        f"WHEN {when} BEGIN SELECT RAISE(ABORT, '{message}'); END"
    )
