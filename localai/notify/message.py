"""From notices to a message: a folder of templates an event, words in two languages.

Every text that somebody else wrote passes core.escape before a template sees it, so that no
template, ours or the operator's, can let a control or format character through. The operator's
templates run in Jinja's sandbox; where one fails, ours takes its place.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from localai.core import log
from localai.core.errors import Invalid
from localai.core.escape import is_mixed_script, visible
from localai.core.redact import redact
from localai.notify.events import ALERT, DIGEST, RISKS
from localai.notify.records import Message, Notice

OURS: Final = Path(__file__).with_name("templates")
_PARTS: Final = ("subject.txt", "body.txt", "body.html")
_MOST_SUBJECT: Final = 150
_MOST_NAME: Final = 60
_COMMANDS: Final = {
    "requested": ("ai approvals show {}", "ai approve {}", "ai reject {}"),
    "escalated": ("ai approvals show {}", "ai approve {}", "ai reject {}"),
    "approved": ("ai approvals show {}",),
    "rejected": ("ai approvals show {}",),
    "timeout": ("ai approvals show {}", "ai approvals renew {}"),
}


class Templates:
    """Our templates, and the operator's in `own` that stand in their place."""

    def __init__(self, own: Path, language: str) -> None:
        self._own = own
        self._language = language

    def message(self, message_id: str, notices: Sequence[Notice]) -> Message:
        """The message of these notices, by our own templates where the operator's fail."""
        try:
            return self.strict(message_id, notices)
        except Invalid as error:
            log.write("notify.template", error=error.message)
            return self._made(self._shipped, message_id, notices)

    def strict(self, message_id: str, notices: Sequence[Notice]) -> Message:
        """The same; Invalid says what is wrong with the operator's templates."""
        return self._made(self._chosen, message_id, notices)

    def _made(
        self, environment: jinja2.Environment, message_id: str, notices: Sequence[Notice]
    ) -> Message:
        event = notices[0].event if len(notices) == 1 else DIGEST
        words = self._words
        context = {
            "words": words,
            "language": self._language,
            "event": event,
            "risk": max((each.risk for each in notices), key=RISKS.index),
            "notices": [view(each, words) for each in notices],
        }
        subject, text, html = (_filled(environment, f"{event}/{part}", context) for part in _PARTS)
        line = visible(" ".join(subject.split()))[:_MOST_SUBJECT]
        return Message(message_id, event, line, visible(text, lines=True), html, tuple(notices))

    @cached_property
    def _words(self) -> dict[str, Any]:
        name = f"words-{self._language}.toml"
        return tomllib.loads((OURS / name).read_text(encoding="utf-8"))

    @cached_property
    def _chosen(self) -> jinja2.Environment:
        return _environment(self._own, OURS)

    @cached_property
    def _shipped(self) -> jinja2.Environment:
        return _environment(OURS)


def view(notice: Notice, words: Mapping[str, Any]) -> dict[str, Any]:
    """What a template may say of a notice: every text escaped, labels and times for people."""
    told, event = notice.told, notice.event
    if event == ALERT:
        return _alert(notice, words)
    plain = {
        "id": notice.approval,
        "tool": _named(told["tool"]),
        "user": _named(told["user_id"]),
        "by": _named(told.get("by") or ""),
        "risk": words["risk"][notice.risk],
    }
    kind = told["requester_kind"]
    plain |= {name: words[name][kind] % plain for name in ("who", "asks")}
    said = words[event]
    lead = "unused" if event == "timeout" and told.get("decided_by") else "lead"
    is_open = event in {"requested", "escalated"}
    return {
        **plain,
        "event": event,
        "level": notice.risk,
        "is_open": is_open,
        "section": "open" if is_open else "settled",
        "heading": words["arguments"],
        "word": said["word"],
        "subject": said["subject"] % plain,
        "lead": said[lead] % plain,
        "facts": list(_facts(told, plain, words["label"], is_open=is_open)),
        "arguments": [(_shown(name), _shown(text)) for name, text in told["arguments"]],
        "claim": _shown(told["reason"]) if is_open else "",
        "claims": words["claims"][kind],
        "is_mixed": any(map(is_mixed_script, _texts(told))),
        "commands": [command.format(notice.approval) for command in _COMMANDS[event]],
    }


def _alert(notice: Notice, words: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a group of alerts."""
    told, said = notice.told, words[ALERT]
    plain = {
        "id": notice.approval,
        "tool": _named(told["tool"]),
        "user": _named(told["user_id"]),
        "by": "",
        "risk": words["risk"][notice.risk],
    }
    state = said[told["status"]]
    texts = [told["summary"], told["runbook"], told["since"]]
    return {
        **plain,
        "who": plain["user"],
        "asks": plain["user"],
        "event": notice.event,
        "level": notice.risk,
        "is_open": False,
        "section": ALERT,
        "heading": said["labels"],
        "word": state["word"],
        "subject": state["subject"] % plain,
        "lead": state["lead"] % plain,
        "facts": list(_alert_facts(told, plain, said | state)),
        "arguments": [(_shown(name), _shown(text)) for name, text in told["arguments"]],
        "claim": _shown(told["reason"]),
        "claims": said["claims"],
        "is_mixed": any(map(is_mixed_script, (*texts, *_written(told)))),
        "commands": [],
    }


def _alert_facts(
    told: Mapping[str, Any], plain: Mapping[str, str], said: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    yield said["name"], plain["tool"]
    yield said["severity"], plain["risk"]
    yield said["state"], said["word"]
    yield said["sender"], plain["user"]
    if told["summary"]:
        yield said["summary"], _shown(told["summary"])
    yield said["since"], _shown(told["since"])
    yield said["count"], str(told["alerts"])
    if told["runbook"]:
        yield said["runbook"], _shown(told["runbook"])
    yield said["group"], plain["id"]


def _facts(
    told: Mapping[str, Any], plain: Mapping[str, str], label: Mapping[str, str], *, is_open: bool
) -> Iterator[tuple[str, str]]:
    yield label["tool"], plain["tool"]
    yield label["risk"], plain["risk"]
    yield label["who"], plain["who"]
    yield label["workspace"], _shown(told["workspace"])
    if is_open:
        yield label["expires"], _moment(told["expires_us"])
    elif told.get("why") and plain["by"] != "system":
        yield label["why"], _shown(told["why"])
    yield label["id"], plain["id"]
    yield label["digest"], told["action_sha256"][:16]


def _texts(told: Mapping[str, Any]) -> list[str]:
    return [told["workspace"], *_written(told)]


def _written(told: Mapping[str, Any]) -> list[str]:
    """What somebody else wrote, of a request and of an alert alike."""
    names = [each for pair in told["arguments"] for each in pair]
    return [told["tool"], told["user_id"], told["reason"], *names]


def _shown(text: str) -> str:
    return visible(redact(text))


def _named(text: str) -> str:
    shown = _shown(text)
    return shown if len(shown) <= _MOST_NAME else f"{shown[:_MOST_NAME]}..."


def _moment(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us / 1_000_000).astimezone():%Y-%m-%d %H:%M:%S %z}"


def _environment(*folders: Path) -> jinja2.Environment:
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader([str(folder) for folder in folders]),
        autoescape=lambda name: name is None or name.endswith(".html"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _filled(environment: jinja2.Environment, name: str, context: Mapping[str, Any]) -> str:
    try:
        return environment.get_template(name).render(context)
    # The operator's template is a program: whatever it raises, it does not work.
    except Exception as error:
        where = f", line {error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        message = f"the template {name} does not work{where}"
        raise Invalid(message, hint="mend it, or remove it: then ours is used") from error
