"""Commands beside a running `ai serve`: they load nothing, and say what they say without it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gguf_models
import pytest
from terminal import Ai, serving

HEAVY = {"fastembed", "gguf", "jinja2", "llama_cpp", "numpy", "onnxruntime", "qdrant_edge"}
PAGES = {
    "garden.md": "# The garden\n\nTomatoes are watered every morning before eight.\n",
    "shed.md": "# The shed\n\nThe blue shed holds the rake and the long ladder.\n",
    "부엌.md": "# 부엌\n\n파란 주전자는 매주 화요일에 수민이 고칩니다.\n",
}
RULES = [
    ("last.role == 'tool'", "The file says: rake."),
    ("'read it' in last.content", gguf_models.tool_call("read_file", path="note.txt")),
    ("'a city' in last.content", '{"city": "서울"}'),
    ("'passages' in messages[0].content", "Every morning [1]."),
    ("messages | selectattr('role', 'eq', 'user') | list | length > 1", "또 만났네요. **Again.**"),
]
QUESTION = "When are the tomatoes watered?"
KOREAN = "주전자는 누가 고치나요?"
SCHEMA = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'

# What people type in an ordinary session, each after the one before.
COMMANDS: Sequence[tuple[str, ...]] = (
    ("chat", "hello"),
    ("chat", "hello", "--json", "--no-tools"),
    ("chat", "-c", "and again"),
    ("rag", "index", "documents"),
    ("rag", "query", QUESTION),
    ("rag", "query", KOREAN, "--no-answer"),
    ("chat", "please read it"),
    ("chat", "a city", "--schema", "city.json"),
    ("chat", QUESTION, "--rag", "default", "--json"),
    ("chat", "x" * 3000, "--max-tokens", "3"),
    ("chat", "hello", "--json", "--stream"),
    ("chat", "hello", "--seed", "7", "--temperature", "1.5"),
    ("chat", "hello", "-m", "nobody"),
    ("chat", "word " * 20_000),
    ("sessions", "list"),
    ("sessions", "search", "hello"),
    ("sessions", "search", "tomatoes", "--meaning"),
    ("rag", "query", QUESTION, "--json"),
    ("rag", "query", QUESTION, "-k", "1", "--no-answer"),
    ("rag", "query", "  "),
    ("rag", "index", "documents", "-C", "second", "--json"),
    ("rag", "query", "ladder", "-C", "second", "--no-answer"),
    ("rag", "query", "ladder", "-C", "third"),
    ("rag", "eval", "questions.jsonl", "--json"),
    ("rag", "collections", "list"),
    ("rag", "collections", "show", "default", "--json"),
    ("rag", "collections", "rebuild", "second"),
    ("rag", "collections", "rm", "second", "-y"),
    ("rag", "index", "documents"),
    ("rag", "models", "list"),
    ("models", "list"),
    ("rag", "query", KOREAN),
)
FEW = (0, 3, 8)  # of them, where counts are reduced
CHOSEN = COMMANDS if os.environ.get("PROVE") == "1" else [COMMANDS[place] for place in FEW]

# What differs from run to run: ids, moments, and how long something took.
_VARYING = (
    (r'"(ttft_ms|tokens_per_second|cached_tokens|seconds|bytes|size_bytes)": [\d.]+', r'"\1": N'),
    (r'"timings_ms": \{[^}]*\}', '"timings_ms": N'),
    (r"\b[0-9a-f]{8,}\b", "ID"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"in [\d.]+ s\b", "in N s"),
    (r"\b(\d+ s ago|just now|now)\b", "AGO"),
    (r"\b\d+([.,]\d+)? [kM]B\b", "SIZE"),
    (r" {2,}", "  "),
)


@dataclass(frozen=True)
class Said:
    """What a command said, but for what differs from run to run."""

    code: int
    out: str


def _said(ai: Ai, words: Sequence[str]) -> Said:
    done = ai(*words, COLUMNS="400")  # no table is folded where a path has another length
    assert "Traceback" not in done.err
    text = done.out.replace(str(ai.home.parent), "HERE")
    for pattern, instead in _VARYING:
        text = re.sub(pattern, instead, text)
    return Said(done.code, text)


def _loads(ai: Ai) -> list[str]:
    """The commands that loaded a language model."""
    lines = (ai.home / "logs" / "localai.log").read_text("utf-8").splitlines()
    return [line["command"] for line in map(json.loads, lines) if line["event"] == "model.loaded"]


def _furnish(ai: Ai) -> Ai:
    """A model, documents, and what the commands name."""
    file = gguf_models.scripted(ai.home.parent / "scripted.gguf", RULES, "안녕하세요! **Hello.**")
    assert ai("models", "add", file).code == 0
    (ai.workspace / "documents").mkdir()
    for name, text in PAGES.items():
        (ai.workspace / "documents" / name).write_text(text, "utf-8")
    (ai.workspace / "note.txt").write_text("rake\n")
    (ai.workspace / "city.json").write_text(SCHEMA)
    asked = {"id": "q1", "question": QUESTION, "relevant": {"documents/garden.md": 1}}
    (ai.workspace / "questions.jsonl").write_text(json.dumps(asked))
    return ai


@pytest.fixture
def furnished(ai: Ai) -> Ai:
    """A home that has something to say."""
    return _furnish(ai)


@pytest.fixture
def twin(made: Path, tmp_path: Path) -> Ai:
    """Another home of the same content."""
    place = tmp_path / "twin"
    (place / "workspace").mkdir(parents=True)
    shutil.copytree(made, place / "home")
    return _furnish(Ai(place / "home", place / "workspace"))


@pytest.mark.counted
def test_commands_say_the_same_attached_and_alone(furnished: Ai, twin: Ai) -> None:
    """Thirty commands with the full counts; beside a server, it alone loads models."""
    alone = [_said(furnished, words) for words in CHOSEN]
    with serving(twin):
        attached = [_said(twin, words) for words in CHOSEN]
    for words, one, other in zip(CHOSEN, alone, attached, strict=True):
        assert one == other, words
    assert sum(each.code == 0 for each in alone) >= len(CHOSEN) - 5
    assert {"chat"} <= set(_loads(furnished)) <= {"chat", "rag query"}
    assert _loads(twin) == ["serve"]


def _imports(ai: Ai, *words: str) -> set[str]:
    """The libraries that a command loads."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "localai", *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=ai.workspace,
        env=ai.environment,
    )
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line)
    return {name.partition(".")[0] for name in names}


