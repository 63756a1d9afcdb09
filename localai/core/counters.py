"""What happened, counted in the database: a short-lived command's counts outlive it."""

import json
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from localai.core.canonical import canonical
from localai.core.db import Database, metadata

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("labels", sa.Text, primary_key=True),  # JSON, keys in order
    sa.Column("value", sa.BigInteger, nullable=False),
)

_NEW = insert(counters)
_ADD = _NEW.on_conflict_do_update(
    index_elements=[counters.c.name, counters.c.labels],
    set_={"value": counters.c.value + _NEW.excluded.value},
)


def count(connection: sa.Connection, name: str, labels: Mapping[str, str], by: int = 1) -> None:
    """Count one, or more, in the transaction of what is counted."""
    row = {"name": name, "labels": canonical(dict(labels)).decode(), "value": by}
    connection.execute(_ADD, row)


def counted(database: Database, name: str) -> list[tuple[dict[str, str], int]]:
    """How many there were, by their labels."""
    query = sa.select(counters).where(counters.c.name == name).order_by(counters.c.labels)
    with database.read() as connection:
        return [(json.loads(row.labels), row.value) for row in connection.execute(query)]
