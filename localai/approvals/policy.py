"""Which calls run, which wait for a person, which are refused. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from localai.approvals.rules import Effect, Rule, Subject, strictest
from localai.rbac.permissions import Risk

Mode = Literal["normal", "strict"]

_ASKS_FROM: dict[Mode, Risk] = {"normal": Risk.HIGH, "strict": Risk.MEDIUM}


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


def decide(
    call: Subject, rules: Iterable[Rule], mode: Mode, *, enabled: bool, confined: bool
) -> Verdict:
    """The verdict on a call: `enabled` approvals, `confined` by a sandbox or by the tool.

    The strictest of the rules about it counts (deny, ask, allow); where there is none, the mode.
    """
    if mode == "strict" and not confined:
        return Verdict("deny", "strict.confined", "strict mode runs nothing without a sandbox")
    rules = [rule for rule in rules if rule.matches(call)]
    rule = strictest(rules, call)
    verdict = by_mode(call.risk, mode) if rule is None else _by(rule)
    if verdict.effect != "ask":
        return verdict
    if mode == "normal" and not enabled:
        return Verdict("allow", "approvals.enabled=false", "approvals are switched off")
    asking = [rule for rule in rules if rule.effect == "ask"]
    return replace(
        verdict,
        approvers=max((rule.approvers for rule in asking), default=1),
        bars_asker=not all(rule.self_approval for rule in asking),
    )


def by_mode(risk: Risk, mode: Mode) -> Verdict:
    """What the mode says of a risk where no rule does."""
    asks_from = _ASKS_FROM[mode]
    if risk < asks_from:
        words = f"{risk.word} risk; {mode} mode asks from {asks_from.word} up"
        return Verdict("allow", f"{mode}.below-{asks_from.word}", words)
    words = f"{risk.word} risk waits for a person in {mode} mode"
    return Verdict("ask", f"{mode}.from-{asks_from.word}", words)


def asks_by_mode(name: str) -> bool:
    """Tell whether it is the mode that asks under this name, and no rule that somebody wrote."""
    return name in {by_mode(Risk.CRITICAL, mode).rule for mode in _ASKS_FROM}


def _by(rule: Rule) -> Verdict:
    return Verdict(rule.effect, rule.name, rule.why or f"the rule {rule.name} says so")
