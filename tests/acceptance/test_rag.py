"""`ai rag` on a small bilingual folder, with what ships alone."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Ai

GARDEN = """# The garden

## Watering

Tomatoes are watered every morning before eight.

## Tools

The blue shed holds the rake and the long ladder.
"""
KITCHEN = """# 부엌

## 주전자

파란 주전자는 매주 화요일에 수민이 고칩니다.

## 냉장고

냉장고 문은 왼쪽으로 열립니다.
"""
CODE = '''"""Opens the gate."""


def open_gate(code: str) -> bool:
    """Tell whether the code opens the gate."""
    return code == "swordfish"
'''


@pytest.fixture
def folder(ai: Ai) -> Path:
    """Three files to be indexed."""
    place = ai.workspace / "documents"
    place.mkdir()
    (place / "garden.md").write_text(GARDEN, encoding="utf-8")
    (place / "부엌.md").write_text(KITCHEN, encoding="utf-8")
    (place / "gate.py").write_text(CODE, encoding="utf-8")
    return place


@pytest.mark.prove
@pytest.mark.parametrize(
    ("question", "source", "words"),
    [
        ("When are the tomatoes watered?", "garden.md", "every morning"),
        ("주전자는 누가 고치나요?", "부엌.md", "수민"),
        ("open_gate code", "gate.py", "swordfish"),
    ],
)
def test_a_question_finds_its_file_and_lines(
    ai: Ai, folder: Path, question: str, source: str, words: str
) -> None:
    """In English, in Korean and in code."""
    assert ai("rag", "index", folder).code == 0
    best = ai("rag", "query", question, "--json").json["passages"][0]
    assert best["source"].endswith(source)
    first, _, last = best["location"].replace("L", "").partition("-")
    lines = (folder / source).read_text(encoding="utf-8").splitlines()
    assert words in "\n".join(lines[int(first) - 1 : int(last or first)])


@pytest.mark.prove
def test_a_second_run_touches_only_what_changed(ai: Ai, folder: Path) -> None:
    """Unchanged files are skipped by content, deleted ones are removed."""
    first = ai("rag", "index", folder, "--json").json
    assert (first["added"], first["unchanged"]) == (3, 0)
    (folder / "garden.md").touch()
    again = ai("rag", "index", folder, "--json").json
    assert (again["added"], again["updated"], again["unchanged"]) == (0, 0, 3)
    (folder / "gate.py").unlink()
    (folder / "garden.md").write_text(GARDEN.replace("Tomatoes", "Pumpkins"), encoding="utf-8")
    third = ai("rag", "index", folder, "--json").json
    assert (third["updated"], third["unchanged"], third["removed"]) == (1, 1, 1)
    texts = [p["text"] for p in ai("rag", "query", "tomatoes", "--json").json["passages"]]
    assert not any("Tomatoes" in text for text in texts)


@pytest.mark.prove
def test_an_answer_cites_its_passages(ai: Ai, folder: Path, with_model: Callable[..., str]) -> None:
    """With a chat model the passages are answered from; it cannot cite one that is not there."""
    with_model(default="Every morning [1], or so they say [9].")
    ai("rag", "index", folder)
    found = ai("rag", "query", "When are the tomatoes watered?", "--json").json
    assert found["answer"].startswith("Every morning [1], or so they say")
    assert "[9" not in found["answer"]
    assert set(found) == {
        "question",
        "collection",
        "answer",
        "passages",
        "model",
        "timings_ms",
    }
    assert set(found["passages"][0]) == {
        "n",
        "source",
        "title",
        "location",
        "score",
        "text",
        "trust",
        "uri",
    }
    assert ai("rag", "query", "tomatoes", "--no-answer", "--json").json["answer"] is None


@pytest.mark.prove
def test_a_conversation_over_documents_lists_what_it_cites(
    ai: Ai, folder: Path, with_model: Callable[..., str]
) -> None:
    """Below the answer; one that rests on nothing says so."""
    with_model([("'<passage' in last.content", "Every morning [1].")], default="I cannot know.")
    ai("rag", "index", folder)
    told = ai("chat", "--rag", "default", "When are the tomatoes watered?")
    assert told.out == "Every morning [1].\n"
    assert "[1] garden.md L" in told.err
    beside = ai("chat", "--rag", "default", "Which birds migrate over African deserts?")
    assert beside.out == "I cannot know.\n"
    assert "[default has nothing on this]" in beside.err


@pytest.mark.prove
def test_standard_input_and_patterns_are_indexed_and_strangers_marked(ai: Ai, folder: Path) -> None:
    """What came through a pipe is marked as it is shown, and so is what was marked."""
    piped = ai("rag", "index", "-", "--name", "boat.md", stdin="# Boat\n\nFerries leave at ten.\n")
    assert piped.code == 0
    assert ai("rag", "index", f"{folder}/*.py").code == 0
    shown = ai("rag", "query", "--no-answer", "-k", "1", "ferries").out
    assert shown.startswith("[1] boat.md L1-L3  untrusted  (")
    assert "untrusted" not in ai("rag", "query", "--no-answer", "-k", "1", "swordfish").out
    assert ai("rag", "collections", "show", "default", "--json").json["trust"] == "mixed"


@pytest.mark.prove
@pytest.mark.parametrize(
    ("typed", "code"),
    [("http://127.0.0.1:9/", 3), ("http://a@b.org/", 2), ("ftp://b.org/", 2), ("gone/*.md", 4)],
)
def test_what_is_not_fetched_says_why_and_makes_nothing(ai: Ai, typed: str, code: int) -> None:
    """This machine is none of a page's business."""
    refused = ai("rag", "index", typed)
    assert (refused.code, "hint:" in refused.err) == (code, True)
    assert ai("rag", "collections", "list", "-q").out == ""


