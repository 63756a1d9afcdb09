"""The log: one JSON object a line, no secrets, nothing lost between processes."""

import json
import logging
import logging.handlers
import stat
import subprocess
import sys
from collections.abc import Generator, Iterator
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


# Rotates for ever, until it is killed.
ROTATOR = """
import sys
from pathlib import Path
from localai.core import log, log_file
log_file.MAX_BYTES = 200
log.configure(Path(sys.argv[1]), "info")
number = 0
print("ready", flush=True)
while True:
    number += 1
    log.logger.info("line", extra={"fields": {"number": number}})
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


def test_what_a_library_says_is_told_apart(file: Path) -> None:
    """Its words are no event of ours."""
    log.adopt("another.library")
    with log.about(session="s"):
        logging.getLogger("another.library").warning("model.loaded %s", "x")
    logging.getLogger("another.library").handlers = []
    (line,) = _lines(file)
    assert (line["event"], line["library"]) == ("library.said", "another.library")
    assert (line["message"], line["session"]) == ("model.loaded x", "s")


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


def test_a_process_killed_while_it_rotates_loses_the_oldest_at_most(tmp_path: Path) -> None:
    """What is there is gapless up to the newest, whole, and the next process goes on."""
    file = tmp_path / "localai.log"
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", ROTATOR, str(file)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            while not file.with_name(f"{file.name}.4").exists():
                pass
            process.kill()
        found = [each for each in reversed(log_file.names(file)) if each.exists()]
        assert len(found) >= log_file.KEPT - 1
        numbers = [line["number"] for each in found for line in _lines(each)]
        numbers = numbers[numbers.index(min(numbers)) :]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert all(stat.S_IMODE(each.stat().st_mode) == 0o600 for each in found)
        for each in found:
            each.unlink()


@pytest.mark.parametrize("missing", [0, 1, 2, 3, 4])
def test_a_gap_that_a_kill_left_is_filled_first(
    file: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """Nothing is dropped while there is room."""
    places = log_file.names(file)
    file.parent.mkdir()
    for number, place in enumerate(places):
        place.write_text(f"{number}\n")
    places[missing].unlink()
    monkeypatch.setattr(log_file, "MAX_BYTES", 1)
    log.logger.info("new")
    texts = {place.read_text().strip() for place in places[1:] if place.exists()}
    assert texts == {str(number) for number in range(5)} - {str(missing)}


def test_a_line_names_what_was_worked_on(file: Path) -> None:
    """The innermost of each, also in a line that is written later, and none after it."""
    with log.about(session="s1"):
        with log.about(approval="a1", session=None):
            later = log.prepared("approval.approved", tool="t")
            log.write("model.loaded", model="m")
        log.write("model.loaded", model="m")
    later()
    log.write("model.loaded", model="m")
    found = [(line.get("session"), line.get("approval")) for line in _lines(file)]
    assert found == [("s1", "a1"), ("s1", None), ("s1", "a1"), (None, None)]


def test_steps_are_about_their_conversation_and_what_lies_between_them_is_not(file: Path) -> None:
    """Two conversations may be taken in turns."""

    def turn() -> Generator[int]:
        try:
            for number in range(3):
                log.write("model.loaded", model=str(number))
                yield number
        finally:
            log.write("model.loaded", model="closed")

    one, two = (log.steps_about(turn(), session) for session in ("one", "two"))
    assert [next(one), next(two), next(one)] == [0, 0, 1]
    log.write("model.loaded", model="between")
    one.close()
    assert list(two) == [1, 2]
    found = [(line["model"], line.get("session")) for line in _lines(file)]
    assert found == [
        ("0", "one"),
        ("0", "two"),
        ("1", "one"),
        ("between", None),
        ("closed", "one"),
        ("1", "two"),
        ("2", "two"),
        ("closed", "two"),
    ]


def test_an_error_remembers_what_it_came_from(file: Path) -> None:
    """It is logged at the door, where nothing is worked on any more."""
    with pytest.raises(ValueError, match="bug") as raised, log.about(session="s", approval="a"):
        raise ValueError("bug")
    log.write("mcp.call-failed", raised.value)
    assert log.about_of(raised.value) == {"session": "s", "approval": "a"}
    (line,) = _lines(file)
    assert (line["session"], line["approval"]) == ("s", "a")
    assert line["level"] == "error"


def test_a_command_is_named_without_its_arguments(file: Path) -> None:
    """Noun and verb, in every line."""
    log.configure(file, "info", "approvals list")
    log.write("model.loaded", model="m")
    assert _lines(file)[0]["command"] == "approvals list"


def test_a_line_stays_short(file: Path) -> None:
    """Whatever is put into it, and the end of a traceback is kept."""
    error = ValueError("x" * 90_000 + " the end")
    log.write("command.failed", error, message="y" * 90_000, causes=["z"] * 5_000)
    (line,) = _lines(file)
    assert len(line["message"]) < 2_100
    assert len(line["causes"]) == 100
    assert line["traceback"].endswith("the end")
    assert file.stat().st_size < 30_000


CORPUS = (
    "lai_k3y1d_{}_abcdef012345",
    "Authorization: Bearer {}",
    "https://jun:{}@example.org/x",
    "smtp-password={}",
    "https://hooks.slack.com/services/T0/B0/{}",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "otpauth://totp/localai:jun?secret={}",
    "eyJhbGciOiJIUzI1NiJ9.{}.{}",
    "aws_secret_access_key={}",
    "ghp_{}",
    "hf_{}",
)


@pytest.mark.parametrize("shape", CORPUS)
def test_no_shape_of_a_secret_is_in_the_file_wherever_it_was_put(file: Path, shape: str) -> None:
    """Fields, messages of libraries, words of an exception and of its cause, and the traceback."""
    secret = shape.replace("{}", "c4n4ryhunter2hunter2")
    log.adopt("another.library")
    logging.getLogger("another.library").warning("it said %s", secret)
    logging.getLogger("another.library").handlers = []
    with pytest.raises(ValueError, match="with") as raised:
        _break(secret)
    log.write("command.failed", raised.value, message=secret, causes=[secret], category="y")
    text = file.read_text(encoding="utf-8")
    assert "hunter2" not in text
    assert text.count(MARK) >= 4
    assert "OSError" in _lines(file)[1]["traceback"]


def _break(secret: str) -> None:
    try:
        raise OSError(secret)  # noqa: TRY301 - the cause is what is tried
    except OSError as cause:
        raise ValueError(f"with {secret}") from cause
