"""API keys: `lai_<id>_<secret>_<checksum>`, shown once and kept as an HMAC.

The secret has 256 random bits, so one fast HMAC with a pepper from outside of the database is
enough; a slow hash protects what people can remember. The checksum (CRC-32) tells a slip of the
hand from a wrong key.
"""

import hashlib
import hmac
import json
import re
import secrets
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from localai.core.audit import Audit
from localai.core.clock import Clock, rfc3339
from localai.core.db import Database
from localai.core.errors import Conflict, Denied, Invalid, NotFound
from localai.core.ids import check_prefix, new_id, only
from localai.core.rate import Rate, Throttle
from localai.core.records import Page, page_of
from localai.rbac.allowance import EVERYTHING, Allowance, allowance_in, columns
from localai.rbac.permissions import PERMISSIONS, Actor
from localai.rbac.service import Rbac
from localai.rbac.tables import api_keys as k
from localai.rbac.tables import users

_SHAPE = re.compile(r"(lai_([0-9a-f]{16})_([0-9a-f]{64}))_([0-9a-f]{8})")
_SECOND = 1_000_000
_ALL = sa.select(k).order_by(k.c.created_us, k.c.id)
_BY_ID = sa.select(k, users.c.is_disabled).join(users).where(k.c.id == sa.bindparam("id"))
_NOBODY = "0" * 64
_WRITTEN = Rate(60, 60)  # of each kind of refusal: who tries keys does not fill the disk


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept; `permissions` None are all that its user holds."""

    id: str
    user: str
    status: str
    permissions: tuple[str, ...] | None
    created_at: str
    expires_at: str
    replaced_by: str | None
    models: tuple[str, ...] | None
    requests_per_minute: int | None
    tokens_per_day: int | None


@dataclass(frozen=True)
class NewKey:
    """A key as it is shown, once."""

    id: str
    user: str
    key: str
    expires_at: str
    permissions: tuple[str, ...] | None
    models: tuple[str, ...] | None
    requests_per_minute: int | None
    tokens_per_day: int | None


class Keys:
    """The API keys of one home; `pepper` gives the key of their HMACs.

    `models` gives the names of what there is to ask for.
    """

    def __init__(  # noqa: PLR0913 - a room is handed all that it needs
        self,
        database: Database,
        audit: Audit,
        rbac: Rbac,
        clock: Clock,
        pepper: Callable[[], bytes],
        models: Callable[[Actor], Collection[str]] = lambda _: (),
    ) -> None:
        self._database = database
        self._audit = audit
        self._rbac = rbac
        self._clock = clock
        self._pepper = pepper
        self._models = models
        self._refused = {reason: Throttle(_WRITTEN) for reason in _REFUSALS}

    def create(
        self,
        actor: Actor,
        user: str,
        *,
        lifetime_s: int,
        permissions: Sequence[str] | None = None,
        allowed: Allowance = EVERYTHING,
    ) -> NewKey:
        """A key of the user, for these permissions alone if any are given, and what is allowed."""
        self._rbac.require(actor, "keys:write")
        limits = _limits(permissions)
        self._check_holder(user, limits)
        self._check_models(actor, allowed)
        with self._database.transaction() as connection:
            made = self._make(connection, user, lifetime_s, limits, allowed)
            self._note(connection, actor, "key.created", made)
        return made

    def list(self, actor: Actor, *, limit: int = 50, cursor: str | None = None) -> Page[ApiKey]:
        """Every key, oldest first; the cursor is the last id of the page before."""
        self._rbac.require(actor, "keys:write")
        now = self._clock.now_us()
        with self._database.read() as connection:
            found = tuple(_key(row, now) for row in connection.execute(_ALL))
        return page_of(found, lambda key: key.id, limit=limit, cursor=cursor, hint="ai keys list")

    def rotate(self, actor: Actor, prefix: str, *, overlap_s: int) -> NewKey:
        """A new key for the same use; the old one holds for `overlap_s` seconds more."""
        self._rbac.require(actor, "keys:write")
        with self._database.transaction() as connection:
            old = self._live(connection, prefix)
            limits = None if old.permissions is None else tuple(json.loads(old.permissions))
            kept = old.user_id, old.lifetime_s, limits, allowance_in(old)
            made = self._make(connection, *kept)
            ends = min(old.expires_us, self._clock.now_us() + overlap_s * _SECOND)
            row = sa.update(k).where(k.c.id == old.id)
            connection.execute(row.values(expires_us=ends, replaced_by=made.id))
            self._note(connection, actor, "key.rotated", made, replaces=old.id, until=rfc3339(ends))
        return made

    def revoke(self, actor: Actor, prefix: str) -> ApiKey:
        """End a key now; it is refused from the next check on."""
        self._rbac.require(actor, "keys:write")
        now = self._clock.now_us()
        with self._database.transaction() as connection:
            found = self._live(connection, prefix)
            connection.execute(sa.update(k).where(k.c.id == found.id).values(revoked_us=now))
            self._note(connection, actor, "key.revoked", _key(found, now))
            ended = connection.execute(_BY_ID, {"id": found.id}).one()
        return _key(ended, now)

    def authenticate(self, text: str) -> Actor:
        """Whose key that is; Denied for any that does not hold.

        Refusals are audited, 60 a minute of each reason; the next one says how many were left out.
        """
        if (known := self.known(text)) is not None:
            return known
        key_id, mac = self._read(text)
        with self._database.read() as connection:
            row = connection.execute(_BY_ID, {"id": key_id}).one_or_none()
        if row is None or not hmac.compare_digest(mac, row.mac):
            raise self._refusal(key_id, "unknown")
        status = "disabled" if row.is_disabled else _status(row, self._clock.now_us())
        if status != "live":
            raise self._refusal(key_id, status)
        return Actor(row.user_id, key=row.id)

    def known(self, text: str) -> Actor | None:
        """Whose key that is, from memory and in microseconds; None where `authenticate` must tell.

        Denied for what is no key at all.
        """
        key_id, mac = self._read(text)
        key = self._rbac.key(key_id)
        # An unknown id costs as much as a wrong secret.
        is_right = hmac.compare_digest(mac, key.mac if key else _NOBODY)
        return Actor(key.user, key=key_id) if key and is_right else None

    def _read(self, text: str) -> tuple[str, str]:
        """The id of a key, and what its secret leads to; Denied for what has not its shape."""
        shape = _SHAPE.fullmatch(text.strip())
        if shape is None or zlib.crc32(shape[1].encode()) != int(shape[4], 16):
            raise Denied("that is not an API key of localai", hint="copy it once more, whole")
        return shape[2], self._mac(shape[1])

    def _make(
        self,
        connection: sa.Connection,
        user: str,
        lifetime_s: int,
        limits: tuple[str, ...] | None,
        allowed: Allowance,
    ) -> NewKey:
        key_id, now = new_id(), self._clock.now_us()
        body = f"lai_{key_id}_{secrets.token_hex(32)}"
        expires = now + lifetime_s * _SECOND
        row = {
            "id": key_id,
            "user_id": user,
            "mac": self._mac(body),
            "permissions": None if limits is None else json.dumps(limits),
            "created_us": now,
            "lifetime_s": lifetime_s,
            "expires_us": expires,
            **columns(allowed),
        }
        connection.execute(sa.insert(k), row)
        text = f"{body}_{zlib.crc32(body.encode()):08x}"
        return NewKey(key_id, user, text, rfc3339(expires) or "", limits, **vars(allowed))

    def _mac(self, body: str) -> str:
        return hmac.new(self._pepper(), body.encode(), hashlib.sha256).hexdigest()

    def _live(self, connection: sa.Connection, prefix: str) -> Any:
        check_prefix(prefix)
        rows = {row.id: row for row in connection.execute(_ALL) if row.id.startswith(prefix)}
        now = self._clock.now_us()
        live = [key_id for key_id, row in rows.items() if _status(row, now) == "live"]
        found = rows[only(prefix, "API key", live or list(rows), hint="ai keys list")]
        if (status := _status(found, now)) != "live":
            raise Conflict(f"the API key {found.id} is {status}", hint="ai keys list")
        return found

    def _check_holder(self, user: str, limits: tuple[str, ...] | None) -> None:
        with self._database.read() as connection:
            query = sa.select(users.c.is_disabled).where(users.c.id == user)
            is_disabled = connection.scalar(query)
        if is_disabled is None:
            raise NotFound(f"no user {user!r}", hint="ai users list")
        if is_disabled:
            raise Conflict(f"{user} is disabled", hint=f"ai users enable {user}")
        held = self._rbac.permissions(Actor(user))
        for name in limits or ():
            if name not in held:
                raise Invalid(f"{user} does not hold {name}", hint=f"ai users show {user}")

    def _check_models(self, actor: Actor, allowed: Allowance) -> None:
        there = self._models(actor) if allowed.models else ()
        for name in allowed.models or ():
            if name not in there:
                raise NotFound(f"there is no model {name}", hint="ai models list")

    def _refusal(self, key_id: str, reason: str) -> Denied:
        left_out = self._refused[reason].passes(self._clock.monotonic_us())
        if left_out is not None:
            details = {"reason": reason, "left_out": left_out}
            with self._database.transaction() as connection:
                self._audit.record(
                    connection, "key.refused", actor="nobody", subject=key_id, details=details
                )
        message = f"{_REFUSALS[reason]}: {key_id}"
        return Denied(message, hint="an admin makes one: ai keys create --user NAME")

    def _note(
        self,
        connection: sa.Connection,
        actor: Actor,
        event: str,
        key: NewKey | ApiKey,
        **details: Any,
    ) -> None:
        said = {"user": key.user, "expires_at": key.expires_at, **details}
        if key.permissions is not None:
            said["permissions"] = list(key.permissions)
        if words := Allowance(key.models, key.requests_per_minute, key.tokens_per_day).words:
            said["allowed"] = words
        self._audit.record(connection, event, actor=actor.signature, subject=key.id, details=said)


_REFUSALS = {
    "unknown": "no such API key",
    "revoked": "the API key was revoked",
    "expired": "the API key has expired",
    "disabled": "the API key's user is disabled",
}


def _limits(permissions: Sequence[str] | None) -> tuple[str, ...] | None:
    if not permissions:
        return None
    for name in permissions:
        if name not in PERMISSIONS:
            raise Invalid(f"{name!r} is not a permission", hint="ai roles show admin")
    return tuple(name for name in PERMISSIONS if name in set(permissions))


def _status(row: Any, now_us: int) -> str:
    if row.revoked_us is not None:
        return "revoked"
    return "live" if row.expires_us > now_us else "expired"


def _key(row: Any, now_us: int) -> ApiKey:
    return ApiKey(
        id=row.id,
        user=row.user_id,
        status=_status(row, now_us),
        permissions=None if row.permissions is None else tuple(json.loads(row.permissions)),
        created_at=rfc3339(row.created_us) or "",
        expires_at=rfc3339(row.expires_us) or "",
        replaced_by=row.replaced_by,
        **vars(allowance_in(row)),
    )
