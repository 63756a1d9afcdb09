"""Users: who there is, what each holds, who is calling. Every change is audited with itself."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.clock import Clock, rfc3339
from localai.core.counters import count
from localai.core.db import Database
from localai.core.errors import Conflict, Invalid, NotFound
from localai.core.escape import is_mixed_script
from localai.core.metrics import ROLE_ASSIGNMENTS, ROLE_MEMBERS, Reading
from localai.core.records import Page, page_of
from localai.rbac.permissions import (
    PERMISSIONS,
    ROLE_WORDS,
    ROLES,
    Actor,
    Role,
    ordered,
    permissions_of,
)
from localai.rbac.service import Rbac
from localai.rbac.tables import user_roles, users

_NAME = re.compile(r"\w[\w.@-]{0,63}")
_RESERVED = frozenset({"system"})
_ALL = (
    sa.select(users, sa.func.group_concat(user_roles.c.role).label("roles"))
    .outerjoin(user_roles, users.c.id == user_roles.c.user_id)
    .group_by(users.c.id)
    .order_by(users.c.created_us, users.c.id)
)
_MEMBERS = (
    sa.select(user_roles.c.role, sa.func.count().label("members"))
    .join(users, users.c.id == user_roles.c.user_id)
    .where(users.c.is_disabled.is_(False))
    .group_by(user_roles.c.role)
)
_ONE = _ALL.where(users.c.id == sa.bindparam("name"))


@dataclass(frozen=True)
class User:
    """A user; `permissions` are those of the roles, none while disabled."""

    name: str
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    is_operator: bool
    is_disabled: bool
    created_at: str


@dataclass(frozen=True)
class Identity:
    """Who is calling, how that is known, and what they may do now."""

    name: str
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    known_by: str


@dataclass(frozen=True)
class RoleInfo:
    """A role and what it holds."""

    name: str
    use: str
    permissions: tuple[str, ...]


class Users:
    """The users of one home."""

    def __init__(self, database: Database, audit: Audit, rbac: Rbac, clock: Clock) -> None:
        self._database = database
        self._audit = audit
        self._rbac = rbac
        self._clock = clock

    def whoami(self, actor: Actor) -> Identity:
        """The caller; everybody may ask this of themselves."""
        return Identity(
            actor.user_id,
            self._rbac.roles(actor.user_id),
            tuple(name for name in PERMISSIONS if name in self._rbac.permissions(actor)),
            _known_by(actor),
        )

    def trial(self, operator: Actor, name: str) -> Actor:
        """The operator with another user's permissions in place of their own."""
        return replace(operator, user_id=self._at(name).name, by=operator.user_id)

    def list(self, actor: Actor, *, limit: int = 50, cursor: str | None = None) -> Page[User]:
        """Every user, oldest first; the cursor is the last name of the page before."""
        self._rbac.require(actor, "users:read")
        with self._database.read() as connection:
            found = tuple(_user(row) for row in connection.execute(_ALL))
        hint = "ai users list"
        return page_of(found, lambda user: user.name, limit=limit, cursor=cursor, hint=hint)

    def get(self, actor: Actor, name: str) -> User:
        """One user; NotFound for a name that nobody has."""
        self._rbac.require(actor, "users:read")
        return self._at(name)

    def add(self, actor: Actor, name: str, roles: Sequence[str]) -> User:
        """Make a user; Conflict if the name is taken, disabled users included."""
        self._rbac.require(actor, "users:write")
        _check_name(name)
        held = _known_roles(roles)
        with self._database.transaction() as connection:
            if connection.execute(_ONE, {"name": name}).one_or_none():
                raise Conflict(f"there is a user {name}", hint=f"ai users set-role {name} ROLE")
            person = {"id": name, "created_us": self._clock.now_us(), "is_operator": False}
            connection.execute(sa.insert(users), person)
            self._give(connection, name, held)
            self._note(connection, actor, "user.added", name, roles=held)
        return self._at(name)

    def set_roles(self, actor: Actor, name: str, roles: Sequence[str]) -> User:
        """Give a user these roles and no others."""
        self._rbac.require(actor, "users:write")
        held = _known_roles(roles)
        with self._database.transaction() as connection:
            before = _found(connection, name)
            if before.is_operator and Role.ADMIN.value not in held:
                raise _operator_stays(name)
            connection.execute(sa.delete(user_roles).where(user_roles.c.user_id == name))
            self._give(connection, name, held)
            changed = {"before": list(before.roles), "roles": held}
            self._note(connection, actor, "user.roles-set", name, **changed)
        return self._at(name)

    def set_disabled(self, actor: Actor, name: str, *, disabled: bool) -> User:
        """Take every permission from a user, or give them back; rows that name them stay."""
        self._rbac.require(actor, "users:write")
        with self._database.transaction() as connection:
            before = _found(connection, name)
            if before.is_operator and disabled:
                raise _operator_stays(name)
            if before.is_disabled != disabled:
                row = sa.update(users).where(users.c.id == name)
                connection.execute(row.values(is_disabled=disabled))
                event = "user.disabled" if disabled else "user.enabled"
                self._note(connection, actor, event, name)
        return self._at(name)

    def roles(self, actor: Actor) -> Page[RoleInfo]:
        """Every role and what it holds."""
        self._rbac.require(actor, "users:read")
        listed = tuple(_role(role) for role in Role)
        return Page(listed, len(listed))

    def role(self, actor: Actor, name: str) -> RoleInfo:
        """One role."""
        self._rbac.require(actor, "users:read")
        (known,) = _known_roles([name])
        return _role(Role(known))

    def readings(self, connection: sa.Connection) -> Iterator[Reading]:
        """How many users hold each role, those who are disabled left out."""
        members = {row.role: row.members for row in connection.execute(_MEMBERS)}
        for role in Role:
            yield Reading(ROLE_MEMBERS, members.get(role.value, 0), (role.value,))

    def _at(self, name: str) -> User:
        with self._database.read() as connection:
            return _found(connection, name)

    def _give(self, connection: sa.Connection, name: str, roles: Sequence[str]) -> None:
        rows = [{"user_id": name, "role": role} for role in roles]
        connection.execute(sa.insert(user_roles), rows)
        for role in roles:
            count(connection, ROLE_ASSIGNMENTS, role)

    def _note(
        self, connection: sa.Connection, actor: Actor, event: str, name: str, **details: Any
    ) -> None:
        signature = actor.signature
        self._audit.record(connection, event, actor=signature, subject=name, details=details)


