"""The encrypted file: what it protects, and what happens without its key."""

import json
import stat
from pathlib import Path

import pytest

from localai.core.errors import Denied, Unavailable
from localai.core.vault import Vault

VALUE = "correct horse 비밀번호 battery"


@pytest.fixture(params=[None, "a passphrase"], ids=["key file", "passphrase"])
def passphrase(request: pytest.FixtureRequest) -> str | None:
    """Both kinds of vault."""
    return request.param


def test_a_value_is_kept_for_the_next_opening(tmp_path: Path, passphrase: str | None) -> None:
    """Another process finds it."""
    Vault(tmp_path, passphrase).put("smtp-password", VALUE)
    assert Vault(tmp_path, passphrase).find("smtp-password") == VALUE


def test_a_value_is_forgotten(tmp_path: Path, passphrase: str | None) -> None:
    """The others stay; forgetting it twice is harmless."""
    vault = Vault(tmp_path, passphrase)
    vault.put("smtp-password", VALUE)
    vault.put("webhook-key", "other")
    vault.remove("smtp-password")
    vault.remove("smtp-password")
    assert (vault.find("smtp-password"), vault.find("webhook-key")) == (None, "other")


def test_no_value_stands_in_any_file(tmp_path: Path, passphrase: str | None) -> None:
    """Neither values nor the passphrase, and nobody else can read even the tokens."""
    Vault(tmp_path, passphrase).put("smtp-password", VALUE)
    files = list(tmp_path.iterdir())
    assert len(files) == 2
    for file in files:
        assert VALUE.encode() not in file.read_bytes()
        assert b"a passphrase" not in file.read_bytes()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_vault_says_its_kind(tmp_path: Path) -> None:
    """The doctor explains what each protects from."""
    assert Vault(tmp_path / "a", None).kind == "file"
    assert Vault(tmp_path / "b", "a passphrase").kind == "passphrase"


def test_no_value_shows_in_its_representation(tmp_path: Path) -> None:
    """A traceback with locals shows objects, not passphrases."""
    assert "a passphrase" not in repr(vars(Vault(tmp_path, "a passphrase")))


def test_a_wrong_passphrase_opens_nothing(tmp_path: Path) -> None:
    """The refusal names the variable to check."""
    Vault(tmp_path, "right").put("smtp-password", VALUE)
    with pytest.raises(Denied, match="does not open its secrets") as caught:
        Vault(tmp_path, "wrong").find("smtp-password")
    assert "LOCALAI_PASSPHRASE" in (caught.value.hint or "")


def test_a_wrong_passphrase_adds_nothing(tmp_path: Path) -> None:
    """Or the file would hold values of two keys."""
    Vault(tmp_path, "right").put("smtp-password", VALUE)
    before = (tmp_path / "secrets.json").read_bytes()
    with pytest.raises(Denied):
        Vault(tmp_path, "wrong").put("webhook-key", "other")
    assert (tmp_path / "secrets.json").read_bytes() == before


def test_a_changed_token_is_refused(tmp_path: Path) -> None:
    """The file is authenticated, not only hidden."""
    vault = Vault(tmp_path, None)
    vault.put("smtp-password", VALUE)
    file = tmp_path / "secrets.json"
    token = json.loads(file.read_text())["smtp-password"]
    file.write_text(json.dumps({"smtp-password": token[:-4] + "AAA="}))
    with pytest.raises(Denied):
        vault.find("smtp-password")


@pytest.mark.parametrize("name", ["secrets.key", "secrets.salt"])
def test_a_lost_key_is_told_and_never_replaced(tmp_path: Path, name: str) -> None:
    """A new one would make the loss final."""
    passphrase = "a passphrase" if name == "secrets.salt" else None
    Vault(tmp_path, passphrase).put("smtp-password", VALUE)
    (tmp_path / name).unlink()
    with pytest.raises(Unavailable, match=f"{name} is gone"):
        Vault(tmp_path, passphrase)
    assert not (tmp_path / name).exists()


def test_a_cut_key_file_is_told(tmp_path: Path) -> None:
    """As a full disk or a bad copy leaves it."""
    Vault(tmp_path, None).put("smtp-password", VALUE)
    (tmp_path / "secrets.key").write_bytes(b"short")
    with pytest.raises(Unavailable, match="is damaged"):
        Vault(tmp_path, None)


def test_a_damaged_file_is_told_and_kept(tmp_path: Path) -> None:
    """Putting a value in would lose the others."""
    vault = Vault(tmp_path, None)
    (tmp_path / "secrets.json").write_text("{cut")
    with pytest.raises(Unavailable, match="cannot be read"):
        vault.put("smtp-password", VALUE)
    assert (tmp_path / "secrets.json").read_text() == "{cut"