def test_nothing_indexed_is_exit_4_and_the_command(ai: Ai) -> None:
    """The newcomer learns what to type."""
    asked = ai("rag", "query", "anything")
    assert asked.code == 4
    assert "ai rag index PATH" in asked.err


@pytest.mark.prove
def test_a_path_that_is_not_there_is_exit_4(ai: Ai) -> None:
    """And nothing is made."""
    assert ai("rag", "index", ai.workspace / "nowhere").code == 4
    assert ai("rag", "collections", "list", "--json").json["items"] == []


@pytest.mark.prove
def test_a_collection_is_listed_shown_and_removed(ai: Ai, folder: Path) -> None:
    """The documents stay."""
    ai("rag", "index", folder, "-C", "home")
    assert ai("rag", "collections", "list", "-q").out == "home\n"
    assert ai("rag", "collections", "show", "home", "--json").json["files"] == 3
    assert ai("rag", "collections", "rm", "home", "-y").code == 0
    assert ai("rag", "query", "tomatoes", "-C", "home").code == 4
    assert (folder / "garden.md").exists()


@pytest.mark.prove
def test_a_watch_takes_in_what_changes_until_ctrl_c(ai: Ai, folder: Path) -> None:
    """Each run is a line; questions are answered meanwhile, and what was begun is whole."""
    watching = ai.start("rag", "watch", folder, "--exclude", "draft*", "--json")
    assert watching.stdout
    assert json.loads(watching.stdout.readline())["added"] == 3
    (folder / "draft.md").write_text("Not yet.\n", encoding="utf-8")
    (folder / "garden.md").write_text(GARDEN.replace("Tomatoes", "Pumpkins"), encoding="utf-8")
    run = json.loads(watching.stdout.readline())
    assert run["files"] == [{"source": "garden.md", "action": "updated"}]
    [best, *_] = ai("rag", "query", "pumpkins", "--no-answer", "--json").json["passages"]
    assert "Pumpkins" in best["text"]
    watching.send_signal(signal.SIGINT)
    _, said = watching.communicate(timeout=30)
    assert (watching.returncode, said) == (130, "waiting for changes\nai: interrupted\n")
    assert ai("rag", "index", folder, "--exclude", "draft*", "--json").json["unchanged"] == 3


@pytest.mark.prove
def test_a_collection_is_described_and_moves_to_another_home(
    ai: Ai, folder: Path, tmp_path: Path
) -> None:
    """And comes back from a snapshot, in place of what it became."""
    ai("rag", "index", folder, "-C", "home")
    assert ai("rag", "collections", "describe", "home", "the garden").code == 0
    file = tmp_path / "home.zip"
    assert ai("rag", "collections", "export", "home", file).out == f"{file}\n"
    assert ai("rag", "collections", "export", "home", file).code == 5
    assert ai("rag", "collections", "import", file).code == 5
    made = ai("rag", "collections", "import", file, "--name", "copy", "--json").json
    assert (made["collection"], made["files"], made["is_ready"]) == ("copy", 3, True)
    shown = ai("rag", "collections", "show", "copy", "--json").json
    assert (shown["description"], shown["size_bytes"] > 0) == ("the garden", True)
    best = ai("rag", "query", "tomatoes", "-C", "copy", "--no-answer", "--json").json["passages"][0]
    assert best["source"] == "garden.md"
    snapshot = ai("rag", "collections", "snapshot", "copy", "-q").out.strip()
    assert Path(snapshot).stat().st_mode & 0o777 == 0o600
    assert ai("rag", "collections", "import", snapshot, "--replace").code == 0
    assert ai("rag", "collections", "list", "-q").out == "copy\nhome\n"
