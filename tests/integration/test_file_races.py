"""The file tools while their paths come to lead elsewhere: between any two of their steps.

Every call of the system that a tool makes may be preceded by a change, drawn by chance from a seed.
So each race is one, and can be run again. A thread that changes the paths as fast as it can
shows that nothing depends on how the changes are brought about.
"""

import ctypes
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from localai.agent.builtin import edit, files, search
from localai.agent.tools import Context, Tool, ToolResult
from localai.core.errors import LocalaiError

pytestmark = [pytest.mark.counted, pytest.mark.timeout(900)]

IS_FULL = os.environ.get("PROVE") == "1"
# Of each of six tools in each of six trees: 10,800 in all.
RACES = 300 if IS_FULL else 30
CALLS = 300 if IS_FULL else 10
STEPS = [
    "open",
    "lstat",
    "stat",
    "fstat",
    "readlink",
    "read",
    "mkdir",
    "link",
    "replace",
    "unlink",
    "scandir",
]
# AT_FDCWD, and "exchange" as renameat2 has it; as renamex_np of macOS has it.
HERE, EXCHANGE, SWAP = -100, 2, 2
SECRET = "the secret of somebody else"
INSIDE = "what is inside"


class Tree:
    """A workspace, and beside it what no tool may read or change."""

    def __init__(self, top: Path) -> None:
        self.top, self.workspace, self.outside = top, top / "p" / "work", top / "outside"
        for folder, text in ((self.workspace, INSIDE), (self.outside / "work", SECRET)):
            for name in ("a/b/f", ".git/config", "z/b/f"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(f"{text}\n")
        (self.outside / "work" / "a" / "marker-outside").write_text(SECRET)
        (self.workspace / "z" / "b" / "f").write_text(f"{INSIDE}, elsewhere\n")

    def seen(self) -> dict[str, str]:
        """Every file outside, and what it holds."""
        found = self.outside.rglob("*")
        return {str(path): path.read_text() for path in found if path.is_file()}


# What changes places with a link, to where, and the file that is asked for meanwhile.
SWAPS: dict[str, tuple[str, str, str]] = {
    "a folder": ("p/work/a", "outside/work/a", "a/b/f"),
    "a folder below": ("p/work/a/b", "outside/work/a/b", "a/b/f"),
    "a file": ("p/work/a/b/f", "outside/work/a/b/f", "a/b/f"),
    "git's folder": ("p/work/.git", "outside/work/.git", ".git/config"),
    "the folder above": ("p", "outside", "a/b/f"),
    "no link": ("p/work/a", "", "a/b/f"),  # but another folder of the workspace
}


class Swap:
    """Lets two names change places in one step, so that both are always there."""

    def __init__(self, tree: Tree, name: str) -> None:
        one, target, self.path = SWAPS[name]
        other = tree.top / "link" if target else tree.workspace / "z"
        if target:
            other.symlink_to(tree.top / target)
        self._names = os.fsencode(tree.top / one), os.fsencode(other)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.count = 0

    def __call__(self) -> None:
        """Once."""
        one, other = self._names
        if sys.platform == "darwin":
            failed = self._libc.renamex_np(one, other, SWAP)
        else:
            failed = self._libc.renameat2(HERE, one, HERE, other, EXCHANGE)
        if failed:
            raise OSError(ctypes.get_errno(), "cannot swap")
        self.count += 1

    def forever(self, is_over: threading.Event) -> None:
        """As fast as it can."""
        while not is_over.is_set():
            self()


@contextmanager
def _by_chance(swap: Swap, dice: random.Random) -> Iterator[None]:
    """Swap before some of the calls of the system that are made meanwhile, at least before one."""
    share = dice.choice([0.03, 0.1, 0.3, 1.0])
    with pytest.MonkeyPatch.context() as patch:
        for name in STEPS:
            patch.setattr(os, name, _preceded(getattr(os, name), swap, dice, share))
        yield


def _preceded(
    step: Callable[..., Any], swap: Swap, dice: random.Random, share: float
) -> Callable[..., Any]:
    def preceded(*arguments: Any, **options: Any) -> Any:
        if dice.random() < share:
            swap()
        return step(*arguments, **options)

    return preceded


def _read(context: Context, path: str) -> ToolResult:
    return files.read_file(context, path)


def _list(context: Context, path: str) -> ToolResult:
    return files.list_files(context, path.partition("/")[0])


def _search(context: Context, path: str) -> ToolResult:
    return search.search_files(context, "secret|inside", path=path.rpartition("/")[0])


def _write(context: Context, path: str) -> ToolResult:
    return _granted(_TOOLS["write_file"], context, path=path, content=f"{INSIDE}\n")


def _make(context: Context, path: str) -> ToolResult:
    new = f"{path.rpartition('/')[0]}/new-{os.urandom(4).hex()}/x"
    return _granted(_TOOLS["write_file"], context, path=new, content=INSIDE)


def _edit(context: Context, path: str) -> ToolResult:
    old, new = random.sample(["what is", "What is"], 2)
    return _granted(_TOOLS["edit_file"], context, path=path, old=old, new=new)


def _granted(tool: Tool, context: Context, **arguments: str) -> ToolResult:
    """State the facts, judge the risk, and run, as the runner does."""
    stated = Context(context.workspace, facts=tool.facts(context, arguments))
    tool.risk_of(stated, arguments)
    return tool.function(stated, **arguments)


_TOOLS = {tool.name: tool for tool in (*files.TOOLS, *edit.TOOLS)}
_CALLS = [_read, _list, _search, _write, _make, _edit]
Call = Callable[[Context, str], ToolResult]


def _is_done(call: Call, context: Context, path: str) -> bool:
    """Call once; whether it did its work. Nothing of what is outside may be told."""
    try:
        result = call(context, path)
    except LocalaiError as error:
        result = ToolResult(False, error.message, "")
    assert "somebody else" not in result.text
    assert "marker-outside" not in result.text
    return result.ok


@pytest.mark.parametrize("name", SWAPS)
@pytest.mark.parametrize("call", _CALLS)
def test_nothing_outside_is_read_or_changed(tmp_path: Path, call: Call, name: str) -> None:
    """Each call is refused, fails, or does its work inside; nothing is left half done."""
    tree = Tree(tmp_path)
    before, context, swap = tree.seen(), Context(tree.workspace), Swap(tree, name)
    done: Counter[bool] = Counter()
    seed = races = 0
    while races < RACES:
        seed, count = seed + 1, swap.count
        with _by_chance(swap, random.Random(seed)):
            is_done = _is_done(call, context, swap.path)
        if swap.count > count:
            races += 1
            done[is_done] += 1
    assert tree.seen() == before
    assert not list(tmp_path.rglob(".*.tmp"))
    print(f"{call.__name__}, {name}: {done[True]} of {RACES} did their work")


@pytest.mark.parametrize("name", SWAPS)
def test_nor_by_a_thread_that_changes_paths_as_fast_as_it_can(tmp_path: Path, name: str) -> None:
    """The same, with changes in the midst of a call of the system as well."""
    tree = Tree(tmp_path)
    before, context, swap = tree.seen(), Context(tree.workspace), Swap(tree, name)
    is_over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(swap.forever, is_over)
        try:
            for call in _CALLS * CALLS:
                _is_done(call, context, swap.path)
        finally:
            is_over.set()
    swapping.result()
    assert swap.count >= CALLS
    assert tree.seen() == before
    assert not list(tmp_path.rglob(".*.tmp"))


@pytest.mark.parametrize("name", [name for name, (_, target, _) in SWAPS.items() if target])
def test_the_race_is_one(tmp_path: Path, name: str) -> None:
    """Whoever looks first and opens then, by the name, is led outside before long."""
    tree = Tree(tmp_path)
    swap = Swap(tree, name)
    file = tree.workspace / swap.path
    is_led = False
    for seed in range(1_000):
        with suppress(OSError), _by_chance(swap, random.Random(seed)):
            if Path(os.path.realpath(file)).is_relative_to(tree.workspace):
                handle = os.open(file, os.O_RDONLY)
                is_led |= SECRET.encode() in os.read(handle, 100)
                os.close(handle)
    assert is_led


def test_a_file_with_another_name_outside_is_replaced_and_not_written_into(tmp_path: Path) -> None:
    """A hard link is the same file under two names; only the name in the workspace changes."""
    tree = Tree(tmp_path)
    context, path = Context(tree.workspace), "a/b/f"
    (tree.workspace / path).unlink()
    (tree.workspace / path).hardlink_to(tree.outside / "work" / path)
    assert _write(context, path).ok
    assert (tree.workspace / path).read_text() == f"{INSIDE}\n"
    assert (tree.outside / "work" / path).read_text() == f"{SECRET}\n"
