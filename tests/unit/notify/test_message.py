"""Messages: readable in two languages, harmless whoever wrote what is in them."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import spoofs
from notify_home import notice, templates

from localai.core.errors import Invalid
from localai.core.escape import is_hidden
from localai.core.redact import remember
from localai.notify.events import DIGEST, EVENTS
from localai.notify.message import OURS, Templates
from localai.notify.records import Message

LANGUAGES = ("en", "ko")
ALLOWED = {"html", "head", "meta", "title", "style", "body", "div", "p", "table", "tr", "td", "br"}
ALLOWED |= {"code", "pre", "span", "h2"}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.append("comment")


def _tags(message: Message) -> _Tags:
    parser = _Tags()
    parser.feed(message.html)
    return parser


def _spoofed(event: str, spoof: str, language: str) -> Message:
    changes = {
        "tool": spoof,
        "user_id": spoof,
        "by": spoof,
        "why": spoof,
        "reason": spoof,
        "cwd": spoof,
        "arguments": {spoof: spoof, "list": [spoof], "nested": {"a": spoof}},
    }
    if event == DIGEST:
        several = [notice(each, **changes) for each in EVENTS]
        return templates(language).strict("0" * 16, several)
    return templates(language).strict("0" * 16, [notice(event, **changes)])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", [*EVENTS, DIGEST])
def test_no_spoof_gets_through_a_template(event: str, language: str) -> None:
    """Nothing is obeyed, hidden or turned into a tag, in subject, text and HTML."""
    plain = _tags(_spoofed(event, "plain", language))
    for name, spoof in spoofs.ALL.items():
        message = _spoofed(event, spoof, language)
        for text in (message.subject, message.text, message.html):
            hidden = [char for char in text if char != "\n" and is_hidden(char)]
            assert hidden == [], name
        found = _tags(message)
        assert set(found.tags) <= ALLOWED, name
        assert found.tags.count("div") == plain.tags.count("div"), name
        assert not found.attributes & {"href", "src", "onclick", "style"}, name
        assert "{{" not in name or "{{ config }}" in message.text


@pytest.mark.parametrize("event", EVENTS)
def test_lookalikes_are_flagged(event: str) -> None:
    """In both parts of a mail."""
    message = templates("en").strict("0" * 16, [notice(event, cwd="/home/p\u0430ypal")])
    assert "mixes alphabets" in message.text
    assert "mixes alphabets" in message.html
    plain = templates("en").strict("0" * 16, [notice(event, cwd="/home/한글")])
    assert "mixes alphabets" not in plain.text


def test_a_message_holds_no_secret() -> None:
    """Neither by its shape, nor by a name, nor by its value."""
    remember("the-operators-value")
    arguments = {
        "password": "hunter2hunter2",
        "argv": ["curl", "-H", "Authorization: Bearer abcdefgh12345678"],
        "content": "x the-operators-value y",
        "url": "https://kim:swordfish@example.org/",
    }
    message = templates("en").strict(
        "0" * 16, [notice(arguments=arguments, reason="lai_ab_" + "c" * 40)]
    )
    whole = message.subject + message.text + message.html
    for secret in ("hunter2", "abcdefgh12345678", "the-operators-value", "swordfish", "c" * 40):
        assert secret not in whole
    assert whole.count("[redacted]") >= 8


def test_what_is_long_is_cut_and_says_so() -> None:
    """How much is missing stands beside it."""
    arguments = {"content": "x" * 1_000_000, **{f"name{n:02}": "y" for n in range(40)}}
    text = templates("en").strict("0" * 16, [notice(arguments=arguments)]).text
    assert "[... +999600]" in text
    assert "[+21]" in text
    assert len(text) < 4000


def test_a_models_words_are_labelled_and_only_while_somebody_decides() -> None:
    """They stand below the arguments, as nobody's knowledge but the model's."""
    claim = "This is harmless."
    asked = templates("en").strict("0" * 16, [notice(reason=claim)]).text
    assert asked.index(
        "What the model wrote about it (its own words, checked by nobody)"
    ) < asked.index(claim)
    assert asked.index("Arguments") < asked.index(claim)
    assert claim not in templates("en").strict("0" * 16, [notice("approved", reason=claim)]).text
    human = templates("en").strict("0" * 16, [notice(reason=claim, requester_kind="human")]).text
    assert "What the requester wrote" in human


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("event", EVENTS)
def test_text_and_html_say_the_same(event: str, language: str) -> None:
    """Whichever a reader shows."""
    message = templates(language).strict("0" * 16, [notice(event, why="wrong file")])
    seen = html.unescape(" ".join(_tags(message).text))
    for line in message.text.splitlines():
        value = re.split(": | = ", line, maxsplit=1)[-1].strip(" |-")
        assert " ".join(value.split()) in " ".join(seen.split()), line


@pytest.mark.parametrize("event", [*EVENTS, DIGEST])
def test_both_languages_tell_the_same_facts(event: str) -> None:
    """Ids, commands, arguments."""
    notices = [notice(event)] if event != DIGEST else [notice("requested"), notice("approved")]
    english, korean = (templates(each).strict("0" * 16, notices) for each in LANGUAGES)
    commands = re.findall(r"^  ai .*$", english.text, re.MULTILINE)
    assert commands == re.findall(r"^  ai .*$", korean.text, re.MULTILINE)
    assert english.text != korean.text
    assert "0" * 16 in english.text
    assert re.search("[가-힣]", korean.subject)
    assert not re.search("[가-힣]", english.subject)


def test_a_timeout_says_whether_anybody_had_decided() -> None:
    """Approved and not run is another thing than not decided."""
    asked = templates("en").strict("0" * 16, [notice("timeout", by="system")])
    unused = templates("en").strict("0" * 16, [notice("timeout", by="system", decided_by="kim")])
    assert "Nobody decided in time" in asked.text
    assert "was approved, but nobody ran it" in unused.text


def test_a_digest_lists_first_what_waits() -> None:
    """Its subject counts."""
    notices = [notice("approved"), notice("requested", number=1), notice("escalated", number=2)]
    message = templates("en").strict("0" * 16, notices)
    assert "3 messages about requests, 2 of them wait" in message.subject
    assert message.text.index(f"{1:016x}") < message.text.index(f"{0:016x}")


def test_the_operators_template_stands_in_the_place_of_ours(tmp_path: Path) -> None:
    """One file is enough; the shared layout can be extended."""
    (tmp_path / "requested").mkdir()
    (tmp_path / "requested" / "subject.txt").write_text("Bitte: {{ notices[0].tool }}")
    own = '{% extends "base.txt" %}{% block lead %}Hallo{% endblock %}'
    (tmp_path / "requested" / "body.txt").write_text(own)
    message = Templates(tmp_path, "en").strict("0" * 16, [notice()])
    assert message.subject == "Bitte: write_file"
    assert message.text.startswith("Hallo\n")
    assert "ai approve" in message.text


@pytest.mark.parametrize(
    "template",
    ["{{ nothing }}", "{% if %}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}", "{% include 'x' %}"],
)
def test_a_template_that_fails_is_named_and_ours_is_used(tmp_path: Path, template: str) -> None:
    """Nothing is lost for a slip of the operator's."""
    (tmp_path / "requested").mkdir()
    (tmp_path / "requested" / "subject.txt").write_text(template)
    made = Templates(tmp_path, "en")
    with pytest.raises(Invalid, match="requested/subject.txt does not work"):
        made.strict("0" * 16, [notice()])
    assert made.message("0" * 16, [notice()]).subject.startswith("[localai] write_file")


def test_a_template_of_the_operators_lets_no_control_character_through(tmp_path: Path) -> None:
    """Values are escaped before a template sees them."""
    (tmp_path / "requested").mkdir()
    own = "{{ notices[0].facts }}{{ notices[0].tool | safe }}"
    (tmp_path / "requested" / "body.html").write_text(own)
    message = Templates(tmp_path, "en").strict("0" * 16, [notice(tool="a\x1b[2Jb\u202e")])
    assert not any(is_hidden(char) for char in message.html)


def test_html_fetches_nothing_and_knows_light_and_dark() -> None:
    """A mail that loads an image tells its sender when it was read."""
    base = (OURS / "base.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|<img|<link|<script|@import", base)
    assert "prefers-color-scheme: dark" in base
    assert '<meta name="color-scheme" content="light dark">' in base
