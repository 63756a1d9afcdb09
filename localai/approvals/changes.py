"""What happened to requests, in the order in which it did: read from the audit, which keeps it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from localai.approvals.ledger import Ledger
from localai.approvals.records import Approval
from localai.core.audit import Audit, Entry
from localai.core.ids import is_id
from localai.rbac.permissions import Actor

_EVENTS: Final = "approval."
_MOST = 100


@dataclass(frozen=True)
class Change:
    """One event of a request, and the request as it stands; `id` grows from one to the next."""

    id: int
    at: str
    event: str
    approval: Approval


class Changes:
    """Reads what happened to the requests of a home."""

    def __init__(self, ledger: Ledger, audit: Audit, require: Callable[[Actor, str], None]) -> None:
        self._ledger = ledger
        self._audit = audit
        self._require = require

    def newest(self, actor: Actor) -> int:
        """The id after which there is nothing yet."""
        self._require(actor, "approvals:read")
        return self._audit.newest()

    def after(self, actor: Actor, last: int) -> tuple[int, Sequence[Change]]:
        """What happened after that id, some of it; and the id after which to look again."""
        self._require(actor, "approvals:read")
        entries = self._audit.after(last, _MOST)
        found = [self._change(entry) for entry in entries if _is_of_request(entry)]
        return (entries[-1].seq if entries else last), found

    def _change(self, entry: Entry) -> Change:
        return Change(entry.seq, entry.at, entry.event, self._ledger.read(entry.subject))


def _is_of_request(entry: Entry) -> bool:
    return entry.event.startswith(_EVENTS) and is_id(entry.subject)
