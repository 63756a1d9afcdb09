"""The boards are what the code makes, and look as boards should."""

import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from shown import BOARDS, ROOT, alerts, panels

UIDS = {
    "ai-suite-overview.json": "localai-overview",
    "approval_workflow.json": "localai-approvals",
    "rbac_metrics.json": "localai-rbac",
    "sla_tracking.json": "localai-sla",
}
# What https://grafana.com/docs/grafana/latest/panels-visualizations/ can show of these.
UNITS = re.compile(r"short|none|s|percentunit|reqps|opm|cpm|suffix: ?\S+")
COLUMNS = 24

each_board = pytest.mark.parametrize("name", BOARDS)


def _everywhere(name: str) -> list[Any]:
    return list(panels(BOARDS[name]))


def test_there_are_four_boards_with_names_that_stay() -> None:
    """A link to a board holds its uid; an id would be another installation's."""
    assert {name: board["uid"] for name, board in BOARDS.items()} == UIDS
    assert all("id" not in board for board in BOARDS.values())


def test_the_boards_are_what_the_code_makes(tmp_path: Path) -> None:
    """Nobody edits them by hand, and nobody forgets to make them anew."""
    subprocess.run([sys.executable, ROOT / "scripts/generate-dashboards", tmp_path], check=True)
    for name in UIDS:
        assert (tmp_path / name).read_text() == (ROOT / "dashboards" / name).read_text(), name


@each_board
def test_a_board_loads_into_grafana_11_and_later(name: str) -> None:
    """The classic schema, which every later version reads; shared cursor; not edited in place."""
    board = BOARDS[name]
    assert board["schemaVersion"] in {41, 42}
    assert (board["editable"], board["graphTooltip"]) == (False, 1)
    assert board["title"].startswith("localai: ")
    assert board["description"]
    assert board["refresh"] == "1m"


@each_board
def test_a_board_lets_its_source_job_and_instance_be_chosen(name: str) -> None:
    """No source is named, all is the default, and the choices follow the time range."""
    found = {each["name"]: each for each in BOARDS[name]["templating"]["list"]}
    assert [*found] == ["datasource", "job", "instance", "logs", "approval", "runbooks"]
    assert (found["datasource"]["query"], found["logs"]["query"]) == ("prometheus", "loki")
    for each in (found["job"], found["instance"]):
        assert (each["allValue"], each["includeAll"], each["multi"]) == (".+", True, True)
        assert each["refresh"] == 2
        assert each["query"].startswith("label_values(localai_build_info")
        assert each["datasource"]["uid"] == "${datasource}"


@each_board
def test_every_panel_says_what_it_shows_and_what_is_normal(name: str) -> None:
    """Whoever looks at a board at night has no other page open."""
    for panel in _everywhere(name):
        assert panel["title"], panel
        assert re.fullmatch(r"[A-Z0-9].*[.:].* Normal: .+\.", panel["description"], re.DOTALL), (
            panel
        )
        assert UNITS.fullmatch(panel["fieldConfig"]["defaults"]["unit"]), panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


@each_board
def test_titles_and_numbers_of_panels_are_told_apart(name: str) -> None:
    """A panel's number is in the link that people send each other."""
    found = _everywhere(name)
    numbers = [panel["id"] for panel in [*found, *_rows(name)]]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert len({panel["title"] for panel in found}) == len(found)


@each_board
def test_every_panel_asks_the_source_that_was_chosen(name: str) -> None:
    """Neither panel nor query names a source of one installation."""
    for panel in _everywhere(name):
        sources = [panel["datasource"], *(each["datasource"] for each in panel["targets"])]
        allowed = {("prometheus", "${datasource}"), ("loki", "${logs}")}
        assert len({(each["type"], each["uid"]) for each in sources} & allowed) == 1, panel["title"]
        assert all((each["type"], each["uid"]) in allowed for each in sources), panel["title"]


@each_board
def test_every_query_has_a_letter_of_its_own(name: str) -> None:
    """Grafana keeps one of those that share a letter."""
    for panel in _everywhere(name):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters)), panel["title"]
        assert letters, panel["title"]


