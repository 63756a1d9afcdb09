"""The OS keyring: trusted only by name and by proof, and its failures told."""

import keyring
import pytest
from keyring.backends import chainer, fail
from memory_keyring import MemoryKeyring, TrustedMemoryKeyring

from localai.core.errors import Unavailable
from localai.core.keychain import Keychain, is_usable


def test_a_value_is_kept_found_and_forgotten(backend: TrustedMemoryKeyring) -> None:
    """Under the service name of this home."""
    keychain = Keychain("localai-suite:aaaa")
    keychain.put("smtp-password", "hidden")
    assert keychain.find("smtp-password") == "hidden"
    assert backend.values == {("localai-suite:aaaa", "smtp-password"): "hidden"}
    keychain.remove("smtp-password")
    assert keychain.find("smtp-password") is None


def test_homes_do_not_see_each_others_values(backend: TrustedMemoryKeyring) -> None:
    """One keyring, one service name for each home."""
    Keychain("localai-suite:aaaa").put("smtp-password", "hidden")
    assert Keychain("localai-suite:bbbb").find("smtp-password") is None


def test_forgetting_what_is_not_there_is_harmless(backend: TrustedMemoryKeyring) -> None:
    """It may have been removed with the desktop's own program."""
    Keychain("localai-suite:aaaa").remove("smtp-password")
    assert backend.values == {}


@pytest.mark.parametrize("verb", ["find", "put", "remove"])
def test_a_locked_keyring_is_unavailable(backend: TrustedMemoryKeyring, verb: str) -> None:
    """The hint says to unlock it."""
    backend.is_locked = True
    arguments = ("smtp-password", "hidden")[: 2 if verb == "put" else 1]
    with pytest.raises(Unavailable, match="the OS keyring does not answer") as caught:
        getattr(Keychain("localai-suite:aaaa"), verb)(*arguments)
    assert "unlock it" in (caught.value.hint or "")


def test_a_trusted_keyring_that_works_is_usable(backend: TrustedMemoryKeyring) -> None:
    """It was written to, read and cleaned."""
    assert is_usable()
    assert backend.values == {}


@pytest.mark.parametrize("trouble", ["is_locked", "is_read_only"])
def test_a_trusted_keyring_that_does_not_work_is_not(
    backend: TrustedMemoryKeyring, trouble: str
) -> None:
    """A name proves nothing."""
    setattr(backend, trouble, True)
    assert not is_usable()


def test_a_backend_that_is_not_trusted_is_never_written_to(backend: TrustedMemoryKeyring) -> None:
    """It may keep plain text: the proof itself would be a leak of habits."""
    other = MemoryKeyring()
    keyring.set_keyring(other)
    assert not is_usable()
    assert other.calls == 0


def test_no_backend_at_all_is_not_usable(backend: TrustedMemoryKeyring) -> None:
    """Servers and containers have none."""
    keyring.set_keyring(fail.Keyring())
    assert not is_usable()


def test_a_chain_with_a_trusted_link_is_usable(
    backend: TrustedMemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As keyring builds it where several backends are installed."""
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [backend])
    keyring.set_keyring(chainer.ChainerBackend())
    assert is_usable()


def test_a_backend_that_cannot_be_made_is_not_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is misspelt in the environment stops nobody."""
    before = keyring.get_keyring()
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "no.such.Backend")
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    assert not is_usable()
    keyring.set_keyring(before)


def test_a_keyring_without_its_bus_is_not_usable(backend: TrustedMemoryKeyring) -> None:
    """Backends pass on what lies below them, which is no error of keyring's own."""
    backend.is_away = True
    assert not is_usable()
    with pytest.raises(Unavailable, match="the OS keyring does not answer"):
        Keychain("localai-suite:aaaa").find("smtp-password")
