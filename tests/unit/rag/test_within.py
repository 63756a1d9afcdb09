"""What may be indexed of a folder for whoever asks, and what not."""

from pathlib import Path

import pytest

from localai.core.errors import Denied, Invalid
from localai.rag.places import Tree
from localai.rag.sources import Refused, Source
from localai.rag.within import Within


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace beside which a secret lies, reached through a link of its own."""
    workspace = tmp_path / "real" / "workspace"
    (workspace / "docs" / "deep").mkdir(parents=True)
    (workspace / "docs" / "a.md").write_text("a")
    (workspace / ".ssh").mkdir()
    (workspace / ".ssh" / "id_rsa").write_text("key")
    (tmp_path / "real" / "secret").mkdir()
    (tmp_path / "real" / "secret" / "key.txt").write_text("key")
    (workspace / "out").symlink_to(tmp_path / "real" / "secret")
    (workspace / "docs" / "key.txt").symlink_to(tmp_path / "real" / "secret" / "key.txt")
    (workspace / "inner").symlink_to("docs")
    (workspace / "shown").symlink_to(".ssh")
    (tmp_path / "through").symlink_to(tmp_path / "real")
    return tmp_path / "through" / "workspace"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (".", ""),
        ("docs", "docs"),
        ("docs/a.md", "docs/a.md"),
        ("docs/../docs/deep", "docs/deep"),
        ("inner/a.md", "docs/a.md"),
        ("not/there", "not/there"),
        ("~/a", "~/a"),
    ],
)
def test_what_lies_in_the_folder_is_found_as_it_is(folder: Path, text: str, place: str) -> None:
    """Links that stay inside are followed."""
    assert Within(folder, ()).place(text) == folder.resolve() / place


def test_a_whole_path_may_be_given(folder: Path) -> None:
    """By the folder's name or by its real one."""
    for top in (folder, folder.resolve()):
        assert Within(folder, ()).place(str(top / "docs")) == folder.resolve() / "docs"


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "..",
        "../secret/key.txt",
        "docs/../../secret",
        "out",
        "out/key.txt",
        "out/../secret/key.txt",
        "docs/key.txt",
        "not/../../secret",
        "/",
        "../workspace2",
        ".ssh/id_rsa",
        ".ssh",
        "shown/id_rsa",
        "docs/.git",
        "node_modules/x",
    ],
)
def test_what_leads_out_or_is_hidden_is_denied(folder: Path, text: str) -> None:
    """Whether it is there or not, and whatever leads there."""
    with pytest.raises(Denied):
        Within(folder, ()).place(text)


@pytest.mark.parametrize("text", ["a\0b", "x" * 300, "docs/*.md", "[a]", "loop/a"])
def test_what_is_no_path_is_told_so(folder: Path, text: str) -> None:
    """A pattern is none either."""
    (folder / "loop").symlink_to("loop")
    with pytest.raises((Invalid, Denied)):
        Within(folder, ()).place(text)


def test_what_is_localais_own_is_denied_wherever_it_lies(folder: Path) -> None:
    """Named itself, or met by who reads the folder above; hidden ones are never met."""
    own = [folder / "home" / "keys", folder / ".home"]
    within = Within(folder, own)
    for text in (".", "home", "home/keys", "home/keys/audit.key"):
        with pytest.raises(Denied):
            within.place(text)
    assert within.place("docs") == folder.resolve() / "docs"
    assert Within(folder, own[1:]).place(".") == folder.resolve()


def test_a_link_that_is_put_there_meanwhile_is_not_followed(folder: Path) -> None:
    """Between finding a file and reading it, the folder above becomes a link that leads out."""
    real = folder.resolve()
    (real / "docs" / "deep" / "key.txt").write_text("mine")
    tree = Tree(real / "docs", real, real, True, lambda _: None)
    leads = tree.find(())
    assert "mine" in [found.text for lead in leads if isinstance(found := lead(), Source)]
    (real / "docs" / "deep").rename(real / "docs" / "was")
    (real / "docs" / "deep").symlink_to(real.parent / "secret")
    found = [lead() for lead in leads]
    assert [each.text for each in found if isinstance(each, Source)] == ["a"]
    assert any(isinstance(each, Refused) and each.is_error for each in found)
