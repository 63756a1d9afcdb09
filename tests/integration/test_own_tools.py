"""The example of docs/howto/own-tools.md, installed and run as it stands there."""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai.app import App

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "own-tools.md"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A home beside which the package is installed, as pip would leave it."""
    text = PAGE.read_text(encoding="utf-8")
    code, project = (
        re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("python", "ini")
    )
    told = tomllib.loads(project[0])["project"]
    site = tmp_path / "site"
    information = site / f"{told['name']}-{told['version']}.dist-info"
    information.mkdir(parents=True)
    (site / "tides.py").write_text(code[0])
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: 1\n"
    )
    ((group, entries),) = told["entry-points"].items()
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (information / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "tides", raising=False)
    made = App(tmp_path / "home", workspace=tmp_path)
    made.initialise()
    yield made
    made.close()


def test_the_example_is_a_tool_like_ours(app: App) -> None:
    """Listed, described and run on the one path, with the confinement as its package's word."""
    told = app.runner.tool(app.actor, "high_tide")
    assert told.description == "Tell when the tide is high in a harbour."
    assert told.sandbox == "as its package tides says: it reads its own tables and nothing else"
    gate = app.gate(app.actor)
    outcome = app.runner.run(app.actor, "high_tide", '{"harbour": "Mokpo", "days": 2}', gate)
    assert outcome.result.text == "04:12 and 16:37\n" * 2
    assert not app.runner.run(app.actor, "high_tide", '{"harbour": "Bern"}', gate).result.ok
    assert app.tools.skipped == ()
