"""What a check reads: users, roles and keys in memory, good until the database changes."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from localai.core.db import Database
from localai.rbac.allowance import Allowance, allowance_in
from localai.rbac.permissions import ordered, permissions_of
from localai.rbac.tables import api_keys, user_roles, users

_HELD = (
    sa.select(users.c.id, user_roles.c.role)
    .outerjoin(user_roles, users.c.id == user_roles.c.user_id)
    .where(users.c.is_disabled.is_(False))
)
_KEYS = (
    sa.select(api_keys)
    .join(users)
    .where(api_keys.c.revoked_us.is_(None), users.c.is_disabled.is_(False))
)
_CHANGES = "SELECT changes FROM rights"


@dataclass(frozen=True)
class Holder:
    """A user who is not disabled; the mightiest role first."""

    roles: tuple[str, ...] = ()
    permissions: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """The roles in one word."""
        return "+".join(self.roles) or "none"


@dataclass(frozen=True)
class LiveKey:
    """A key that was not revoked, of a user who is not disabled.

    `permissions` None are all that its user holds; `mac` is what its secret must lead to.
    """

    user: str
    mac: str
    permissions: frozenset[str] | None
    expires_us: int
    allowance: Allowance


@dataclass(frozen=True)
class Rights:
    """Who holds what, as it was read at one moment."""

    users: Mapping[str, Holder]
    keys: Mapping[str, LiveKey]

    def holder(self, user: str) -> Holder:
        """What the user holds; nothing for one who is unknown or disabled."""
        return self.users.get(user, _NOBODY)

    def holders(self, permission: str) -> frozenset[str]:
        """Every user who holds the permission."""
        return frozenset(
            user for user, each in self.users.items() if permission in each.permissions
        )


class Snapshot:
    """Reads users and keys again when anybody, here or in another process, changed them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._stamp: object = None
        self._changes: object = None
        self._rights = Rights({}, {})

    def now(self) -> Rights:
        """Who holds what now; whether a key has expired is for the caller's clock."""
        # What tells of a change is read before the rows: one in between shows at the next check.
        with self._lock:
            stamp = self._database.stamp()
            if stamp != self._stamp:
                changes = self._database.glance(_CHANGES)
                if changes != self._changes:
                    with self._database.read() as connection:
                        users = _holders(connection.execute(_HELD).all())
                        self._rights = Rights(users, _live(connection.execute(_KEYS).all()))
                self._stamp, self._changes = stamp, changes
            return self._rights


_NOBODY = Holder()


def _holders(rows: Any) -> Mapping[str, Holder]:
    roles: dict[str, list[str]] = {}
    for user, role in rows:
        held = roles.setdefault(user, [])
        if role is not None:
            held.append(role)
    return {user: Holder(ordered(held), permissions_of(held)) for user, held in roles.items()}


def _live(rows: Any) -> Mapping[str, LiveKey]:
    return {
        row.id: LiveKey(
            row.user_id,
            row.mac,
            None if row.permissions is None else frozenset(json.loads(row.permissions)),
            row.expires_us,
            allowance_in(row),
        )
        for row in rows
    }
