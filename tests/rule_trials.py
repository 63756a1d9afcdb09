"""Parts of the checked-in rule tests, run by promtool over rules as they are given; for tests."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from rule_mutants import names

PROMETHEUS = Path(__file__).parents[1] / "dashboards" / "prometheus"
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
# A mutant that the program cannot run is dead as well; one that it cannot read proves nothing.
_DEAD = ("got:", "matching labelset", "same labelset", "many-to-many")

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

Rule = dict[str, Any]


def rules_of(file: Path) -> list[Rule]:
    """The rules of a file, in their order."""
    groups = yaml.load(file.read_text(encoding="utf-8"), _LOADER)["groups"]
    return [rule for group in groups for rule in group["rules"]]


def title(rule: Rule) -> str:
    """What a rule is called: of an alert, and of a record with its labels."""
    labels = rule.get("labels", {})
    apart = [labels.get(key) for key in ("sloth_slo", "severity")]
    return " ".join(filter(None, (_name(rule), *apart)))


def _name(rule: Rule) -> str:
    return str(rule.get("record") or rule["alert"])


def trials(rule: Rule) -> list["Trial"]:
    """The parts of all test files that speak of a rule, or of one that reads it."""
    found = []
    for file in TESTS:
        content = yaml.load(file.read_text(encoding="utf-8"), _LOADER)
        rules = [each for one in content["rule_files"] for each in rules_of(file.parent / one)]
        if rule in rules:
            spoken_of = _readers(rules, _name(rule))
            parts = (_only(part, spoken_of) for part in content["tests"])
            every = content["evaluation_interval"]
            found += [Trial(rule, rules, part, every) for part in parts if part]
    return found


@dataclass(frozen=True)
class Trial:
    """A part of a test file that a rule may fail; what it says of other rules is left out."""

    rule: Rule
    rules: Sequence[Rule]
    part: dict[str, Any]
    every: str

    @cached_property
    def _needed(self) -> list[Rule]:
        """The rules that the part speaks of, and those that they read."""
        wanted = _asked(self.part)
        while (
            more := {
                name for rule in self.rules if _name(rule) in wanted for name in names(rule["expr"])
            }
            - wanted
        ):
            wanted |= more
        found = [rule for rule in self.rules if _name(rule) in wanted]
        return sorted(found, key=self._depth)

    def _depth(self, rule: Rule) -> int:
        """How many rules stand behind it: what one reads must be recorded before."""
        read = names(rule["expr"])
        return max((1 + self._depth(each) for each in self.rules if _name(each) in read), default=0)

    def survivors(self, folder: Path, mutants: Sequence[Rule]) -> list[Rule]:
        """Those in whose place the part passes as if nothing were wrong."""
        folder.mkdir()
        passed = _passed([self._written(folder, at, each) for at, each in enumerate(mutants)])
        return [each for each, has_passed in zip(mutants, passed, strict=True) if has_passed]

    def _written(self, folder: Path, number: int, mutant: Rule) -> Path:
        rules = [mutant if each == self.rule else each for each in self._needed]
        made = folder / f"rules-{number}.yml"
        _write(made, {"groups": [{"name": "all", "rules": rules}]})
        test = {"rule_files": [made.name], "evaluation_interval": self.every, "tests": [self.part]}
        _write(folder / f"tests-{number}.yml", test)
        return folder / f"tests-{number}.yml"


def _only(part: dict[str, Any], spoken_of: set[str]) -> dict[str, Any] | None:
    """The part with what it says of these names, if it says anything."""
    alerts = [each for each in part.get("alert_rule_test", ()) if each["alertname"] in spoken_of]
    asked = [each for each in part.get("promql_expr_test", ()) if names(each["expr"]) & spoken_of]
    if not alerts and not asked:
        return None
    return {**part, "alert_rule_test": alerts, "promql_expr_test": asked}


def _readers(rules: Iterable[Rule], name: str) -> set[str]:
    found = {name}
    while more := {_name(rule) for rule in rules if names(rule["expr"]) & found} - found:
        found |= more
    return found


def _asked(part: dict[str, Any]) -> set[str]:
    exprs = (names(each["expr"]) for each in part.get("promql_expr_test", ()))
    alerts = {each["alertname"] for each in part.get("alert_rule_test", ())}
    return alerts.union(*exprs)


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