def _found(connection: sa.Connection, name: str) -> User:
    row = connection.execute(_ONE, {"name": name}).one_or_none()
    if row is None:
        raise NotFound(f"no user {name!r}", hint="ai users list")
    return _user(row)


def _user(row: Any) -> User:
    roles = ordered(row.roles.split(",")) if row.roles else ()
    held = frozenset() if row.is_disabled else permissions_of(roles)
    return User(
        row.id,
        roles,
        tuple(name for name in PERMISSIONS if name in held),
        row.is_operator,
        row.is_disabled,
        rfc3339(row.created_us) or "",
    )


def _role(role: Role) -> RoleInfo:
    held = tuple(name for name in PERMISSIONS if name in ROLES[role])
    return RoleInfo(role.value, ROLE_WORDS[role], held)


def _known_roles(roles: Sequence[str]) -> list[str]:
    known = [role.value for role in Role]
    for role in roles:
        if role not in known:
            raise Invalid(f"{role!r} is not a role", hint=f"one of {', '.join(known)}")
    return list(ordered(roles))


def _check_name(name: str) -> None:
    # Names stand in the audit and in questions: what looks like another one is no name.
    is_plain = unicodedata.normalize("NFKC", name) == name and not is_mixed_script(name)
    if not (_NAME.fullmatch(name) and is_plain) or name in _RESERVED:
        message = f"{name!r} cannot be a user's name"
        raise Invalid(message, hint="letters of one alphabet, digits and . _ @ -, at most 64")


def _operator_stays(name: str) -> Conflict:
    message = f"{name} is the operator of this home and stays an admin"
    return Conflict(message, hint="ai users list")


def _known_by(actor: Actor) -> str:
    if actor.by:
        return f"--as, said by the operator {actor.by}"
    if actor.key:
        return f"the API key {actor.key}"
    return "this home, whose operator it is"
