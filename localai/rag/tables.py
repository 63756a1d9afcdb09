"""Collections, and which files are in them."""

import sqlalchemy as sa

from localai.core.db import metadata

collections = sa.Table(
    "rag_collections",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("directory", sa.Text, nullable=False),
    sa.Column("engine", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("dim", sa.Integer, nullable=False),
    sa.Column("is_multilingual", sa.Boolean, nullable=False),
    sa.Column("tokenizer_version", sa.Integer, nullable=False),
    sa.Column("average_terms", sa.Float, nullable=False),
    sa.Column("description", sa.Text, nullable=False, server_default=""),
    sa.Column("created_us", sa.BigInteger, nullable=False),
    sa.Column("updated_us", sa.BigInteger, nullable=False),
)

# A row with an empty sha256 was begun and not finished: its passages may be partly there.
files = sa.Table(
    "rag_files",
    metadata,
    sa.Column(
        "collection",
        sa.Text,
        sa.ForeignKey("rag_collections.name", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("root", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("chunks", sa.Integer, nullable=False),
    sa.Column("is_trusted", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("version", sa.Text, nullable=False, server_default=""),
)

# What each question of an evaluation scored the last time, by its id.
scores = sa.Table(
    "rag_scores",
    metadata,
    sa.Column(
        "collection",
        sa.Text,
        sa.ForeignKey("rag_collections.name", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("question", sa.Text, primary_key=True),
    sa.Column("ndcg", sa.Float, nullable=False),
)
