"""What people and models said, found by any three characters of it, Korean ones too."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the index, fill it, and let a trigger add to it whatever is said."""
    op.execute(
        "CREATE VIRTUAL TABLE messages_search "
        "USING fts5(content, session_id UNINDEXED, seq UNINDEXED, tokenize = 'trigram')"
    )
    op.execute(
        "INSERT INTO messages_search (content, session_id, seq) "
        "SELECT content, session_id, seq FROM messages "
        "WHERE content IS NOT NULL AND role IN ('user', 'assistant')"
    )
    op.execute(
        "CREATE TRIGGER messages_search_added AFTER INSERT ON messages "
        "WHEN NEW.content IS NOT NULL AND NEW.role IN ('user', 'assistant') "
        "BEGIN INSERT INTO messages_search (content, session_id, seq) "
        "VALUES (NEW.content, NEW.session_id, NEW.seq); END"
    )
    op.execute("PRAGMA user_version = 4")
