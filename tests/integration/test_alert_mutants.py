"""The tests of the rules notice every small mistake in a rule."""

from pathlib import Path

import pytest
from rule_mutants import mutants
from rule_trials import PROMETHEUS, Rule, rules_of, title, trials

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

RULES = [
    rule
    for file in ("rules", "alerts")
    for rule in rules_of(PROMETHEUS / "rules" / f"localai.{file}.yml")
]


def _survivors(rule: Rule, folder: Path) -> list[str]:
    folder.mkdir()
    left = list(mutants(rule))
    for number, trial in enumerate(trials(rule)):
        tried = [rule, *(mutant.rule for mutant in left)]
        passed = trial.survivors(folder / str(number), tried)
        assert passed[0] == rule, f"{title(rule)} fails as it stands"
        left = [mutant for mutant in left if mutant.rule in passed]
    return [f"{title(rule)}: {mutant.mistake}: {mutant.rule['expr']}" for mutant in left]


@pytest.mark.parametrize("rule", RULES, ids=title)
def test_no_mistake_in_a_rule_survives_its_tests(rule: Rule, tmp_path: Path) -> None:
    """What it reads, compares and waits for is each the reason why a test passes."""
    assert _survivors(rule, tmp_path / "mutants") == []
