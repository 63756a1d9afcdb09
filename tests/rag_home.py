"""A documents room with the engine and the model that ship; for tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from measured import Kept

from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import Denied, Unavailable
from localai.core.web import Fetched
from localai.rag.catalog import Catalog
from localai.rag.client import QdrantServer
from localai.rag.embed import Embedder
from localai.rag.records import SHIPPED_MODEL, Answer
from localai.rag.service import Rag
from localai.rag.store import Store
from localai.rbac.permissions import Actor

WRITER = Actor("writer")
READER = Actor("reader")
NOBODY = Actor("nobody")

_MAY = {"writer": {"rag:read", "rag:write"}, "reader": {"rag:read"}, "nobody": set[str]()}


@dataclass(frozen=True)
class Room:
    """A room, what stands behind it, and what it counted."""

    rag: Rag
    database: Database
    catalog: Catalog
    data: Path
    kept: Kept


def require(actor: Actor, permission: str) -> None:
    """The rule of these tests: the name says what one may do."""
    if permission not in _MAY[actor.user_id]:
        raise Denied(permission)


def offline(url: str) -> Fetched:
    """The web of a machine without a network."""
    raise Unavailable(f"{url} cannot be reached")


def room(
    home: Path,
    *,
    model: str = SHIPPED_MODEL,
    server: QdrantServer | None = None,
    fetch: Callable[[str], Fetched] = offline,
) -> Room:
    """A room in the folder, whose database is made on first use."""
    clock = Clock()
    database = Database(home / "localai.db")
    data = home / "rag"
    catalog = Catalog(database, clock)
    store = Store(
        catalog,
        data,
        lambda name: Embedder(name, home / "cache"),
        lambda: model,
        (lambda: server) if server else None,
    )
    kept = Kept()
    return Room(Rag(store, require, fetch, measures=kept), database, catalog, data, kept)


def sources(found: Answer) -> list[str]:
    """The files of the passages, best first."""
    return [passage.source for passage in found.passages]
