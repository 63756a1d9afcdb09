"""What a confined program sees of this machine, and what it may change. Pure but for looking."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localai.core.errors import Denied


def _under(folder: str, names: str) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names.split())


# What programs are made of. /etc has secrets, so of it only what programs need to start.
_SYSTEM = ("/usr", "/opt", "/nix/store")
_LINKED = _under("", "bin sbin lib lib32 lib64 libx32")
_CONFIGURATION = _under(
    "/etc",
    """
    alternatives ca-certificates fonts gitconfig group host.conf hosts ld.so.cache ld.so.conf
    ld.so.conf.d localtime magic mime.types nsswitch.conf os-release passwd pki/ca-trust/extracted
    pki/tls/certs pki/tls/openssl.cnf protocols services shells
    ssl/certs ssl/openssl.cnf terminfo timezone xdg java-17-openjdk java-21-openjdk
    python3 python3.11 python3.12 python3.13
    """,
)
# What a shell or an editor that comes along obeys, and what git does: all of .git, for there are
# names in it that need only appear (commondir, rebase-merge) to have programs run. Where git itself
# is to change it, what it has of these.
_KEPT_IN_GIT = _under("/.git", "config config.worktree hooks info modules worktrees")
_KEPT = _under(
    "",
    """
    .bash_aliases .bash_login .bash_logout .bash_profile .bashrc .cshrc .emacs .envrc .exrc .forward
    .gitattributes .gitconfig .gitmodules .inputrc .kshrc .login .mcp.json .npmrc .nvimrc
    .pam_environment .pre-commit-config.yaml .profile .pypirc .screenrc .tcshrc .tmux.conf .vimrc
    .condarc .xinitrc .xprofile .xsession .xsessionrc .yarnrc .zlogin .zlogout .zprofile .zshenv
    .zshrc sitecustomize.py usercustomize.py
    .aws .claude .codex .config .cursor .docker .gnupg .hg .husky .idea .kube .local .ssh .svn
    .vscode autostart cron.d
    """,
)


@dataclass(frozen=True)
class View:
    """Folders and files by what may be done with them; what is not in it does not exist.

    `hidden` lies in something that is seen, and is covered. `links` are the machine's own, such as
    /bin, with where they lead.
    """

    workspace: str
    seen: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    kept: tuple[str, ...]
    hidden: tuple[str, ...]

    def shows(self, path: str) -> bool:
        """Whether the program can see what lies at this real path."""
        shown = _is_in(path, (*self.seen, self.workspace))
        return shown and not _is_in(path, self.hidden)

    def around(self) -> tuple[list[str], list[str]]:
        """What may be read, and the folders that may be listed only, for what is hidden in them.

        For a kernel that can allow, and cannot take back within what it allowed.
        """
        read: list[str] = []
        listed: list[str] = []
        left = list(self.seen)
        while left:
            path = left.pop()
            if path in self.hidden:
                continue
            if any(_is_in(each, [path]) for each in self.hidden):
                listed.append(path)
                # A link would allow what it leads to.
                left += [each.path for each in os.scandir(path) if not each.is_symlink()]
            else:
                read.append(path)
        return read, listed


def view(
    workspace: Path,
    *,
    readable: Iterable[Path] = (),
    protected: Iterable[Path] = (),
    changes_git: bool = False,
) -> View:
    """The view of a program that works in the workspace.

    `readable` are further folders that it may read, `protected` ones it must not see, wherever
    they lie. Denied where the workspace is too wide to be given away, or protected itself.
    """
    root = os.path.realpath(workspace)
    # Each by its name and by where that leads: a link to it would show it otherwise.
    away = sorted({p for each in protected for p in (str(each), os.path.realpath(each))})
    _refuse_wide(root, away)
    names = [str(each) for each in readable]
    given = [os.path.realpath(each) for each in names]
    for each in given:
        _refuse_home(each, "ai config set sandbox.readable DIR, with the folders that it needs")
    seen = [p for p in (*_SYSTEM, *_LINKED, *_CONFIGURATION, *given) if _is_real(p)]
    hidden = [p for p in away if _is_in(p, (*seen, root)) and os.path.lexists(p)]
    return View(
        workspace=root,
        seen=tuple(seen),
        links=tuple(_links((*_LINKED, *_CONFIGURATION, *names))),
        kept=tuple(_kept(root, changes_git=changes_git)),
        hidden=tuple(p for p in hidden if not _is_in(str(Path(p).parent), hidden)),
    )


def _refuse_wide(root: str, away: Iterable[str]) -> None:
    hint = "work in a project's folder, or name one: ai --workspace DIR"
    _refuse_home(root, hint)
    if _is_in(root, away):
        raise Denied(f"{root} belongs to localai itself", hint=hint)


def _refuse_home(path: str, hint: str) -> None:
    home = os.path.realpath(Path.home())
    if _is_in(home, [path]):
        message = f"{path} is too much to give to a program: your home is in it"
        raise Denied(message, hint=hint)


def _links(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Links of the machine itself, such as /bin and /etc/localtime."""
    for name in names:
        if os.path.islink(name):  # noqa: PTH114 - text in, text out
            yield name, os.readlink(name)  # noqa: PTH115 - as above


def _kept(root: str, *, changes_git: bool) -> Iterator[str]:
    """What is in the workspace and must not be changed: others would obey it."""
    is_open = changes_git and _is_real(f"{root}/.git") and os.path.isdir(f"{root}/.git")  # noqa: PTH112 - as below
    names = (*_KEPT, *(_KEPT_IN_GIT if is_open else ("/.git",)))
    yield from (path for name in names if _is_real(path := root + name))


def _is_real(path: str) -> bool:
    """Whether it is there, and is no link: what a link leads to is shown by its own name."""
    return os.path.lexists(path) and not os.path.islink(path)  # noqa: PTH114 - text in, text out


def _is_in(path: str, folders: Iterable[str]) -> bool:
    return any(path == each or path.startswith(each.rstrip("/") + "/") for each in folders)
