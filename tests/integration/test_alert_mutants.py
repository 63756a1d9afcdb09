"""The tests of the rules notice every small mistake in a rule."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rule_mutants import Mutant, mutants
from rule_trials import PROMETHEUS, TESTS, Rule, Trial, rules_of, title

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

RULES = [rule for file in ("rules", "alerts") for rule in rules_of(PROMETHEUS / "rules" / f"localai.{file}.yml")]


def _trials(rule: Rule) -> list[Trial]:
    return [trial for trial in (Trial(file, rule) for file in TESTS) if trial.parts]


def _survivors(rule: Rule, folder: Path) -> Iterator[str]:
    folder.mkdir()
    trials = _trials(rule)
    if not trials or not all(trial.survived(folder, rule) for trial in trials):
        yield f"{title(rule)} as it stands"
    for mutant in mutants(rule):
        if all(trial.survived(folder, mutant.rule) for trial in trials):
            yield f"{title(rule)}: {mutant.mistake}: {mutant.rule['expr']}"


def test_no_mistake_in_a_rule_survives_its_tests(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = (tmp_path / str(number) for number in range(len(RULES)))
        found = pool.map(lambda *given: list(_survivors(*given)), RULES, folders)
        assert [each for one in found for each in one] == []
