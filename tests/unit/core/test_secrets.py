"""Secrets: where they come from, where they rest, and where they never appear."""

import subprocess
import sys

import pytest
from memory_keyring import TrustedMemoryKeyring

from localai.core.directories import Directories
from localai.core.errors import Denied, Invalid, NotFound, Unavailable
from localai.core.redact import redact
from localai.core.secrets import NAMES, Secrets

CANARY = "canary value 7d1f"
FROM_ENVIRONMENT = {"LOCALAI_SECRET_SMTP_PASSWORD": "from the environment"}


def test_a_kept_secret_is_found(home: Directories) -> None:
    """By another process of the same home."""
    Secrets(home, {}).put("smtp-password", CANARY)
    assert Secrets(home, {}).get("smtp-password") == CANARY


def test_the_environment_wins_over_the_store(home: Directories) -> None:
    """As a container or a service unit sets it."""
    Secrets(home, {}).put("smtp-password", CANARY)
    assert Secrets(home, FROM_ENVIRONMENT).get("smtp-password") == "from the environment"


def test_the_environment_alone_needs_no_store(home: Directories) -> None:
    """Nothing is written for it."""
    assert Secrets(home, FROM_ENVIRONMENT).find("smtp-password") == "from the environment"
    assert not home.keys.exists()


def test_a_secret_that_is_not_set_is_unavailable(home: Directories) -> None:
    """The hint is the command that sets it."""
    with pytest.raises(Unavailable, match="smtp-password is not set") as caught:
        Secrets(home, {}).get("smtp-password")
    assert caught.value.hint == "ai secrets set smtp-password"
    assert Secrets(home, {}).find("smtp-password") is None


def test_a_forgotten_secret_is_gone(home: Directories) -> None:
    """Forgetting it again is not found."""
    secrets = Secrets(home, {})
    secrets.put("smtp-password", CANARY)
    secrets.remove("smtp-password")
    assert secrets.find("smtp-password") is None
    with pytest.raises(NotFound, match="no stored secret smtp-password"):
        secrets.remove("smtp-password")


def test_nothing_is_stored_to_be_forgotten_in_a_new_home(home: Directories) -> None:
    """And no store is made to find that out."""
    with pytest.raises(NotFound):
        Secrets(home, {}).remove("smtp-password")
    assert not home.keys.exists()


def test_an_empty_value_is_refused(home: Directories) -> None:
    """An empty password looks like one that works."""
    with pytest.raises(Invalid, match="an empty value for smtp-password"):
        Secrets(home, {}).put("smtp-password", "")


@pytest.mark.parametrize("verb", ["find", "get", "remove", "put"])
def test_an_unknown_name_is_refused(home: Directories, verb: str) -> None:
    """Our own keys cannot be read or replaced by naming them."""
    arguments = ("audit-key", "value")[: 2 if verb == "put" else 1]
    with pytest.raises(Invalid, match="no secret is called 'audit-key'") as caught:
        getattr(Secrets(home, {}), verb)(*arguments)
    assert all(name in (caught.value.hint or "") for name in NAMES)


def test_every_secret_is_listed_with_its_source_and_never_its_value(home: Directories) -> None:
    """From the environment, from the store, or from nowhere."""
    secrets = Secrets(home, FROM_ENVIRONMENT)
    secrets.put("webhook-key", CANARY)
    listed = {secret.name: secret.source for secret in secrets.all()}
    assert listed.keys() == NAMES.keys()
    assert listed["smtp-password"] == "LOCALAI_SECRET_SMTP_PASSWORD"
    assert listed["webhook-key"] == "file"
    assert listed["qdrant-api-key"] is None
    assert CANARY not in repr(secrets.all())


def test_a_key_of_ours_is_made_once(home: Directories) -> None:
    """256 bits, the same in every process, another for every name."""
    key = Secrets(home, {}).key("audit-key")
    assert len(key) == 32
    assert Secrets(home, {}).key("audit-key") == key
    assert Secrets(home, {}).key("pepper") != key


