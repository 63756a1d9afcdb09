"""The verdict on a call, and the algebra of rules behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.approvals.policy import LEVELS, Leave, Mode, by_mode, decide
from localai.approvals.rules import STRICTEST, Effect, Equal, Rule, Subject
from localai.rbac.permissions import Risk

TOOLS = ("read_file", "write_file", "run_command")
ROLES = ("admin", "user")
MODES: tuple[Mode, ...] = ("normal", "strict")


def _call(risk: Risk, tool: str = "write_file") -> Subject:
    return Subject(tool, {"path": "a.txt"}, risk, ("user",), "/work")


def _subset(values: tuple[object, ...]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.sets(st.sampled_from(values)).map(tuple)


calls = st.builds(
    Subject,
    st.sampled_from(TOOLS),
    st.fixed_dictionaries({"path": st.sampled_from(("a", "b"))}),
    st.sampled_from(Risk),
    _subset(ROLES),
    st.just("/work"),
)
rules = st.builds(
    Rule,
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.sampled_from(STRICTEST),
    st.just(""),
    _subset(TOOLS),
    _subset(ROLES),
    _subset(tuple(Risk)),
    st.dictionaries(st.just("path"), st.builds(Equal, st.just(("a",))), max_size=1),
)
many = st.lists(rules, max_size=6)
modes = st.sampled_from(MODES)


def _effect(call: Subject, written: list[Rule], mode: Mode, *, confined: bool = True) -> Effect:
    return decide(call, written, mode, enabled=True, confined=confined).effect


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
    assert _effect(_call(risk), [], mode) == effect == by_mode(risk, mode).effect


@pytest.mark.parametrize("risk", list(Risk))
@pytest.mark.parametrize("enabled", [True, False])
def test_strict_refuses_what_cannot_be_confined(risk: Risk, enabled: bool) -> None:
    """Whatever its risk and whatever a rule says."""
    allow = Rule("all", "allow")
    verdict = decide(_call(risk), [allow], "strict", enabled=enabled, confined=False)
    assert (verdict.effect, verdict.rule) == ("deny", "strict.confined")


def test_normal_asks_about_what_cannot_be_confined() -> None:
    """Without a sandbox a person decides each time."""
    assert _effect(_call(Risk.CRITICAL), [], "normal", confined=False) == "ask"


@pytest.mark.parametrize("risk", [Risk.HIGH, Risk.CRITICAL])
def test_switched_off_approvals_allow_in_normal_and_the_rule_says_so(risk: Risk) -> None:
    """The record shows that nobody was asked because approvals are off."""
    verdict = decide(_call(risk), [], "normal", enabled=False, confined=True)
    assert (verdict.effect, verdict.rule) == ("allow", "approvals.enabled=false")


def test_switched_off_approvals_lift_no_prohibition() -> None:
    """They are about asking alone."""
    deny = Rule("never", "deny")
    assert decide(_call(Risk.LOW), [deny], "normal", enabled=False, confined=True).effect == "deny"


@pytest.mark.parametrize("risk", [Risk.MEDIUM, Risk.HIGH, Risk.CRITICAL])
def test_strict_asks_even_with_approvals_switched_off(risk: Risk) -> None:
    """Strict mode does not take the switch."""
    assert decide(_call(risk), [], "strict", enabled=False, confined=True).effect == "ask"


def test_a_rule_is_named_with_its_reason() -> None:
    """Both stand in the record."""
    rule = Rule("backed-up", "allow", "my notes are backed up")
    verdict = decide(_call(Risk.HIGH), [rule], "normal", enabled=True, confined=True)
    assert (verdict.rule, verdict.reason) == ("backed-up", "my notes are backed up")


@given(calls, many, modes, st.randoms())
def test_the_order_of_rules_never_matters(
    call: Subject, written: list[Rule], mode: Mode, dice: object
) -> None:
    """The strictest wins wherever it stands."""
    mixed = list(written)
    dice.shuffle(mixed)  # type: ignore[attr-defined]
    assert _effect(call, written, mode) == _effect(call, mixed, mode)


@given(calls, many, rules, modes)
def test_a_prohibition_never_loosens(
    call: Subject, written: list[Rule], more: Rule, mode: Mode
) -> None:
    """And an allowing rule never takes back what another asks or denies."""
    before, after = _effect(call, written, mode), _effect(call, [*written, more], mode)
    said = [rule.effect for rule in written if rule.matches(call)]
    if more.effect == "deny":
        assert STRICTEST.index(after) <= STRICTEST.index(before)
        assert after == "deny" or not more.matches(call)
    if more.effect == "allow" and {"ask", "deny"} & set(said):
        assert after == before


@given(calls, many, modes)
def test_a_critical_call_is_never_allowed_by_a_rule(
    call: Subject, written: list[Rule], mode: Mode
) -> None:
    """A person decides, each time."""
    if call.risk is Risk.CRITICAL:
        assert _effect(call, written, mode) != "allow"


@given(calls, many, modes)
def test_a_rule_that_is_not_about_the_call_changes_nothing(
    call: Subject, written: list[Rule], mode: Mode
) -> None:
    """Only those that match count, and without one the mode."""
    about = [rule for rule in written if rule.matches(call)]
    assert _effect(call, written, mode) == _effect(call, about, mode)
    if not about:
        assert _effect(call, written, mode) == by_mode(call.risk, mode).effect


@given(calls, many)
def test_strict_is_at_least_as_strict_as_normal(call: Subject, written: list[Rule]) -> None:
    """Whatever the rules."""
    strict, normal = _effect(call, written, "strict"), _effect(call, written, "normal")
    assert STRICTEST.index(strict) <= STRICTEST.index(normal)


leaves = st.builds(Leave, st.sampled_from(LEVELS), st.booleans())


@pytest.mark.parametrize(
    ("level", "mode", "effects"),
    [
        ("read-only", "normal", ("allow", "deny", "deny", "deny")),
        ("cautious", "normal", ("allow", "ask", "ask", "ask")),
        ("normal", "normal", ("allow", "allow", "ask", "ask")),
        ("trusting", "normal", ("allow", "allow", "allow", "ask")),
        ("trusting", "strict", ("allow", "ask", "ask", "ask")),
    ],
)
def test_a_level_says_from_what_risk_on_somebody_is_asked(
    level: str, mode: Mode, effects: tuple[Effect, ...]
) -> None:
    """From reading alone to all but what is critical; strict mode is never loosened."""
    leave = Leave(next(each for each in LEVELS if each == level))
    found = [
        decide(_call(risk), (), mode, enabled=True, confined=True, leave=leave).effect
        for risk in Risk
    ]
    assert tuple(found) == effects


@given(calls, many, modes, leaves)
def test_no_leave_lets_through_what_is_critical_or_denied(
    call: Subject, written: list[Rule], mode: Mode, leave: Leave
) -> None:
    """The floor: a deny of any rule stands, and critical risk asks at least."""
    given = decide(call, written, mode, enabled=True, confined=True, leave=leave)
    usual = decide(call, written, mode, enabled=True, confined=True)
    if usual.effect == "deny":
        assert given.effect == "deny"
    if call.risk is Risk.CRITICAL or mode == "strict":
        assert STRICTEST.index(given.effect) <= STRICTEST.index(usual.effect)


@given(calls, many, modes)
def test_who_may_only_read_does_nothing_else(
    call: Subject, written: list[Rule], mode: Mode
) -> None:
    """Whatever rules allow, and with --yolo."""
    leave = Leave("read-only", is_yolo=True)
    given = decide(call, written, mode, enabled=True, confined=True, leave=leave)
    assert call.risk is Risk.LOW or given.effect == "deny"


def test_yolo_passes_over_a_rule_that_asks_but_not_over_other_peoples_eyes() -> None:
    """One person's own question, not one that somebody else is to answer."""
    call, leave = _call(Risk.HIGH), Leave(is_yolo=True)
    own = Rule("own", "ask")
    others = (Rule("two", "ask", approvers=2), Rule("other", "ask", self_approval=False))
    found = [
        decide(call, [rule], "normal", enabled=True, confined=True, leave=leave)
        for rule in (own, *others)
    ]
    assert [verdict.effect for verdict in found] == ["allow", "ask", "ask"]
    assert found[0].rule == "autonomy.yolo"
