"""Which calls run, which wait for a person, which are refused. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from localai.approvals.rules import Effect, Rule, Subject, strictest
from localai.rbac.permissions import Risk

Mode = Literal["normal", "strict"]

Level = Literal["read-only", "cautious", "normal", "trusting"]

LEVELS: tuple[Level, ...] = ("read-only", "cautious", "normal", "trusting")

_ASKS_FROM: dict[Mode, Risk] = {"normal": Risk.HIGH, "strict": Risk.MEDIUM}


@dataclass(frozen=True)
class Leave:
    """How far an agent may go by itself, where no rule says so.

    `read-only` refuses what is more than low risk, `cautious` asks from medium up, `normal` as the
    mode does, `trusting` for what is critical alone. `is_yolo` asks for nothing less either, rules
    that ask included. Rules that deny, what is critical, and strict mode stand above all of it.
    """

    level: Level = "normal"
    is_yolo: bool = False


USUAL = Leave()


@dataclass(frozen=True)
class Verdict:
    """What the policy says, the rule that says so, and why in words.

    What asks needs `approvers` different people; with `bars_asker`, none is the one who asks.
    """

    effect: Effect
    rule: str
    reason: str
    approvers: int = 1
    bars_asker: bool = False


def decide(  # noqa: PLR0913 - a call and all that speaks about it
    call: Subject,
    rules: Iterable[Rule],
    mode: Mode,
    *,
    enabled: bool,
    confined: bool,
    leave: Leave = USUAL,
) -> Verdict:
    """The verdict on a call: `enabled` approvals, `confined` by a sandbox or by the tool.

    The strictest of the rules about it counts (deny, ask, allow); where there is none, the mode,
    and the leave that the agent has.
    """
    if mode == "strict" and not confined:
        return Verdict("deny", "strict.confined", "strict mode runs nothing without a sandbox")
    if leave.level == "read-only" and call.risk > Risk.LOW:
        words = f"{call.risk.word} risk, and this conversation may only read"
        return Verdict("deny", "autonomy.read-only", words)
    rules = [rule for rule in rules if rule.matches(call)]
    rule = strictest(rules, call)
    verdict = by_mode(call.risk, mode, leave.level) if rule is None else _by(rule)
    if verdict.effect != "ask":
        return verdict
    if mode == "normal" and not enabled:
        return Verdict("allow", "approvals.enabled=false", "approvals are switched off")
    asking = [rule for rule in rules if rule.effect == "ask"]
    verdict = replace(
        verdict,
        approvers=max((rule.approvers for rule in asking), default=1),
        bars_asker=not all(rule.self_approval for rule in asking),
    )
    if _is_waved_through(call, verdict, mode, leave):
        return Verdict("allow", "autonomy.yolo", "the operator said --yolo")
    return verdict


def _is_waved_through(call: Subject, verdict: Verdict, mode: Mode, leave: Leave) -> bool:
    is_one_persons = verdict.approvers == 1 and not verdict.bars_asker
    return leave.is_yolo and mode == "normal" and call.risk < Risk.CRITICAL and is_one_persons


def by_mode(risk: Risk, mode: Mode, level: Level = "normal") -> Verdict:
    """What the mode says of a risk where no rule does, to an agent of this level."""
    asks_from = _ASKS_FROM[mode]
    if level == "cautious":
        asks_from = Risk.MEDIUM
    elif level == "trusting" and mode == "normal":
        asks_from = Risk.CRITICAL
    if risk < asks_from:
        words = f"{risk.word} risk; {mode} mode asks from {asks_from.word} up"
        return Verdict("allow", f"{mode}.below-{asks_from.word}", words)
    words = f"{risk.word} risk waits for a person in {mode} mode"
    return Verdict("ask", f"{mode}.from-{asks_from.word}", words)


def asks_by_mode(name: str) -> bool:
    """Tell whether it is the mode that asks under this name, and no rule that somebody wrote."""
    return name in {
        by_mode(Risk.CRITICAL, mode, each).rule for mode in _ASKS_FROM for each in LEVELS
    }


def _by(rule: Rule) -> Verdict:
    return Verdict(rule.effect, rule.name, rule.why or f"the rule {rule.name} says so")