@pytest.mark.prove
def test_attached_commands_load_no_engine(furnished: Ai) -> None:
    """Alone, the same commands do."""
    words = (("chat", "hello"), ("rag", "index", "documents"), ("rag", "query", QUESTION))
    alone = set[str]().union(*(_imports(furnished, *each) for each in words))
    assert alone >= HEAVY - {"gguf"}
    with serving(furnished):
        for each in words:
            assert not _imports(furnished, *each) & HEAVY, each


@pytest.mark.prove
def test_what_runs_is_shown_and_ended(furnished: Ai) -> None:
    """`ai ps` names the model while it is loaded, `ai stop` ends everything in good order."""
    nothing = furnished("ps")
    assert (nothing.code, "ai serve" in nothing.out + nothing.err) == (0, True)
    assert furnished("stop").code == 4
    with serving(furnished) as (url, process):
        furnished("chat", "hello")
        (shown,) = furnished("ps", "--json").json["items"]
        assert (shown["pid"], shown["address"]) == (process.pid, url.partition("//")[2])
        assert [each["name"] for each in shown["models"]] == ["scripted"]
        assert 0 < shown["models"][0]["unloads_in_s"] <= 1800
        assert "scripted" in furnished("ps").out
        assert furnished("stop", "--unload").code == 0
        assert furnished("ps", "--json").json["items"][0]["models"] == []
        assert furnished("stop").code == 0
        assert process.wait(timeout=30) == 0
    assert furnished("ps", "--json").json["items"] == []


@pytest.mark.prove
def test_a_viewer_sees_what_runs_and_ends_nothing(furnished: Ai) -> None:
    """Roles hold here as everywhere."""
    assert furnished("users", "add", "vera", "--role", "viewer").code == 0
    with serving(furnished):
        assert len(furnished("--as", "vera", "ps", "--json").json["items"]) == 1
        assert furnished("--as", "vera", "stop").code == 3
        assert furnished("--as", "vera", "stop", "--unload").code == 3
        assert furnished("--as", "vera", "chat", "hello").code == 3


@pytest.mark.prove
def test_a_killed_server_is_in_nobodys_way(furnished: Ai) -> None:
    """What it leaves is no obstacle, neither to commands nor to the next server."""
    with serving(furnished) as (_, process):
        furnished("rag", "index", "documents")
        assert "garden.md" in furnished("rag", "query", QUESTION, "--no-answer").out
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert (furnished.home / "data" / "serve" / "socket").exists()
        assert "garden.md" in furnished("rag", "query", QUESTION, "--no-answer").out
        assert furnished("chat", "hello").out == "안녕하세요! **Hello.**\n"
        assert furnished("ps", "--json").json["items"] == []
    with serving(furnished):
        assert len(furnished("ps", "--json").json["items"]) == 1
        assert furnished("chat", "hello").out == "안녕하세요! **Hello.**\n"
    assert _loads(furnished) == ["chat", "serve"]


@pytest.mark.prove
def test_what_nobody_uses_is_unloaded_in_time(furnished: Ai) -> None:
    """And loaded again for the next who asks."""
    with serving(furnished, "--keep-alive", "1s"):
        for _ in range(2):
            assert furnished("chat", "hello").code == 0
            while furnished("ps", "--json").json["items"][0]["models"]:
                pass
    assert _loads(furnished) == ["serve", "serve"]


@pytest.mark.prove
def test_a_second_server_borrows_from_the_first(furnished: Ai) -> None:
    """Two models may not fit the machine."""
    with serving(furnished) as (url, _), serving(furnished) as (other, process):
        assert url != other
        assert furnished("chat", "hello").code == 0
        assert [each["address"] for each in furnished("ps", "--json").json["items"]] == [
            url.partition("//")[2]
        ]
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        assert len(furnished("ps", "--json").json["items"]) == 1
    assert _loads(furnished) == ["serve"]


@pytest.mark.prove
def test_settings_of_one_command_are_its_own(furnished: Ai) -> None:
    """Whoever wants another context for once has the model loaded so, beside the server's."""
    with serving(furnished):
        assert furnished("--set", "engine.context=512", "chat", "hello").code == 0
        assert furnished("chat", "hello").code == 0
    assert _loads(furnished) == ["chat", "serve"]


@pytest.mark.prove
def test_documents_are_asked_while_others_are_indexed(furnished: Ai) -> None:
    """All go through the server, and nobody is kept out."""
    more = furnished.workspace / "more"
    more.mkdir()
    for number in range(400):
        (more / f"{number}.md").write_text(f"# Page {number}\n\nThe number is {number}.\n")
    with serving(furnished):
        furnished("rag", "index", "documents")
        with furnished.start("rag", "index", "more") as indexing:
            while indexing.poll() is None:
                found = furnished("rag", "query", QUESTION, "--no-answer")
                assert (found.code, "garden.md" in found.out) == (0, True)
        assert indexing.returncode == 0
        assert "7.md" in furnished("rag", "query", "page 7", "--no-answer").out