@each_board
def test_lines_have_legends_that_tell_them_apart(name: str) -> None:
    """A panel with two queries has two legends, shown with the last value and the highest."""
    for panel in _everywhere(name):
        if panel["type"] != "timeseries":
            continue
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert all(legends), panel["title"]
        assert len(set(legends)) == len(legends), panel["title"]
        assert panel["options"]["legend"]["showLegend"], panel["title"]


@each_board
def test_single_numbers_are_asked_once(name: str) -> None:
    """A number of now, or of the whole range, needs no thousand points."""
    for panel in _everywhere(name):
        if panel["type"] in {"stat", "table"}:
            assert all(target["instant"] for target in panel["targets"]), panel["title"]


@each_board
def test_panels_lie_in_the_grid_without_gaps_and_overlaps(name: str) -> None:
    """24 columns; each line of panels is filled, and nothing lies on anything."""
    board = BOARDS[name]
    placed = [panel["gridPos"] | {"title": panel["title"]} for panel in board["panels"]]
    for panel in placed:
        assert panel["w"] > 0, panel
        assert 0 <= panel["x"] <= COLUMNS - panel["w"], panel
    assert [(one, two) for one, two in combinations(placed, 2) if _overlap(one, two)] == []
    for top in {panel["y"] for panel in placed}:
        assert sum(panel["w"] for panel in placed if panel["y"] == top) == COLUMNS, (name, top)


@each_board
def test_the_boards_lead_to_each_other_and_to_the_runbooks(name: str) -> None:
    """Range and choices go along."""
    boards, runbooks = BOARDS[name]["links"]
    assert (boards["type"], boards["tags"]) == ("dashboards", BOARDS[name]["tags"])
    assert (boards["keepTime"], boards["includeVars"]) == (True, True)
    assert runbooks["url"] == "${runbooks}"


@each_board
def test_links_of_panels_lead_somewhere(name: str) -> None:
    """To a board that there is, or to the runbook of an alert."""
    for panel in _everywhere(name):
        for link in panel.get("links") or []:
            board = re.fullmatch(r"/d/([\w-]+)\?\$\{__url_time_range\}", link["url"])
            runbook = re.fullmatch(r"\$runbooks#(\w+)", link["url"])
            assert (board and board[1] in UIDS.values()) or runbook, link


def test_runbooks_are_those_of_alerts_that_there_are() -> None:
    """A link for an alert that nobody defined leads nowhere."""
    named = {
        link["title"].removeprefix("Runbook: ")
        for board in BOARDS.values()
        for panel in panels(board)
        for link in panel.get("links") or []
        if link["title"].startswith("Runbook: ")
    }
    assert {"ServiceDown", "ApprovalRequestTimeout", "TTFTSlow"} <= named
    if alerts():
        assert named <= alerts()


@each_board
def test_alerts_are_marked_on_every_board(name: str) -> None:
    """What fired is seen beside what caused it."""
    (mark,) = BOARDS[name]["annotations"]["list"]
    assert mark["enable"]
    assert 'alertstate="firing"' in mark["expr"]
    assert mark["datasource"]["uid"] == "${datasource}"
    assert mark["titleFormat"] == "{{alertname}}"


def test_the_manual_tells_of_every_panel_in_its_own_words() -> None:
    """docs/ops/monitoring.md says of each panel what the panel says."""
    page = (ROOT / "docs" / "ops" / "monitoring.md").read_text()
    missing = [
        panel["title"]
        for board in BOARDS.values()
        for panel in panels(board)
        if f"- **{panel['title']}**: {panel['description']}" not in page
    ]
    assert missing == []


def _rows(name: str) -> list[Any]:
    return [panel for panel in BOARDS[name]["panels"] if panel["type"] == "row"]


def _overlap(one: dict[str, Any], two: dict[str, Any]) -> bool:
    across = one["x"] < two["x"] + two["w"] and two["x"] < one["x"] + one["w"]
    return across and one["y"] < two["y"] + two["h"] and two["y"] < one["y"] + one["h"]
