"""Permissions, roles and risk levels: pure tables and the functions over them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Literal


class Risk(IntEnum):
    """How much an action can harm; it belongs to the tool, never to what a model says."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """The name in records: low, medium, high or critical."""
        return self.name.lower()


class Role(StrEnum):
    """A set of permissions that a user holds."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"
    USER = "user"


@dataclass(frozen=True)
class Actor:
    """Who acts: a user, as a person at a door or through an agent of theirs.

    `key` is the id of the API key that proved it; `by` is the operator who tries this user's
    permissions with `--as`.
    """

    user_id: str
    kind: Literal["human", "agent"] = "human"
    session: str | None = None
    key: str | None = None
    by: str | None = None

    @property
    def person(self) -> str:
        """Who it is that decides: trying another user's permissions makes no second person."""
        return self.by or self.user_id

    @property
    def signature(self) -> str:
        """The name in the audit, which keeps both."""
        return f"{self.by} as {self.user_id}" if self.by else self.user_id

    def agent(self, session: str | None) -> "Actor":
        """The same user, acting through an agent in a conversation."""
        return replace(self, kind="agent", session=session)


PERMISSIONS: dict[str, str] = {
    "chat:use": "Talk with a model",
    "sessions:read": "Read conversations",
    "sessions:write": "Change and remove conversations",
    "models:read": "See the models",
    "models:write": "Add, choose and remove models",
    "rag:read": "Ask the documents",
    "rag:write": "Index and remove documents",
    "tools:read": "See the tools",
    "tools:run": "Run a tool",
    "files:read": "Let a tool read files",
    "files:write": "Let a tool write files",
    "commands:run": "Let a tool run programs",
    "approvals:read": "See requests",
    "approvals:decide": "Approve and reject requests",
    "approvals:cancel": "Withdraw requests",
    "policy:read": "See the policy",
    "policy:write": "Change the policy",
    "users:read": "See users and roles",
    "users:write": "Add, change and disable users",
    "keys:write": "Make and revoke API keys",
    "audit:read": "Read and verify the audit",
    "config:write": "Change settings",
    "secrets:write": "Store and remove secrets",
    "notify:write": "Send and retry notifications, and have alerts told",
    "backup:write": "Make and restore backups",
}

ROLE_WORDS: dict[Role, str] = {
    Role.ADMIN: "Everything",
    Role.OPERATOR: "Works and decides; administers nothing",
    Role.VIEWER: "Reads, and nothing else",
    Role.USER: "Works and asks; never decides, and runs no programs",
}

_PLACE: dict[str, int] = {role.value: place for place, role in enumerate(Role)}

_READS = frozenset(name for name in PERMISSIONS if name.endswith(":read"))
_ADMINISTERS = frozenset(
    {"users:write", "keys:write", "policy:write", "config:write", "secrets:write", "backup:write"}
)

ROLES: dict[Role, frozenset[str]] = {
    Role.ADMIN: frozenset(PERMISSIONS),
    Role.OPERATOR: frozenset(PERMISSIONS) - _ADMINISTERS,
    Role.VIEWER: _READS,
    Role.USER: frozenset(
        {
            "chat:use",
            "sessions:read",
            "sessions:write",
            "models:read",
            "rag:read",
            "tools:read",
            "tools:run",
            "files:read",
            "files:write",
            "approvals:read",
            "approvals:cancel",
        }
    ),
}


def ordered(roles: Iterable[str]) -> tuple[str, ...]:
    """Each role once, the mightiest first, those that we do not know last."""
    return tuple(sorted(set(roles), key=lambda role: (_PLACE.get(role, len(_PLACE)), role)))


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """All that these roles may do; a role that we do not know gives nothing."""
    held = set(roles)
    return frozenset().union(*(ROLES[role] for role in Role if role.value in held))
