"""Slack: an incoming webhook, or a bot that posts to a channel.

The text stands in blocks of plain text, where Slack reads no markup and nobody can be called by
name; what Slack shows in its notices is escaped as Slack asks
(https://api.slack.com/reference/surfaces/formatting#escaping).
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from localai.core.errors import Unavailable
from localai.core.redact import remember
from localai.core.web import Answered
from localai.notify.post import Post, require_private, retry_after_s, said
from localai.notify.records import Failure, Message

API: Final = "https://slack.com/api/chat.postMessage"
_MOST_HEADER: Final = 150
_MOST_BLOCK: Final = 2_900
_MOST_BLOCKS: Final = 45
_PASSING: Final = frozenset({"ratelimited", "internal_error", "fatal_error", "service_unavailable"})
_JSON: Final = {"Content-Type": "application/json; charset=utf-8"}


class Slack:
    """Posts through the webhook of the secret, else as the bot of the token, to `room`."""

    gathers = True

    def __init__(
        self, find: Callable[[str], str | None], room: str, post: Post, api: str = API
    ) -> None:
        self._find = find
        self._room = room
        self._post = post
        self._api = api

    def send(self, message: Message) -> str:
        """Post it and tell what Slack said."""
        body = blocks(message)
        if url := self._find("slack-webhook-url"):
            remember(url)
            require_private(url, "the secret slack-webhook-url")
            return said(self._post(url, _json(body), _JSON))
        if not (token := self._find("slack-bot-token")):
            told = "neither slack-webhook-url nor slack-bot-token is set"
            raise Unavailable(told, hint="ai secrets set slack-webhook-url")
        if not self._room:
            hint = "ai config set notify.slack.channel '#NAME'"
            raise Unavailable("nobody said where the bot posts", hint=hint)
        headers = {**_JSON, "Authorization": f"Bearer {token}"}
        return _understood(self._post(self._api, _json({"channel": self._room, **body}), headers))

    def draft(self, message: Message) -> str:
        """The JSON that would be posted."""
        return json.dumps(blocks(message), ensure_ascii=False, indent=2)


def blocks(message: Message) -> dict[str, Any]:
    """The message as Slack's blocks: nothing is interpreted, nobody is called, nothing unfurls."""
    header = {"type": "header", "text": _plain(message.subject[:_MOST_HEADER])}
    sections = [{"type": "section", "text": _plain(part)} for part in _parts(message.text)]
    return {
        "text": escaped(message.subject),
        "blocks": [header, *sections[:_MOST_BLOCKS]],
        "mrkdwn": False,
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def escaped(text: str) -> str:
    """The text as Slack takes it: no mention, no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped(text), "emoji": False}


def _parts(text: str) -> Iterator[str]:
    """The text in pieces that a block can hold, cut between lines where there are any."""
    rest = text.strip()
    while rest:
        size = _MOST_BLOCK
        while len(escaped(rest[:size])) > _MOST_BLOCK:
            size = size * 3 // 4
        cut = rest.rfind("\n", 0, size) if len(rest) > size else len(rest)
        piece, rest = (
            rest[: cut if cut > 0 else size],
            rest[cut if cut > 0 else size :].lstrip("\n"),
        )
        yield piece


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _understood(answer: Answered) -> str:
    """What Slack's API said; it answers 200 to what it refuses, too."""
    try:
        told = json.loads(answer.data)
        is_taken, why = told["ok"] is True, str(told.get("error", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Failure(
            f"Slack answered what is no JSON: {said(answer)}", is_uncertain=True
        ) from error
    if is_taken:
        return "ok"
    asked = retry_after_s(answer.headers.get("retry-after", ""))
    message = f"Slack refused: {said(answer)}" if not why else f"Slack refused: {why[:80]}"
    raise Failure(message, is_permanent=why not in _PASSING, retry_after_s=asked)
