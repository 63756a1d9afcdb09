"""Names in a workspace that are more than files: what runs later by itself, and credentials."""

import os
import stat
import unicodedata
from collections import deque
from collections.abc import Iterator
from pathlib import Path


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A shell, an editor, git, a package manager or a login reads these and obeys.
_OBEYED = _names("""
    .bashrc .bash_profile .bash_login .bash_logout .bash_aliases .profile .zshrc .zshenv .zprofile
    .zlogin .zlogout .kshrc .cshrc .tcshrc .login .inputrc .envrc .vimrc .exrc .nvimrc .emacs
    .gitconfig .gitmodules .gitattributes .mcp.json .npmrc .yarnrc .pypirc .condarc .tmux.conf
    .screenrc .xinitrc .xprofile .xsession .xsessionrc .pam_environment .forward
    .pre-commit-config.yaml sitecustomize.py usercustomize.py
""")
_OBEYED_FOLDERS = _names("""
    .git .hg .svn .ssh .gnupg .husky .vscode .idea .claude .cursor .codex .config .local .aws .kube
    .docker launchagents launchdaemons autostart cron.d
""")
_CREDENTIALS = _names("""
    .netrc .pgpass .my.cnf .npmrc .pypirc .git-credentials .env id_rsa id_ed25519 id_ecdsa
    credentials.json .vault-token
""")
_CREDENTIAL_FOLDERS = _names(".ssh .gnupg .aws .kube .docker .password-store")


def is_obeyed(path: str) -> bool:
    """Tell whether some program runs or obeys what is written there, without being asked."""
    steps = _steps(path)
    return bool(steps) and (steps[-1] in _OBEYED or not _OBEYED_FOLDERS.isdisjoint(steps))


def is_credential(path: str) -> bool:
    """Tell whether reading it may give a key or password away."""
    steps = _steps(path)
    return bool(steps) and (
        steps[-1] in _CREDENTIALS
        or steps[-1].startswith(".env.")
        or not _CREDENTIAL_FOLDERS.isdisjoint(steps)
    )


def _steps(path: str) -> list[str]:
    # Some file systems take `.GIT`, `.git.` or `.g<zero width>it` for `.git`.
    kept = (char for char in path if unicodedata.category(char) != "Cf")
    folded = unicodedata.normalize("NFKC", "".join(kept)).casefold()
    return [step.rstrip(". ") for step in folded.split("/") if step.strip(". ")]


# What git obeys in a repository, beside its hooks.
_IN_GIT = ("config", "config.worktree", "commondir", "info/attributes")
_DEPTH = 2
_MOST_FOLDERS = 2_000


class Watched:
    """What a program changes at the root of a workspace, or in a repository, that others obey.

    Repositories are looked for two folders deep, and in so many folders that it takes no time.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._before = dict(self._looked())

    @property
    def told(self) -> str:
        """A line that says what it changed since; empty where it changed nothing."""
        after = dict(self._looked())
        changed = sorted(name for name, state in after.items() if self._before.get(name) != state)
        if not changed:
            return ""
        listed = ", ".join(changed)
        return f"\n[it changed {listed}: git, a shell or an editor obeys this; look at it first]\n"

    def _looked(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        obeyed = [name for name in _listed(self._root) if is_obeyed(name)]
        for name in (*obeyed, *(each for git in self._repositories() for each in self._of(git))):
            try:
                found = (self._root / name).lstat()
            except OSError:
                continue
            # A folder changes with all that is in it: it counts as what was put there anew.
            state = () if stat.S_ISDIR(found.st_mode) else (found.st_mtime_ns, found.st_size)
            yield name, (found.st_ino, *state)

    def _of(self, git: str) -> Iterator[str]:
        yield from (f"{git}{name}" for name in _IN_GIT)
        yield from (f"{git}hooks/{name}" for name in _listed(self._root / f"{git}hooks"))

    def _repositories(self) -> Iterator[str]:
        """The folders that git takes for repositories, each with / at its end."""
        left = deque([("", 0)])
        for _ in range(_MOST_FOLDERS):
            if not left:
                return
            folder, depth = left.popleft()
            names = _listed(self._root / folder)
            if ".git" in names:
                yield f"{folder}.git/"
            if {"HEAD", "objects", "refs"} <= set(names):
                yield folder
            if depth < _DEPTH:
                inner = (f"{folder}{name}/" for name in names if name != ".git")
                left.extend((each, depth + 1) for each in inner if _is_folder(self._root / each))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []
