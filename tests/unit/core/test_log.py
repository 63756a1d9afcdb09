"""The log: one JSON object a line, no secrets, nothing lost between processes."""

import json
import logging
import logging.handlers
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localai import __version__
from localai.core import log, log_file
from localai.core.redact import MARK, remember

WRITER = """
import sys
from pathlib import Path
from localai.core import log, log_file
log_file.MAX_BYTES = 8_000
log.configure(Path(sys.argv[1]), "info")
for number in range(60):
    log.logger.info("line", extra={"fields": {"who": sys.argv[2], "number": number}})
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A log file that this test's process writes to."""
    place = tmp_path / "logs" / "localai.log"
    log.configure(place, "info")
    yield place
    for handler in list(log.logger.handlers):
        log.logger.removeHandler(handler)


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_line_is_one_json_object(file: Path) -> None:
    """When, how bad, what, by which process, and the fields given."""
    log.logger.info("model loaded", extra={"fields": {"model": "작은", "path": Path("/m.gguf")}})
    (line,) = _lines(file)
    assert line.pop("at").endswith("Z")
    assert line.pop("pid") > 0
    assert line == {
        "level": "info",
        "event": "model loaded",
        "version": __version__,
        "model": "작은",
        "path": "/m.gguf",
    }


def test_a_message_of_many_lines_is_one_line(file: Path) -> None:
    """A line break in a message forges no entry."""
    log.logger.info('one\n{"event": "forged"}\r\ntwo')
    assert [line["message"] for line in _lines(file)] == ['one\n{"event": "forged"}\r\ntwo']


def test_what_is_below_the_level_is_not_written(file: Path) -> None:
    """Nor is the file made for it."""
    log.logger.debug("detail")
    assert not file.exists()
    log.configure(file, "debug")
    log.logger.debug("detail")
    assert len(_lines(file)) == 1


def test_configuring_again_writes_each_line_once(file: Path) -> None:
    """A second command in one process replaces the first one's log."""
    log.configure(file, "info")
    log.logger.warning("once")
    assert len(_lines(file)) == 1


def test_an_exception_brings_its_traceback(file: Path) -> None:
    """Redacted like everything else."""
    log.logger.error("bug", exc_info=ValueError("password=canary-1"))
    (line,) = _lines(file)
    assert line["level"] == "error"
    assert "ValueError: password=[redacted]" in line["traceback"]


def test_no_secret_reaches_the_file(file: Path) -> None:
    """In the message, in its arguments, in fields of any depth, in objects, escaped or not."""

    class Odd:
        def __str__(self) -> str:
            return 'odd token=canary-2 and quote"canary-3'

    remember('quote"canary-3')
    remember("비밀\ncanary-4")
    log.logger.info("to %s", "postgresql://ai:canary-5@db/ai")
    log.logger.info(
        "sent",
        extra={
            "fields": {
                "password": "canary-6 with spaces",
                "headers": {"Authorization": "Bearer canary-7-canary-7"},
                "list": ["비밀\ncanary-4", {"api_key": ["canary-8"]}],
                "odd": Odd(),
                "token": 5,
            }
        },
    )
    assert "canary" not in file.read_text(encoding="utf-8")
    assert _lines(file)[1]["token"] == MARK


@pytest.mark.parametrize("text", ["lone \udcff surrogate", "nul \0 and escape \x1b"])
def test_a_text_that_is_no_utf_8_is_logged_all_the_same(file: Path, text: str) -> None:
    """Names of files may hold any byte."""
    log.JsonFile(file).emit(_record(text))
    assert _lines(file)[0]["message"] == text


def test_a_log_that_cannot_be_written_never_stops_the_work(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither the disk nor a wrong format string."""
    (tmp_path / "logs").write_text("a file where the folder should be")
    log.JsonFile(tmp_path / "logs" / "localai.log").emit(_record("lost"))
    log.JsonFile(tmp_path / "localai.log").emit(_record("%d", ("three",)))
    assert capfd.readouterr() == ("", "")


def _record(message: str, arguments: tuple[object, ...] = ()) -> logging.LogRecord:
    return logging.LogRecord("localai", logging.INFO, "x.py", 1, message, arguments, None)


def test_nothing_is_passed_on_to_other_handlers(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library's root handler would print it on the terminal."""
    others = logging.handlers.BufferingHandler(10)
    monkeypatch.setattr(logging.getLogger(), "handlers", [others])
    log.logger.error("ours alone")
    assert others.buffer == []
    logging.getLogger("another").error("theirs")
    assert len(others.buffer) == 1


def test_the_log_is_the_owners_alone(file: Path) -> None:
    """And its folder."""
    log.logger.info("x")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_five_files_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes, the newest is the one without a number."""
    monkeypatch.setattr(log_file, "MAX_BYTES", 1)
    for number in range(8):
        log.logger.info(str(number))
    names = [file.name, *(f"{file.name}.{number}" for number in range(1, 5))]
    found = {path.name for path in file.parent.iterdir()} - {f"{file.name}.lock"}
    assert found == set(names)
    assert [_lines(file.with_name(name))[0]["message"] for name in names] == list("76543")


def test_four_processes_rotate_one_log_and_lose_no_line(tmp_path: Path) -> None:
    """Every line of each, whole, in its order."""
    file = tmp_path / "localai.log"
    command = [sys.executable, "-c", WRITER, str(file)]
    processes = [subprocess.Popen([*command, str(who)]) for who in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    files = [file.with_name(f"{file.name}.{number}") for number in range(4, 0, -1)]
    lines = [line for each in [*files, file] if each.exists() for line in _lines(each)]
    assert any(each.exists() for each in files)
    for who in range(4):
        assert [line["number"] for line in lines if line["who"] == str(who)] == list(range(60))
