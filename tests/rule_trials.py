"""Parts of the checked-in rule tests, run by promtool over rules as they are given; for tests."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from rule_mutants import names

PROMETHEUS = Path(__file__).parents[1] / "dashboards" / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
# A mutant that the program cannot run is dead as well; one that it cannot read proves nothing.
_DEAD = ("got:", "matching labelset", "same labelset", "many-to-many")

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Rule = dict[str, Any]


def rules_of(file: Path) -> list[Rule]:
    """The rules of a file, in their order."""
    groups = yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def title(rule: Rule) -> str:
    """What a rule is called: of an alert, and of a record with its labels."""
    labels = rule.get("labels", {})
    apart = [labels.get(key) for key in ("sloth_slo", "severity")]
    return " ".join(filter(None, (_name(rule), *apart)))


def _name(rule: Rule) -> str:
    return str(rule.get("record") or rule["alert"])


class Trial:
    """The parts of one test file that a rule may fail, and the rules that they need."""

    def __init__(self, file: Path, rule: Rule) -> None:
        self._content = yaml.safe_load(file.read_text(encoding="utf-8"))
        files = [file.parent / each for each in self._content["rule_files"]]
        self._rules = [each for one in files for each in rules_of(one)]
        self._rule = rule

    @cached_property
    def parts(self) -> list[dict[str, Any]]:
        """Those that speak of the rule, or of one that reads it."""
        if self._rule not in self._rules:
            return []
        spoken_of = _readers(self._rules, _name(self._rule))
        return [part for part in self._content["tests"] if _spoken_of(part) & spoken_of]

    @cached_property
    def _needed(self) -> list[Rule]:
        wanted = {name for part in self.parts for name in _spoken_of(part)}
        while more := {
            name for rule in self._rules if _name(rule) in wanted for name in names(rule["expr"])
        } - wanted:
            wanted |= more
        return [rule for rule in self._rules if _name(rule) in wanted]

    def survivors(self, folder: Path, mutants: Sequence[Rule]) -> list[Rule]:
        """Those in whose place the parts pass as if nothing were wrong."""
        folder.mkdir()
        passed = _passed([self._written(folder, at, each) for at, each in enumerate(mutants)])
        return [each for each, has_passed in zip(mutants, passed, strict=True) if has_passed]

    def _written(self, folder: Path, number: int, mutant: Rule) -> Path:
        rules = [mutant if each == self._rule else each for each in self._needed]
        _write(folder / f"rules-{number}.yml", {"groups": [{"name": "all", "rules": rules}]})
        file = folder / f"tests-{number}.yml"
        every = self._content["evaluation_interval"]
        _write(
            file,
            {
                "rule_files": [f"rules-{number}.yml"],
                "evaluation_interval": every,
                "tests": self.parts,
            },
        )
        return file


def _readers(rules: Iterable[Rule], name: str) -> set[str]:
    found = {name}
    while more := {_name(rule) for rule in rules if names(rule["expr"]) & found} - found:
        found |= more
    return found


def _spoken_of(part: dict[str, Any]) -> set[str]:
    asked = (names(each["expr"]) for each in part.get("promql_expr_test", ()))
    alerts = {each["alertname"] for each in part.get("alert_rule_test", ())}
    return alerts.union(*asked)


def _write(file: Path, content: Any) -> None:
    file.write_text(yaml.dump(content, Dumper=_DUMPER, sort_keys=False), encoding="utf-8")


def _passed(files: Sequence[Path]) -> list[bool]:
    """Whether each file passes; one process runs them all, for a start costs more than a test."""
    command = ["promtool", "test", "rules", *files]
    ended = subprocess.run(
        command,
        env={**os.environ, "GOGC": "400"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    said = ended.stdout.split("Unit Testing:")[1:]
    assert len(said) == len(files)
    for each in said:
        assert "SUCCESS" in each or any(word in each for word in _DEAD), each
    return ["SUCCESS" in each for each in said]
