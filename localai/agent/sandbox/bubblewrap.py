"""The full tier: bubblewrap's arguments for a view of this machine. Pure."""

from collections.abc import Iterator
from pathlib import Path

from localai.agent.sandbox.view import View

_NO_NAMESPACES = (
    "setting up uid map",
    "No permissions to creat",
    "Creating new namespace failed",
    "Failed RTM_NEWADDR",
    "Can't mount proc",
)
HOME = "/tmp/home"  # noqa: S108 - of a file system that ends with the program


def options(  # noqa: PLR0913 - three are descriptors, by their names
    view: View, cwd: str, *, memory: int, rules: int, told: int, go: int
) -> list[str]:
    """What bubblewrap is to be called with, before the program and its arguments.

    `memory` is what the program may use, in bytes; files in memory may take a part of that.
    `rules` is the descriptor of the system call filter, `told` where it writes the process id of
    what it starts, `go` where it reads a byte before it starts anything.
    """
    return [
        *_namespaces(),
        *_own(memory),
        *_machine(view),
        *_workspace(view),
        *_hidden(view),
        # All that was made to mount on is memory, too, and without end.
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", cwd, "--seccomp", str(rules), "--info-fd", str(told), "--block-fd", str(go)),
    ]


def obstacle(said: str) -> str:
    """Why it does not work here, by what it said when it was tried."""
    told = said.strip().rpartition("bwrap: ")[2] or "it said nothing"
    if "Unknown option" in told:
        return f"bubblewrap is older than 0.8 ({told})"
    if any(words in told for words in _NO_NAMESPACES):
        return f"this system lets bubblewrap make no namespaces ({told})"
    return f"bubblewrap does not work here ({told})"


def _namespaces() -> Iterator[str]:
    yield from ("--unshare-all", "--unshare-user", "--disable-userns", "--hostname", "sandbox")
    yield from ("--new-session", "--die-with-parent", "--cap-drop", "ALL")


def _own(memory: int) -> Iterator[str]:
    # Root may write to much of /proc without any capability: to /proc/sysrq-trigger, say.
    yield from ("--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev")
    yield from ("--size", str(memory // 8), "--tmpfs", "/dev/shm")  # noqa: S108
    yield from ("--size", str(memory // 4), "--tmpfs", "/tmp", "--dir", HOME)  # noqa: S108
    yield from ("--symlink", "../tmp", "/var/tmp", "--dir", "/run")  # noqa: S108


def _machine(view: View) -> Iterator[str]:
    for path in view.seen:
        yield from ("--ro-bind", path, path)
    for link, target in view.links:
        yield from ("--symlink", target, link)


def _workspace(view: View) -> Iterator[str]:
    yield from ("--bind", view.workspace, view.workspace)
    repository = f"{view.workspace}/.git"
    if any(path.startswith(f"{repository}/") for path in view.kept):
        # What something is mounted on cannot be renamed, nor another be put in its place.
        yield from ("--bind", repository, repository)
    for path in view.kept:
        yield from ("--ro-bind", path, path)


def _hidden(view: View) -> Iterator[str]:
    for path in view.hidden:
        if Path(path).is_symlink():
            continue  # what it leads to is hidden by its own name
        # What something is mounted on stays where it is; so what is hidden stays hidden.
        for folder in reversed(Path(path).parents):
            if folder.is_relative_to(view.workspace) and str(folder) != view.workspace:
                yield from ("--bind", str(folder), str(folder))
        if Path(path).is_dir():
            yield from ("--tmpfs", path, "--remount-ro", path)
        else:
            yield from ("--ro-bind", "/dev/null", path)
