"""The policy of a home: the operator's file of rules, and what the mode says without one."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localai.approvals.policy import LEVELS, Level, Mode, by_mode
from localai.approvals.rules import Effect, Rule, read
from localai.approvals.standing import Standing
from localai.core.errors import Invalid, NotFound, Unavailable
from localai.core.records import Page
from localai.rbac.permissions import Actor, Risk

_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_LEAVE: tuple[tuple[str, Effect, str], ...] = (
    ("autonomy.read-only", "deny", "what is more than low risk, with --autonomy read-only"),
    ("autonomy.yolo", "allow", "what is less than critical, with --yolo"),
)


@dataclass(frozen=True)
class RuleInfo:
    """A rule as it is listed; `words` are all of it."""

    name: str
    effect: Effect
    source: str
    words: tuple[str, ...]
    expires_at: str | None = None


class Policies:
    """Reads the rules of one home; no file of a workspace is ever asked.

    `tools` gives the names of the tools and of their arguments, `standing` what people allowed
    for a while. A file that cannot be trusted or
    understood is an error, and while it is one no tool runs.
    """

    def __init__(
        self,
        file: Path,
        mode: Mode,
        require: Callable[[Actor, str], None],
        tools: Callable[[], Mapping[str, Sequence[str]]],
        standing: Callable[[], Sequence[Standing]] = tuple,
    ) -> None:
        self._file = file
        self._mode = mode
        self._require = require
        self._tools = tools
        self._standing = standing
        self._read: tuple[object, tuple[Rule, ...]] = (None, ())

    def rules(self) -> tuple[Rule, ...]:
        """The rules of the file, read again when it has changed; none where there is no file."""
        stamp = _stamp(self._file)
        if stamp is None:
            return ()
        if stamp != self._read[0]:
            self._read = (stamp, self._load(self._file, "mend it; until then no tool runs"))
        return self._read[1]

    def candidate(self, file: Path) -> tuple[Rule, ...]:
        """The rules of a file that may become the policy, read and proved as that one is."""
        if _stamp(file) is None:
            raise NotFound(f"there is no file {file}", hint="ai policy backtest FILE")
        return self._load(file, "mend it; the policy in force is as it was")

    def list(self, actor: Actor) -> Page[RuleInfo]:
        """Every rule: the operator's own, the standing ones, what the mode says of each risk."""
        self._require(actor, "policy:read")
        own = [
            RuleInfo(rule.name, rule.effect, str(self._file), rule.words) for rule in self.rules()
        ]
        listed = (*own, *map(_standing, self._standing()), *self._modes())
        return Page(listed, len(listed))

    def show(self, actor: Actor, name: str) -> RuleInfo:
        """One rule, whole."""
        found = {rule.name: rule for rule in (*self._levels(), *self.list(actor).items)}
        if name not in found:
            raise NotFound(f"no rule {name!r}", hint="ai policy list")
        return found[name]

    def _load(self, file: Path, hint: str) -> tuple[Rule, ...]:
        try:
            return read(file.read_text(encoding="utf-8"), self._tools())
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"{file} cannot be read", hint="ai doctor") from error
        except Invalid as error:
            raise Invalid(f"{file}: {error.message}", hint=hint) from error

    def _levels(self) -> Iterator[RuleInfo]:
        """What a conversation's own leave says, where it is not the usual one."""
        for level in LEVELS:
            yield from self._modes(level)
        for name, effect, about in _LEAVE:
            words = (f"rule       {name}", f"effect     {effect}", f"about      {about}")
            yield RuleInfo(name, effect, "ai chat", words)

    def _modes(self, level: Level = "normal") -> Sequence[RuleInfo]:
        risks: dict[str, list[str]] = {}
        verdicts = {}
        for risk in Risk:
            verdict = by_mode(risk, self._mode, level)
            verdicts[verdict.rule] = verdict
            risks.setdefault(verdict.rule, []).append(risk.word)
        listed = [
            RuleInfo(
                name,
                verdict.effect,
                f"security.mode = {self._mode}",
                (f"rule       {name}", f"effect     {verdict.effect}", _risks(risks[name])),
            )
            for name, verdict in verdicts.items()
        ]
        if self._mode == "strict":
            words = ("rule       strict.confined", "effect     deny", "about      no sandbox")
            listed.append(RuleInfo("strict.confined", "deny", "security.mode = strict", words))
        return listed


def _stamp(file: Path) -> object:
    """Another value whenever the file has changed, None for no file; Invalid if others write it."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{file} cannot be read", hint="ai doctor") from error
    if found.st_mode & _FOR_OTHERS or found.st_uid not in {os.geteuid(), 0}:
        message = f"{file} can be written by other users"
        raise Invalid(message, hint=f"look at it, then: chmod 600 {file}")
    return found.st_ino, found.st_size, found.st_mtime_ns


def _standing(made: Standing) -> RuleInfo:
    rule = made.rule
    source = f"approval {made.row['approval']} by {made.row['made_by']}"
    return RuleInfo(rule.name, rule.effect, source, made.words, made.expires_at)


def _risks(risks: Sequence[str]) -> str:
    return f"risk       {', '.join(risks)}; where no other rule is about the call"
