"""The verdict on a call."""

import pytest

from localai.approvals.policy import Mode, decide
from localai.rbac.permissions import Risk


@pytest.mark.parametrize(
    ("risk", "mode", "effect"),
    [
        (Risk.LOW, "normal", "allow"),
        (Risk.MEDIUM, "normal", "allow"),
        (Risk.HIGH, "normal", "ask"),
        (Risk.CRITICAL, "normal", "ask"),
        (Risk.LOW, "strict", "allow"),
        (Risk.MEDIUM, "strict", "ask"),
        (Risk.HIGH, "strict", "ask"),
        (Risk.CRITICAL, "strict", "ask"),
    ],
)
def test_mode_says_from_which_risk_up_a_person_is_asked(
    risk: Risk, mode: Mode, effect: str
) -> None:
    """Normal asks from high up, strict from medium up."""
    assert decide(risk, mode, enabled=True, confined=True).effect == effect


@pytest.mark.parametrize("risk", list(Risk))
@pytest.mark.parametrize("enabled", [True, False])
def test_strict_refuses_what_cannot_be_confined(risk: Risk, enabled: bool) -> None:
    """Whatever its risk, a tool without a sandbox does not run in strict mode."""
    verdict = decide(risk, "strict", enabled=enabled, confined=False)
    assert (verdict.effect, verdict.rule) == ("deny", "strict.confined")


def test_normal_asks_about_what_cannot_be_confined() -> None:
    """Without a sandbox a person decides each time."""
    assert decide(Risk.CRITICAL, "normal", enabled=True, confined=False).effect == "ask"


@pytest.mark.parametrize("risk", [Risk.HIGH, Risk.CRITICAL])
def test_switched_off_approvals_allow_in_normal_and_the_rule_says_so(risk: Risk) -> None:
    """The record shows that nobody was asked because approvals are off."""
    verdict = decide(risk, "normal", enabled=False, confined=True)
    assert (verdict.effect, verdict.rule) == ("allow", "approvals.enabled=false")


@pytest.mark.parametrize("risk", [Risk.MEDIUM, Risk.HIGH, Risk.CRITICAL])
def test_strict_asks_even_with_approvals_switched_off(risk: Risk) -> None:
    """Strict mode does not take the switch."""
    assert decide(risk, "strict", enabled=False, confined=True).effect == "ask"
