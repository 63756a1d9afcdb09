"""The check that every service method makes first, and the operator of a home.

Users are read again whenever the database has changed, so a revoked role, key or user is gone
from the next check on. A database that cannot be read denies, because the check cannot be made.
"""

import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.counters import count
from localai.core.db import Database
from localai.core.errors import Denied
from localai.core.metrics import CHECKS, ROLE_ASSIGNMENTS
from localai.core.tally import Tally
from localai.rbac.allowance import EVERYTHING, Allowance
from localai.rbac.permissions import Actor, Role
from localai.rbac.snapshot import LiveKey, Rights, Snapshot
from localai.rbac.tables import user_roles, users

_OPERATOR = sa.select(users.c.id).where(users.c.is_operator.is_(True))


class Rbac:
    """What each user may do."""

    def __init__(self, database: Database, audit: Audit, clock: Clock, tally: Tally) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock
        self._snapshot = Snapshot(database)
        self._tally = tally

    def require(self, actor: Actor, permission: str) -> None:
        """Return if the actor holds the permission; else audit the refusal and raise Denied."""
        rights = self._snapshot.now()
        holder = rights.holder(actor.user_id)
        why = self._obstacle(actor, rights, permission)
        if why is None:
            self._tally.count(CHECKS, "allowed", holder.label)
            return
        details = {"roles": list(holder.roles), "kind": actor.kind, "reason": why}
        if actor.key:
            details["key"] = actor.key
        with self._database.transaction() as connection:
            count(connection, CHECKS, "denied", holder.label)
            self._audit.record(
                connection,
                "permission.denied",
                actor=actor.signature,
                subject=permission,
                details=details,
            )
        raise Denied(why, hint="ai users whoami   says what you may do; an admin can change it")

    def roles(self, user_id: str) -> tuple[str, ...]:
        """The roles that hold now; none for a user who is unknown or disabled."""
        return self._snapshot.now().holder(user_id).roles

    def permissions(self, actor: Actor) -> frozenset[str]:
        """All that the actor may do now."""
        rights = self._snapshot.now()
        held = rights.holder(actor.user_id).permissions
        return frozenset(name for name in held if self._key_obstacle(actor, rights, name) is None)

    def allowance(self, actor: Actor) -> Allowance:
        """What the actor's key is for; everything where there is none, or none that holds."""
        key = self._snapshot.now().keys.get(actor.key) if actor.key else None
        return EVERYTHING if key is None else key.allowance

    def key(self, key: str) -> LiveKey | None:
        """The API key of this id as it holds now; None where none does."""
        found = self._snapshot.now().keys.get(key)
        return found if found and found.expires_us > self._clock.now_us() else None

    def holders(self, permission: str) -> frozenset[str]:
        """The users who hold the permission now."""
        return self._snapshot.now().holders(permission)

    def find_operator(self) -> Actor | None:
        """The operator of this home, None before there is one."""
        with self._database.read() as connection:
            name = connection.scalar(_OPERATOR)
        return None if name is None else Actor(name)

    def ensure_operator(self, login: str) -> tuple[Actor, bool]:
        """The operator, made from the login name if there is none; True if made now."""
        with self._database.transaction() as connection:
            name = connection.scalar(_OPERATOR)
            if name is not None:
                return Actor(name), False
            person = {"id": login, "created_us": self._clock.now_us(), "is_operator": True}
            connection.execute(sa.insert(users), person)
            connection.execute(sa.insert(user_roles), {"user_id": login, "role": Role.ADMIN.value})
            count(connection, ROLE_ASSIGNMENTS, Role.ADMIN.value)
            self._audit.record(
                connection,
                "operator.created",
                actor=login,
                subject=login,
                details={"role": Role.ADMIN.value},
            )
        return Actor(login), True

    def _obstacle(self, actor: Actor, rights: Rights, permission: str) -> str | None:
        holder = rights.holder(actor.user_id)
        if permission not in holder.permissions:
            held = ", ".join(holder.roles) or "no role"
            return f"{actor.user_id} ({held}) lacks the permission {permission}"
        return self._key_obstacle(actor, rights, permission)

    def _key_obstacle(self, actor: Actor, rights: Rights, permission: str) -> str | None:
        if actor.key is None:
            return None
        key = rights.keys.get(actor.key)
        if key is None or key.user != actor.user_id:
            return f"the API key {actor.key} was revoked"
        if key.expires_us <= self._clock.now_us():
            return f"the API key {actor.key} has expired"
        if key.permissions is not None and permission not in key.permissions:
            return f"the API key {actor.key} is not for {permission}"
        return None
