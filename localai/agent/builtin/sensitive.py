"""Names in a workspace that are more than files: what runs later by itself, and credentials."""

import unicodedata


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
