"""One-time codes of an authenticator app, as a second proof of who decides; each counts once.

TOTP, RFC 6238: six digits, a new one every 30 seconds, the one before and after taken too. A
person's secret is derived from a key of this home, so that the database holds none.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from localai.core.audit import Audit
from localai.core.clock import Clock
from localai.core.db import Database
from localai.core.errors import Denied, Invalid, NotFound
from localai.rbac.permissions import Actor
from localai.rbac.service import Rbac
from localai.rbac.tables import codes as c

if TYPE_CHECKING:
    from pyotp import TOTP

_STEP_US = 30_000_000
_SECRET_BYTES = 20
_FIND = sa.select(c.c.generation, c.c.is_on).where(c.c.user_id == sa.bindparam("of_user"))
_TAKE = (
    sa.update(c)
    .where(c.c.user_id == sa.bindparam("of_user"), c.c.is_on, c.c.step < sa.bindparam("at"))
    .values(step=sa.bindparam("at"))
)


@dataclass(frozen=True)
class Enrolment:
    """What an authenticator app needs; it counts once a code of it has been given."""

    user: str
    secret: str
    uri: str


class Codes:
    """The codes of one home; `limit` is asked before each is looked at."""

    def __init__(  # noqa: PLR0913 - what the room stands on
        self,
        database: Database,
        audit: Audit,
        rbac: Rbac,
        clock: Clock,
        key: Callable[[], bytes],
        limit: Callable[[Actor, str], None],
    ) -> None:
        self._database = database
        self._audit = audit
        self._rbac = rbac
        self._clock = clock
        self._key = key
        self._limit = limit

    def has(self, person: str) -> bool:
        """Tell whether the person gives codes."""
        return self._row(person)[1]

    def new(self, actor: Actor, code: str | None = None) -> Enrolment:
        """The next secret of the caller; with `code` of the one that counts now, if one does."""
        self._require_person(actor)
        generation, is_on = self._row(actor.person)
        if is_on:
            take = self.claim(actor, code)
            with self._database.transaction() as connection:
                take(connection)
        totp = self._totp(actor.person, generation + 1)
        uri = totp.provisioning_uri(name=actor.person, issuer_name="localai")
        return Enrolment(actor.person, totp.secret, uri)

    def confirm(self, actor: Actor, code: str) -> None:
        """Let the new secret count from now on, proved by a code of it."""
        self._require_person(actor)
        generation, _ = self._row(actor.person)
        step = self._checked(actor, code, generation + 1)
        added = insert(c).values(
            user_id=actor.person, generation=generation + 1, is_on=True, step=step
        )
        changed = added.on_conflict_do_update(
            index_elements=[c.c.user_id],
            set_={
                "generation": generation + 1,
                "is_on": True,
                "step": sa.func.max(c.c.step, step),
            },
        )
        with self._database.transaction() as connection:
            connection.execute(changed)
            self._note(connection, actor, "codes.on", actor.person)

    def remove(self, actor: Actor, name: str) -> None:
        """Let no code of the user count any more."""
        self._rbac.require(actor, "users:write")
        off = sa.update(c).where(c.c.user_id == name, c.c.is_on)
        with self._database.transaction() as connection:
            changed = connection.execute(off.values(is_on=False, generation=c.c.generation + 1))
            if changed.rowcount != 1:
                raise NotFound(f"{name} gives no codes", hint="ai users list")
            self._note(connection, actor, "codes.off", name)

    def claim(self, actor: Actor, code: str | None) -> Callable[[sa.Connection], None]:
        """Look at the code now; what is returned takes it, in the transaction that it allows.

        Denied where the person gives no codes, where this is not one, or it was taken before.
        """
        generation, is_on = self._row(actor.person)
        if not is_on:
            message = f"strict mode asks {actor.person} for a code at critical risk"
            raise Denied(message, hint="ai users totp new")
        step = self._checked(actor, code, generation)

        def take(connection: sa.Connection) -> None:
            if connection.execute(_TAKE, {"of_user": actor.person, "at": step}).rowcount != 1:
                raise Denied("this code was used already", hint="wait for the next one")

        return take

    def _checked(self, actor: Actor, code: str | None, generation: int) -> int:
        """The step that the code is of; guesses are few and audited."""
        if code is None:
            message = f"{actor.person} gives codes here, and none was given"
            raise Denied(message, hint="add --totp CODE")
        self._limit(actor, "totp")
        now = self._clock.now_us() // _STEP_US
        totp = self._totp(actor.person, generation)
        given = code.replace(" ", "").encode()
        for step in (now, now - 1, now + 1):
            if hmac.compare_digest(totp.generate_otp(step).encode(), given):
                return step
        with self._database.transaction() as connection:
            self._note(connection, actor, "codes.refused", actor.person)
        raise Denied("this is not the code", hint="look at its app again; the clock must be right")

    def _totp(self, person: str, generation: int) -> "TOTP":
        from pyotp import TOTP  # noqa: PLC0415 - for those who give codes

        text = f"localai-totp-v1\0{generation}\0{person}".encode()
        secret = hmac.new(self._key(), text, hashlib.sha256).digest()[:_SECRET_BYTES]
        return TOTP(base64.b32encode(secret).decode())

    def _row(self, person: str) -> tuple[int, bool]:
        with self._database.read() as connection:
            row: Any = connection.execute(_FIND, {"of_user": person}).one_or_none()
        return (row.generation, row.is_on) if row else (0, False)

    def _require_person(self, actor: Actor) -> None:
        self._rbac.require(actor, "approvals:decide")
        if actor.kind != "human" or actor.by:
            raise Invalid("codes are a person's own", hint="ai users whoami")

    def _note(self, connection: sa.Connection, actor: Actor, event: str, subject: str) -> None:
        self._audit.record(connection, event, actor=actor.signature, subject=subject)
