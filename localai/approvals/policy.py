"""Which calls run, which wait for a person, which are refused. Pure."""

from dataclasses import dataclass
from typing import Literal

from localai.rbac.permissions import Risk

Mode = Literal["normal", "strict"]
Effect = Literal["allow", "ask", "deny"]

_ASKS_FROM: dict[Mode, Risk] = {"normal": Risk.HIGH, "strict": Risk.MEDIUM}


@dataclass(frozen=True)
class Verdict:
    """What the policy says, the rule that says so, and why in words."""

    effect: Effect
    rule: str
    reason: str


def decide(risk: Risk, mode: Mode, *, enabled: bool, confined: bool) -> Verdict:
    """The verdict on a call: `enabled` approvals, `confined` by a sandbox or by the tool."""
    if mode == "strict" and not confined:
        return Verdict("deny", "strict.confined", "strict mode runs nothing without a sandbox")
    asks_from = _ASKS_FROM[mode]
    if risk < asks_from:
        words = f"{risk.word} risk; {mode} mode asks from {asks_from.word} up"
        return Verdict("allow", f"{mode}.below-{asks_from.word}", words)
    if mode == "normal" and not enabled:
        return Verdict("allow", "approvals.enabled=false", "approvals are switched off")
    words = f"{risk.word} risk waits for a person in {mode} mode"
    return Verdict("ask", f"{mode}.from-{asks_from.word}", words)
