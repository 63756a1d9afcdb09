"""What stands in the repository is for those who read it: finished, explained, and ours."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "localai").rglob("*.py"))

# Spelled in halves, so that this file does not hold them itself.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
PLACES = re.compile(
    "/wo" + r"rk/(?:main|shared)\b|/tm" + r"p/w/|/ro" + r"ot/\."
    "|files\\.python" + r"hosted|py" + r"pi\.org|crates\." + r"io|registry\.npm" + "js"
)
TALK = re.compile(r"(?i)\bfor n" + r"ow\b|\b(this|next|previous) (iss" + r"ue|ses" + r"sion)\b")


def _tracked() -> list[Path]:
    """The files that git keeps or would keep; without git, what the package holds."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    names = listed.stdout.split("\0") if listed.returncode == 0 else []
    found = [ROOT / name for name in names if name] or list((ROOT / "localai").rglob("*"))
    return [path for path in found if path.is_file()]


def _texts() -> dict[str, str]:
    found = {}
    for path in _tracked():
        content = path.read_bytes()
        if b"\0" not in content[:8000]:
            found[path.relative_to(ROOT).as_posix()] = content.decode("utf-8")
    return found


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Every text file of the repository; all of them are UTF-8."""
    return _texts()


def _matches(texts: dict[str, str], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_the_repository_is_read_at_all(texts: dict[str, str]) -> None:
    """A test that reads nothing finds nothing."""
    assert {"pyproject.toml", "README.md", "localai/app/base.py"} <= texts.keys()


def test_nothing_is_left_to_do_in_the_text(texts: dict[str, str]) -> None:
    """What is unfinished is an issue, not a comment."""
    assert _matches(texts, UNFINISHED) == []


def test_no_place_of_one_machine_and_no_registrys_host_is_named(texts: dict[str, str]) -> None:
    """The repository works wherever it is cloned, and from whatever mirror."""
    assert _matches(texts, PLACES) == []


def test_the_code_does_not_talk_about_its_making(texts: dict[str, str]) -> None:
    """History is git's; what people say to a model is theirs."""
    sayings = "training/starter/phrases/"
    code = {
        name: text
        for name, text in texts.items()
        if name.endswith((".py", ".toml")) and not name.startswith(sayings)
    }
    assert _matches(code, TALK) == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_module_says_what_it_owns(file: Path) -> None:
    """In one sentence at least."""
    sentence = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    assert re.match(r"\S.*[.:]", sentence)


def test_every_test_says_what_holds() -> None:
    """Its name is the contract, its sentence the reason."""
    silent = []
    for file in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            is_test = isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            if is_test and not ast.get_docstring(node):
                silent.append(f"{file.relative_to(ROOT)}: {node.name}")
    assert silent == []
