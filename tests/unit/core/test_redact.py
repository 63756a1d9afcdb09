"""Secrets are taken out of text, by shape and by value."""

import pytest

from localai.core.redact import MARK, redact, redact_all, remember

CANARY = "c4n4ry-hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"lai_k3y1d_{CANARY}_abcdef",
        "sk-proj-Abc_123-c4n4ry-hunter2xyz",
        "ghp_c4n4ryhunter2hunter2",
        "hf_c4n4ryhunter2hunter2",
        "AKIAC4N4RYHUNTER2XXX",
        "xoxb-1234-c4n4ry-hunter2",
        f"https://hooks.slack.com/services/T0/B0/{CANARY}",
        f"Authorization: Bearer {CANARY}",
        f"authorization: basic {CANARY}==",
        f"postgresql://ai:{CANARY}@db/ai",
        f"redis://:{CANARY}@db",
        f"password={CANARY}",
        f"PASSWORD: {CANARY}",
        f'{{"smtp_password": "{CANARY} with spaces"}}',
        f'{{"apiKey": "quote\\" {CANARY}"}}',
        f"--api-key='{CANARY} two'",
        f"LOCALAI_PASSPHRASE={CANARY}",
        f"LOCALAI_SECRET_TOKEN={CANARY}&next=1",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{CANARY} cut off",
        f"-----BEGIN PGP PRIVATE KEY BLOCK-----\n{CANARY}\n-----END PGP PRIVATE KEY BLOCK-----",
        f"Authorization: Token {CANARY}",
        f'{{"Authorization": "AWS4-HMAC-SHA256 Credential=x/{CANARY}"}}',
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c4n4ry-hunter2",
        f"otpauth://totp/localai:jun?secret={CANARY}&issuer=localai",
        "github_pat_11ABC_c4n4ryhunter2hunter2",
        "glpat-c4n4ryhunter2hunter2",
        "rk_live_c4n4ryhunter2hunter2",
        "xapp-1-c4n4ryhunter2hunter2",
        "npm_c4n4ryhunter2hunter2",
        "AIzaC4n4ryHunter2Hunter2Hunter2Hunter2",
        "ASIAC4N4RYHUNTER2XXX",
        f"aws_secret_access_key = {CANARY}/x+y",
        f"SECRET_KEY={CANARY}",
        f"https://hooks.slack-gov.com/services/T0/B0/{CANARY}",
        f"smtp://ai:p@{CANARY}@mail.example.org:587",
        f"https://jun:{CANARY}@example.org/path@x",
        f"AUTH PLAIN {CANARY.encode().hex()}hunter2",
        f"curl --password {CANARY} --verbose",
        f"Set-Cookie: {CANARY}; Path=/",
    ],
)
def test_a_secret_is_known_by_its_shape(text: str) -> None:
    """Nothing of it stays, and the place is marked."""
    shown = redact(text)
    assert MARK in shown
    assert "hunter2" not in shown.lower()


@pytest.mark.parametrize(
    "text",
    [
        "the secret smtp-password is not set",
        "hint: ai secrets set smtp-password",
        "1200 tokens, 35 tokens/s",
        "risk-management-framework-overview.md",
        "3f2a9c0b11d2e3f43f2a9c0b11d2e3f4",
        "https://example.org/path?page=2",
        "the tokenizer: bpe",
        "skeleton-framework-overview-and-more.md",
        "ssh://git@example.org/repository",
        "3F2A9C0B11D2E3F43F2A9C0B11D2E3F4",
        "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "ai users totp new",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A log that redacts everything tells nothing."""
    assert redact(text) == text


def test_what_stands_around_a_secret_stays() -> None:
    """The reader sees what was said."""
    assert redact("user=jun password=x123 host=db") == f"user=jun password={MARK} host=db"
    assert redact("to postgresql://ai:pw@db/ai now") == f"to postgresql://ai:{MARK}@db/ai now"


def test_a_value_once_known_is_taken_out_everywhere() -> None:
    """Whatever its shape."""
    remember("plain words")
    assert redact("said 'plain words' twice: plain words") == f"said '{MARK}' twice: {MARK}"


def test_a_secret_that_contains_another_is_taken_out_whole() -> None:
    """In whichever order they were learned."""
    remember("horse")
    remember("horse battery")
    remember("correct horse battery")
    assert redact("correct horse battery") == MARK


@pytest.mark.parametrize("value", ["", "a", "abc"])
def test_a_value_that_is_no_secret_is_not_remembered(value: str) -> None:
    """Or every text with that letter would be unreadable."""
    remember(value)
    assert redact("abacus abc") == "abacus abc"


def test_structures_are_redacted_at_every_depth() -> None:
    """Texts by what they hold, anything by the name that points at it."""
    remember('quote"and\\slash')
    found = redact_all(
        {
            "a": [{"text": 'is quote"and\\slash'}, ("Bearer abcdefgh12345", 5)],
            "smtp_password": CANARY,
            "api-key": {"value": CANARY},
            "token": None,
            "max_tokens": 256,
        }
    )
    assert found == {
        "a": [{"text": f"is {MARK}"}, [MARK, 5]],
        "smtp_password": MARK,
        "api-key": MARK,
        "token": None,
        "max_tokens": 256,
    }


def test_a_word_of_a_thousand_parts_is_read_once() -> None:
    """The pattern looks for a name from the word's beginning, not from each of its parts."""
    parts = "a-" * 200_000
    assert redact(f"{parts}password=hidden") == f"{parts}password={MARK}"
    assert redact(parts) == parts


@pytest.mark.parametrize(
    "piece",
    [
        *("lai_", "lai_a", "sk-", "sk_sk", "eyJ", "eyJaaaaaaaa.", "eyJ-", "AKIA", "AIza", "A", "2"),
        *("://", "://a:", "://a:b@", ":@", "-", "--", "-----BEGIN ", "-----BEGIN A ", "a-"),
        *("-----BEGIN PRIVATE KEY-----", "bearer ", "bearer", "basic\n", "auth ", "auth plain "),
        *(
            "authorization",
            "authorization:",
            "authorization: ",
            "token",
            "token ",
            "token:",
            "secret_",
        ),
        *(
            "--token",
            "--token ",
            "private-",
            "secret-access-",
            "password'",
            'password="\\',
            " ",
            "\n",
        ),
        *("otpauth", "github_pat_", "x", "password" + " " * 1000, "bearer" + " " * 1000),
    ],
)
def test_a_hostile_text_of_a_megabyte_is_read_once(piece: str) -> None:
    """A pattern that went over it again and again would not come to its end here."""
    redact(piece * (1_000_000 // len(piece)) + ",")
