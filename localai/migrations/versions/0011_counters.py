"""What every count was, by the hour; permission checks are counted like all else."""

from alembic import op

revision = "0011"
down_revision = "0010"

_HOUR = "CAST(strftime('%s', 'now') AS INTEGER) / 3600"
_KEPT = 24 * 92  # hours


def upgrade() -> None:
    """Create the table and what fills it, and move the checks."""
    op.execute(
        "CREATE TABLE counter_hours (name TEXT NOT NULL, labels TEXT NOT NULL, "
        "hour BIGINT NOT NULL, value BIGINT NOT NULL, PRIMARY KEY (name, labels, hour)) "
        "WITHOUT ROWID"
    )
    op.execute("CREATE INDEX counter_hours_by_hour ON counter_hours (hour)")
    op.execute(
        "INSERT INTO counters SELECT 'rbac_permission_checks_total', "
        "json_object('result', result, 'role', role), checks FROM permission_checks"
    )
    op.execute("DROP TABLE permission_checks")
    for change, row, before in (("INSERT", "NEW", "0"), ("UPDATE", "OLD", "OLD.value")):
        op.execute(
            f"CREATE TRIGGER counters_keep_{change.lower()} AFTER {change} ON counters BEGIN "
            "INSERT INTO counter_hours "
            f"VALUES ({row}.name, {row}.labels, {_HOUR}, {before}) ON CONFLICT DO NOTHING; END"
        )
    op.execute(
        "CREATE TRIGGER counter_hours_end AFTER INSERT ON counter_hours BEGIN "
        f"DELETE FROM counter_hours WHERE hour < NEW.hour - {_KEPT}; END"
    )
    op.execute("PRAGMA user_version = 11")
