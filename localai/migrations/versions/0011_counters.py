"""What every count was, by the hour; checks and runs of tools are counted like all else."""

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
    _runs()
    for change, row, before in (("INSERT", "NEW", "0"), ("UPDATE", "OLD", "OLD.value")):
        op.execute(
            f"CREATE TRIGGER counters_keep_{change.lower()} AFTER {change} ON counters BEGIN "
            "INSERT INTO counter_hours "
            f"VALUES ({row}.name, {row}.labels, {_HOUR}, {before}) ON CONFLICT DO NOTHING; END"
        )
    # From the hour before: a clock that jumps ahead for a moment takes no history along.
    before = "(SELECT max(hour) FROM counter_hours WHERE hour < NEW.hour)"
    op.execute(
        "CREATE TRIGGER counter_hours_end AFTER INSERT ON counter_hours BEGIN "
        f"DELETE FROM counter_hours WHERE hour < {before} - {_KEPT}; END"
    )
    op.execute("PRAGMA user_version = 11")


def _runs() -> None:
    """Count those that were; of one that needed no approval nobody wrote down how it ended."""
    body = "CASE WHEN json_valid(body) THEN body ELSE '{}' END"
    event, tool = (f"json_extract({body}, '$.{name}')" for name in ("event", "subject"))
    ended = "SELECT tool, state FROM approvals WHERE state IN ('succeeded', 'failed', 'unknown')"
    ran = f"SELECT {tool}, 'unknown' FROM audit WHERE {event} = 'tool.ran'"
    denied = f"SELECT {tool}, 'denied' FROM audit WHERE {event} = 'tool.denied'"
    op.execute(
        "INSERT INTO counters SELECT 'mcp_tool_executions_total', "
        "json_object('status', state, 'tool', tool), count(*) "
        f"FROM ({ended} UNION ALL {ran} UNION ALL {denied}) "
        "WHERE tool IS NOT NULL GROUP BY tool, state"
    )
