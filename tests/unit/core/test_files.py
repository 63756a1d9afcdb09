"""Private files are whole, and closed to others."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai.core.errors import Conflict
from localai.core.files import allocated, claimed, locked, private_dir, real, write_private

SLOW_WRITER = """
import os, signal, sys
from pathlib import Path
from localai.core import files
files.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
files.write_private(Path(sys.argv[1]), b"new")
"""
COUNTER = """
import sys
from pathlib import Path
from localai.core.files import locked
file = Path(sys.argv[1])
for _ in range(200):
    with locked(file.with_suffix(".lock")):
        file.write_text(str(int(file.read_text()) + 1))
"""


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def open_umask() -> Iterator[None]:
    """A umask that would let everybody in."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_folders_are_made_for_the_owner_alone(tmp_path: Path, open_umask: None) -> None:
    """The missing parents too, whatever the umask."""
    made = private_dir(tmp_path / "a" / "b")
    assert (_mode(made), _mode(made.parent)) == (0o700, 0o700)
    assert private_dir(made) == made


def test_files_are_made_for_the_owner_alone(tmp_path: Path, open_umask: None) -> None:
    """And so is the folder that they need."""
    file = tmp_path / "keys" / "secret"
    write_private(file, b"value")
    assert (file.read_bytes(), _mode(file), _mode(file.parent)) == (b"value", 0o600, 0o700)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """A reader that holds the old file goes on reading the old one."""
    file = tmp_path / "file"
    write_private(file, b"old")
    with file.open("rb") as reader:
        write_private(file, b"newer")
        assert reader.read() == b"old"
    assert file.read_bytes() == b"newer"


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    """The new content was on its way to the disk, and no half of it is seen."""
    file = tmp_path / "file"
    write_private(file, b"old")
    killed = subprocess.run([sys.executable, "-c", SLOW_WRITER, str(file)], check=False)
    assert killed.returncode == -9
    assert file.read_bytes() == b"old"


def test_a_write_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old file stays, and no temporary one beside it."""
    file = tmp_path / "file"
    write_private(file, b"old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(file, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_bytes() == b"old"


def test_a_lock_lets_one_process_in_at_a_time(tmp_path: Path) -> None:
    """Four processes count to 800 together."""
    file = tmp_path / "count"
    file.write_text("0")
    command = [sys.executable, "-c", COUNTER, str(file)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert file.read_text() == "800"


def test_a_lock_is_given_back_after_an_error(tmp_path: Path) -> None:
    """Or the next one would wait for ever."""
    lock = tmp_path / "lock"
    with pytest.raises(KeyError), locked(lock):
        raise KeyError
    with locked(lock):
        assert _mode(lock) == 0o600


def test_what_a_folder_takes_on_disk_counts_no_holes(tmp_path: Path) -> None:
    """An index keeps sparse files, whose length says nothing."""
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "full").write_bytes(os.urandom(100_000))
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(50_000_000)
    (tmp_path / "link").symlink_to("/")
    assert 100_000 <= allocated(tmp_path) < 1_000_000
    assert allocated(tmp_path / "not there") == 0


def test_a_path_is_followed_to_its_end(tmp_path: Path) -> None:
    """Through every link, be there something at its end or not."""
    (tmp_path / "a").symlink_to("b")
    assert real(tmp_path / "a" / "c") == str(tmp_path / "b" / "c")


def test_a_link_that_is_none_by_the_second_look_is_a_conflict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process put a folder in its place."""
    (tmp_path / "a").symlink_to("b")

    def readlink(path: str) -> str:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)

    monkeypatch.setattr(os, "readlink", readlink)
    with pytest.raises(Conflict, match="changes while it is looked at"):
        real(tmp_path / "a")


def test_a_lock_is_claimed_by_one_and_never_waited_for(tmp_path: Path) -> None:
    """The other hears at once that it is taken, and it is free again afterwards."""
    with claimed(tmp_path / "lock") as is_mine, claimed(tmp_path / "lock") as is_mine_too:
        assert (is_mine, is_mine_too) == (True, False)
    with claimed(tmp_path / "lock") as is_mine:
        assert is_mine
