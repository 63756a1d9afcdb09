"""The catalogue of log events: it is what the code logs, and what the page for operators says."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from localai.core import log
from localai.core.events import ALWAYS, EVENTS, FIELDS, WHERE_KNOWN, Event, schema

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "localai").rglob("*.py"))
PAGE = ROOT / "docs" / "ops" / "monitoring.md"
NAME = re.compile(r"[a-z]+(\.[a-z-]+)+")
# Names that are put together: the states that a request moves to.
STATES = ("approved", "rejected", "cancelled", "revoked")
ENDS = ("expired", "succeeded", "failed", "unknown")
COMPOSED = {f"approval.{state}" for state in (*STATES, *ENDS)}


@cache
def _nodes() -> list[tuple[str, ast.AST]]:
    """Every piece of the code, with where it stands."""
    return [
        (f"{source.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node)
        for source in SOURCES
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call | ast.Assign)
    ]


def _calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a function of these names, with where it stands."""
    for where, node in _nodes():
        if isinstance(node, ast.Call):
            called = node.func
            if getattr(called, "attr", getattr(called, "id", None)) in names:
                yield where, node


def _named(node: ast.AST) -> set[str]:
    texts = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant))
    return {text for text in texts if isinstance(text, str) and NAME.fullmatch(text)}


def _events_of(call: ast.Call) -> set[str]:
    return set().union(*(_named(each) for each in call.args if isinstance(each, ast.Constant)))


def _audited() -> set[str]:
    recording = ("record", "note", "note_call", "note_refusal", "_note", "_append")
    found = {name for _, call in _calls(*recording) for name in _events_of(call)}
    for _, node in _nodes():
        if isinstance(node, ast.Assign) and "event" in {
            getattr(each, "id", None) for each in node.targets
        }:
            found |= _named(node.value)
    return found | COMPOSED


def test_what_is_logged_stands_in_the_catalogue() -> None:
    """Each name and each field that is spelled out in the code."""
    wrong = []
    for where, call in _calls("write"):
        names = _events_of(call)
        fields = {each.arg for each in call.keywords if each.arg}
        wrong += [f"{where}: {name}" for name in names if name not in EVENTS]
        wrong += [
            f"{where}: {name} has no {field}"
            for name in names & EVENTS.keys()
            for field in fields - set(EVENTS[name].fields)
        ]
    assert wrong == []


def test_what_is_audited_is_logged() -> None:
    """Whatever the audit records, an operator reads in the log."""
    assert sorted(_audited() - EVENTS.keys()) == []


def test_what_stands_in_the_catalogue_is_logged() -> None:
    """No event is told of that nobody writes."""
    texts = "".join(
        source.read_text(encoding="utf-8") for source in SOURCES if source.name != "events.py"
    )
    assert [name for name in EVENTS if f'"{name}"' not in texts and name not in COMPOSED] == []


def test_no_logger_is_used_past_the_catalogue() -> None:
    """A line that says its own level and fields would be one that nobody documents."""
    levels = ("debug", "info", "warning", "error", "exception", "critical")
    loggers = [where for where, call in _calls(*levels) if _is_ours(call)]
    assert loggers == []


def _is_ours(call: ast.Call) -> bool:
    on = call.func.value if isinstance(call.func, ast.Attribute) else None
    return "logger" in ast.dump(on) if on is not None else False


def test_every_field_has_one_meaning_and_is_used() -> None:
    """The same name is the same thing in every line."""
    used = {name for event in EVENTS.values() for name in event.fields}
    assert used == FIELDS.keys()
    assert FIELDS.keys() & (ALWAYS.keys() | WHERE_KNOWN.keys()) == set()


def test_the_schema_knows_a_line_from_another() -> None:
    """A line of the catalogue fits; with another field, level or event it does not."""
    Draft202012Validator.check_schema(schema())
    line = {"at": "2026-01-01T00:00:00.000Z", "level": "info", "event": "model.loaded", "pid": 1}
    line |= {"version": "1", "model": "m", "session": "a" * 16}
    check = Draft202012Validator(schema())
    assert check.is_valid(line)
    for other in ({"prompt": "x"}, {"level": "bad"}, {"event": "model.sold"}, {"model": 5}):
        assert not check.is_valid(line | other)


def test_an_event_that_is_not_in_the_catalogue_is_an_error_of_ours() -> None:
    """In tests; where people work, it is a line like any other."""
    for event, fields in (("model.sold", {}), ("model.loaded", {"price": 1})):
        with pytest.raises(ValueError, match="catalogue"):
            log.write(event, **fields)


def test_the_page_for_operators_has_every_event_and_field() -> None:
    """As the catalogue has them."""
    page = PAGE.read_text(encoding="utf-8")
    rows = [_row(event) for event in EVENTS.values()]
    kinds = {**ALWAYS, **WHERE_KNOWN, **dict(sorted(FIELDS.items()))}
    rows += [f"| `{name}` | {each.type} | {each.told} |" for name, each in kinds.items()]
    assert [row for row in rows if row not in page] == []
    assert len(re.findall(r"^\| [a-z]+\.", page, re.MULTILINE)) >= len(EVENTS)


def test_the_schema_that_is_published_is_the_codes() -> None:
    """Whoever reads the log with a program checks it against that file."""
    file = ROOT / "docs" / "ops" / "log-line.schema.json"
    assert json.loads(file.read_text(encoding="utf-8")) == schema()


def _row(event: Event) -> str:
    fields = ", ".join(f"`{name}`" for name in event.fields)
    return f"| {event.name} | {event.level} | {event.told} | {fields} |"