def test_two_processes_make_one_key(home: Directories) -> None:
    """Four ask at the same time for the first one."""
    script = (
        "import sys; from pathlib import Path; from localai.core.directories import locate; "
        "from localai.core.secrets import Secrets; "
        "print(Secrets(locate(Path(sys.argv[1])), {}).key('audit-key').hex())"
    )
    command = [sys.executable, "-c", script, str(home.config)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    keys = {process.communicate()[0] for process in processes}
    assert len(keys) == 1
    assert len(keys.pop().strip()) == 64


def test_secrets_kept_at_the_same_time_are_all_kept(home: Directories) -> None:
    """Six processes, six names, one file."""
    script = (
        "import sys; from pathlib import Path; from localai.core.directories import locate; "
        "from localai.core.secrets import Secrets; "
        "Secrets(locate(Path(sys.argv[1])), {}).put(sys.argv[2], 'value of ' + sys.argv[2])"
    )
    command = [sys.executable, "-c", script, str(home.config)]
    processes = [subprocess.Popen([*command, name]) for name in NAMES]
    assert [process.wait() for process in processes] == [0] * len(NAMES)
    secrets = Secrets(home, {})
    assert {name: secrets.find(name) for name in NAMES} == {
        name: f"value of {name}" for name in NAMES
    }


def test_a_named_home_never_touches_the_keyring(
    home: Directories, backend: TrustedMemoryKeyring
) -> None:
    """Not even to look whether there is one."""
    secrets = Secrets(home, {})
    secrets.put("smtp-password", CANARY)
    secrets.key("audit-key")
    secrets.all()
    assert (secrets.kind, backend.calls) == ("file", 0)


def test_a_desktop_keeps_secrets_in_its_keyring(
    desktop: Directories, backend: TrustedMemoryKeyring
) -> None:
    """Under a service name of this home's own, and nowhere else."""
    secrets = Secrets(desktop, {})
    secrets.put("smtp-password", CANARY)
    assert secrets.kind == "keyring"
    assert list(backend.values.values()) == [CANARY]
    assert {file.name for file in desktop.keys.iterdir()} == {"store", "lock"}
    assert Secrets(desktop, {}).get("smtp-password") == CANARY


def test_a_desktop_without_a_keyring_uses_the_file(
    desktop: Directories, backend: TrustedMemoryKeyring
) -> None:
    """A server, a container, WSL: it works unasked."""
    backend.is_locked = True
    secrets = Secrets(desktop, {})
    secrets.put("smtp-password", CANARY)
    assert (secrets.kind, secrets.get("smtp-password")) == ("file", CANARY)


def test_a_store_once_chosen_stays(desktop: Directories, backend: TrustedMemoryKeyring) -> None:
    """A keyring that is away for a moment never leads to a second set of keys."""
    Secrets(desktop, {}).key("audit-key")
    backend.is_locked = True
    with pytest.raises(Unavailable, match="the OS keyring does not answer"):
        Secrets(desktop, {}).key("audit-key")
    with pytest.raises(Unavailable):
        Secrets(desktop, {"LOCALAI_PASSPHRASE": "later"}).key("audit-key")
    assert Secrets(desktop, {}).kind == "keyring"


def test_a_file_once_chosen_stays_when_a_passphrase_appears(home: Directories) -> None:
    """The variable chooses a store at the first key only."""
    key = Secrets(home, {}).key("audit-key")
    later = Secrets(home, {"LOCALAI_PASSPHRASE": "later"})
    assert (later.key("audit-key"), later.kind) == (key, "file")


def test_a_passphrase_locks_the_secrets(home: Directories) -> None:
    """Without it they are unavailable, with another one denied."""
    right = {"LOCALAI_PASSPHRASE": "right"}
    Secrets(home, right).put("smtp-password", CANARY)
    assert Secrets(home, right).get("smtp-password") == CANARY
    with pytest.raises(Unavailable, match="locked with a passphrase"):
        Secrets(home, {}).get("smtp-password")
    with pytest.raises(Denied):
        Secrets(home, {"LOCALAI_PASSPHRASE": "wrong"}).get("smtp-password")


def test_a_value_once_known_is_redacted_wherever_it_is_written(home: Directories) -> None:
    """Whether it was kept or only read."""
    Secrets(home, {}).put("smtp-password", "kept-canary-1")
    Secrets(home, {"LOCALAI_SECRET_WEBHOOK_KEY": "read-canary-2"}).find("webhook-key")
    assert redact("login kept-canary-1, sign read-canary-2") == "login [redacted], sign [redacted]"


def test_no_value_appears_in_a_representation_or_an_error(home: Directories) -> None:
    """What a traceback would print."""
    secrets = Secrets(home, {"LOCALAI_PASSPHRASE": "right"})
    secrets.put("smtp-password", CANARY)
    wrong = Secrets(home, {"LOCALAI_PASSPHRASE": "wrong-canary"})
    with pytest.raises(Denied) as caught:
        wrong.get("smtp-password")
    told = f"{caught.value!r} {caught.value.causes} {caught.value.hint} {secrets!r} {wrong!r}"
    assert CANARY not in told
    assert "wrong-canary" not in told
    assert CANARY.encode() not in b"".join(file.read_bytes() for file in home.keys.iterdir())
