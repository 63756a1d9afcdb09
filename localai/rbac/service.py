"""Users and the check that every service method makes first.

Roles are read from the database at each check, so a revoked role is gone from the next one on.
A database that cannot be read denies, because the check cannot be made.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import Denied
from localai.rbac.permissions import Actor, Role, permissions_of
from localai.rbac.tables import user_roles, users

_ROLES = (
    sa.select(user_roles.c.role)
    .join(users, users.c.id == user_roles.c.user_id)
    .where(users.c.id == sa.bindparam("user"), users.c.is_disabled.is_(False))
    .order_by(user_roles.c.role)
)
_OPERATOR = sa.select(users.c.id).where(users.c.is_operator.is_(True))


@dataclass(frozen=True)
class User:
    """A user and what their roles allow."""

    name: str
    roles: tuple[str, ...]
    permissions: tuple[str, ...]


class Rbac:
    """Who the users are and what each may do."""

    def __init__(self, database: Database, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._clock = clock

    def require(self, actor: Actor, permission: str) -> None:
        """Return if the actor holds the permission; else audit the refusal and raise Denied."""
        roles = self.roles(actor.user_id)
        if permission in permissions_of(roles):
            return
        held = ", ".join(roles) or "no role"
        with self._database.transaction() as connection:
            self._audit.record(
                connection,
                "permission.denied",
                actor=actor.user_id,
                subject=permission,
                details={"roles": list(roles), "kind": actor.kind},
            )
        message = f"{actor.user_id} ({held}) lacks the permission {permission}"
        raise Denied(message, hint="ask an admin for a role that has it")

    def roles(self, user_id: str) -> tuple[str, ...]:
        """The roles that hold now; none for a user who is unknown or disabled."""
        with self._database.read() as connection:
            return tuple(connection.scalars(_ROLES, {"user": user_id}))

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
            self._audit.record(
                connection,
                "operator.created",
                actor=login,
                subject=login,
                details={"role": Role.ADMIN.value},
            )
        return Actor(login), True

    def describe(self, actor: Actor) -> User:
        """The actor with roles and permissions as they stand now."""
        roles = self.roles(actor.user_id)
        return User(actor.user_id, roles, tuple(sorted(permissions_of(roles))))
