"""Names that are more than files."""

import pytest

from localai.agent.builtin.sensitive import is_credential, is_obeyed


@pytest.mark.parametrize(
    "path",
    [
        ".git/hooks/pre-commit",
        "sub/.git/config",
        ".GIT/config",
        ".git./config",
        ".g\u200cit/config",
        "./.git/config",
        ".\uff47it/config",
        ".bashrc",
        "deep/.zshrc",
        ".ssh/authorized_keys",
        ".config/autostart/x.desktop",
        ".vscode/tasks.json",
        ".mcp.json",
        "Library/LaunchAgents/x.plist",
        "sitecustomize.py",
    ],
)
def test_what_runs_by_itself_is_known_in_every_spelling(path: str) -> None:
    """Case, trailing dots, zero-width and full-width letters hide nothing."""
    assert is_obeyed(path)


@pytest.mark.parametrize("path", ["notes.txt", "git/config", "bashrc", "src/main.py", ".", ""])
def test_ordinary_files_are_ordinary(path: str) -> None:
    """The critical risk is kept for what deserves it."""
    assert not is_obeyed(path)
    assert not is_credential(path)


@pytest.mark.parametrize("path", [".env", ".env.local", ".ssh/id_ed25519", ".aws/x", "a/.netrc"])
def test_credentials_are_known(path: str) -> None:
    """Reading them gives something away."""
    assert is_credential(path)
