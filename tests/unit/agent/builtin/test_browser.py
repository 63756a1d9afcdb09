"""The tool that takes pictures of pages, as far as it needs no browser."""

import sys
from pathlib import Path
from typing import Any

import pytest

from localai.agent.builtin import browser, shipped
from localai.agent.builtin.rooms import Rooms
from localai.agent.tools import Context, Tool
from localai.core.errors import Denied, Invalid
from localai.rbac.permissions import Risk

_URL = "https://example.org/"


def _rooms() -> Rooms:
    unused: Any = None
    return Rooms(unused, unused, unused, unused, unused, unused, unused)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with a program that is called like a browser."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "chromium-browser"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def tool(programs: Path) -> Tool:
    """The tool, where there is a browser."""
    (made,) = browser.tools(_rooms())
    return made


def test_it_is_listed_where_a_browser_is(programs: Path) -> None:
    """Under any of its names; and looking costs no import of Playwright."""
    assert browser.chromium() == str(programs / "chromium-browser")
    assert "web_screenshot" in {each.name for each in shipped(rooms=_rooms())}
    (programs / "chromium-browser").unlink()
    assert "web_screenshot" not in {each.name for each in shipped(rooms=_rooms())}


def test_it_is_not_listed_without_playwright(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser alone does not help."""
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    for name in [each for each in sys.modules if each.partition(".")[0] == "playwright"]:
        monkeypatch.delitem(sys.modules, name)
    assert browser.tools(_rooms()) == ()


@pytest.mark.parametrize("path", ["page.html", "page", "page.png.sh", ".bashrc"])
def test_a_picture_is_a_png(tool: Tool, context: Context, path: str) -> None:
    """So that nothing is written which a program might obey."""
    with pytest.raises(Invalid, match=r"\.png"):
        tool.facts(context, {"url": _URL, "path": path})


def test_a_link_called_png_leads_nowhere_else(tool: Tool, context: Context) -> None:
    """Where it leads counts, too."""
    (context.workspace / "page.png").symlink_to("run.sh")
    with pytest.raises(Invalid, match=r"\.png"):
        tool.facts(context, {"url": _URL, "path": "page.png"})


@pytest.mark.parametrize("path", ["/tmp/page.png", "../page.png"])
def test_it_writes_into_the_workspace_alone(tool: Tool, context: Context, path: str) -> None:
    """As every tool that writes."""
    with pytest.raises(Denied):
        tool.facts(context, {"url": _URL, "path": path})


@pytest.mark.parametrize("url", ["file:///etc/passwd", "chrome://version", "http://a@b/", ""])
def test_nobody_is_asked_about_what_is_no_address(tool: Tool, context: Context, url: str) -> None:
    """It is refused when the call is stated."""
    with pytest.raises(Invalid):
        tool.facts(context, {"url": url, "path": "page.png"})


def test_a_file_that_is_there_is_a_fact(tool: Tool, context: Context) -> None:
    """With its content, so that another one is never written over."""
    (context.workspace / "page.png").write_bytes(b"old")
    (fact,) = tool.facts(context, {"url": _URL, "path": "page.png"}).files
    assert (fact.exists, fact.size) == (True, 3)
    assert fact.sha256 is not None
    (fact,) = tool.facts(context, {"url": _URL, "path": "new.png"}).files
    assert not fact.exists


@pytest.mark.parametrize(("user", "words"), [(0, "for you are root"), (1000, "in its own sandbox")])
def test_it_says_what_holds_it(
    programs: Path, monkeypatch: pytest.MonkeyPatch, user: int, words: str
) -> None:
    """What a person approves names the sandbox that is there, and what leaves."""
    monkeypatch.setattr("os.geteuid", lambda: user)
    (tool,) = browser.tools(_rooms())
    assert (tool.permission, tool.risk) == ("commands:run", Risk.HIGH)
    assert words in tool.confinement.words
    assert (
        "from public addresses alone; what the addresses say goes there" in tool.confinement.words
    )
