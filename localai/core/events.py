"""The catalogue of log events: everything that the log tells, by its name, with its fields.

What the audit records is logged under the audit's own name, once it is on disk, with those of its
details that are listed here. No field holds what a person, a model or a document says, nor the
arguments of a call.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Level = Literal["debug", "info", "warning", "error"]
LEVELS: Final[tuple[Level, ...]] = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Field:
    """What a line can say: its JSON type and its meaning."""

    type: Literal["string", "integer", "number", "boolean", "array"]
    told: str


@dataclass(frozen=True)
class Event:
    """What can happen, how grave it is, and the fields that a line about it can have."""

    name: str
    level: Level
    told: str
    fields: tuple[str, ...] = ()
    is_audited: bool = False


# In every line, or in each where it is known.
ALWAYS: Final = {
    "at": Field("string", "when, RFC 3339 in UTC"),
    "level": Field("string", "debug, info, warning or error"),
    "event": Field("string", "what happened"),
    "pid": Field("integer", "the process that says so"),
    "version": Field("string", "of localai"),
}
WHERE_KNOWN: Final = {
    "command": Field("string", "noun and verb of the `ai` command, without its arguments"),
    "approval": Field("string", "the request that was worked on, a whole id"),
    "session": Field("string", "the conversation that was worked on, a whole id"),
    "traceback": Field("string", "where in the code an exception came from"),
}
FIELDS: Final = {
    "actor": Field("string", "who did it, as the audit names them"),
    "address": Field("string", "host and port; `stdio` for standard input"),
    "added": Field("integer", "files that are new"),
    "answer": Field("string", "what a mail or chat server said when it took the message"),
    "audit": Field("integer", "sequence of the audit entry that proves it"),
    "cached_tokens": Field("integer", "tokens of the prompt that the model remembered"),
    "calls": Field("integer", "tools that were called"),
    "category": Field("string", "of the error, as its exit code has it"),
    "causes": Field("array", "errors behind the error"),
    "channel": Field("string", "mail, Slack, a webhook or another way to tell people"),
    "chunks": Field("integer", "passages that were written"),
    "collection": Field("string", "a collection of documents"),
    "completion_tokens": Field("integer", "tokens that were written"),
    "context": Field("integer", "tokens that fit the model's context"),
    "error": Field("string", "what was wrong"),
    "gpu_layers": Field("integer", "layers on graphics cards"),
    "instead": Field("string", "the model that took over"),
    "is_permanent": Field("boolean", "whether it is not tried again"),
    "key": Field("string", "id of an API key"),
    "kind": Field("string", "human or agent"),
    "library": Field("string", "the logger of another library"),
    "message": Field("string", "id of a message that was sent; words of an error or of a library"),
    "model": Field("string", "a language model"),
    "notice": Field("string", "what people are told of: requested, approved and so on"),
    "pending": Field("integer", "requests that the turn left to a person"),
    "prompt_tokens": Field("integer", "tokens of the prompt"),
    "reason": Field("string", "why an API key was refused"),
    "removed": Field("integer", "files that are gone"),
    "replaces": Field("string", "the request or key in whose place this one stands"),
    "request_id": Field("string", "of a request over HTTP, as its answer names it"),
    "risk": Field("string", "low, medium, high or critical"),
    "roles": Field("array", "roles of the user"),
    "rule": Field("string", "the policy rule that said so"),
    "sandbox": Field("string", "what kept the program to its work"),
    "seconds": Field("number", "how long it took"),
    "sessions": Field("array", "ids of conversations"),
    "skipped": Field("integer", "files that could not be read"),
    "subject": Field("string", "whom or what it was done to: a user, a key, a tool, a setting"),
    "tokens_per_second": Field("number", "how fast the answer was written"),
    "tool": Field("string", "the tool that was called"),
    "tries": Field("integer", "how often it was tried"),
    "ttft_ms": Field("number", "milliseconds to the first token"),
    "unchanged": Field("integer", "files that were as before"),
    "updated": Field("integer", "files that were read again"),
    "user": Field("string", "whose API key it is"),
    "limit": Field("string", "requests or tokens"),
    "votes": Field("string", "as in 1 of 2"),
    "wait_s": Field("number", "seconds until the next try"),
}


def _event(name: str, level: Level, told: str, *fields: str) -> Event:
    return Event(name, level, told, fields)


def _audited(name: str, level: Level, told: str, *fields: str) -> Event:
    return Event(name, level, told, ("audit", "actor", "subject", *fields), is_audited=True)


def _request(name: str, level: Level, told: str, *fields: str) -> Event:
    """What happens to a request; `approval` says to which."""
    return Event(name, level, told, ("audit", "actor", "tool", "risk", *fields), is_audited=True)


_ASKED = ("risk", "rule", "kind", "sandbox")
_ALL = (
    _request(
        "approval.requested", "info", "A request was opened.", "rule", "kind", "sandbox", "replaces"
    ),
    _request("approval.voted", "info", "One of several people said yes.", "votes"),
    _request("approval.approved", "info", "A person approved."),
    _request("approval.rejected", "info", "A person refused."),
    _request("approval.cancelled", "info", "A request was withdrawn or replaced."),
    _request("approval.revoked", "warning", "An approval was taken back."),
    _request("approval.expired", "warning", "Nobody decided, or ran it, in time."),
    _request("approval.claimed", "info", "An approved call began to run."),
    _request("approval.succeeded", "info", "An approved call ran."),
    _request("approval.failed", "warning", "An approved call ran and failed."),
    _request("approval.unknown", "warning", "A process died while it ran a call."),
    _audited("approval.agent-refused", "warning", "An agent tried to decide.", "kind"),
    _audited("tool.started", "info", "A call of more than low risk began unasked.", *_ASKED),
    _audited("tool.ran", "info", "A call ran unasked, well or not.", *_ASKED),
    _audited("tool.denied", "warning", "The policy refused a call.", *_ASKED),
    _audited("tool.refused", "warning", "An agent's call could not be made a request.", "kind"),
    _audited("tool.limited", "warning", "Somebody called a tool too often.", "kind"),
    _audited("policy.rule-made", "info", "A person allowed calls for a while.", "tool"),
    _audited("policy.rule-revoked", "info", "What was allowed for a while ended early.", "tool"),
    _audited("permission.denied", "warning", "A role or key did not suffice.", "kind", "key"),
    _audited("operator.created", "info", "The operator of a new home was made."),
    _audited("user.added", "info", "A user was made.", "roles"),
    _audited("user.roles-set", "info", "A user's roles were changed.", "roles"),
    _audited("user.disabled", "info", "A user lost every permission."),
    _audited("user.enabled", "info", "A user's permissions hold again."),
    _audited("key.created", "info", "An API key was made.", "user"),
    _audited("key.rotated", "info", "An API key took another's place.", "user", "replaces"),
    _audited("key.revoked", "info", "An API key was ended.", "user"),
    _audited("key.refused", "warning", "An API key did not hold.", "reason"),
    _audited("key.limited", "warning", "An API key asked for more than it is for.", "limit"),
    _audited("model.denied", "warning", "An API key is not for that model.", "kind", "key"),
    _audited("codes.on", "info", "A person gives one-time codes now."),
    _audited("codes.off", "info", "A person's one-time codes count no more."),
    _audited("codes.refused", "warning", "A one-time code was wrong."),
    _audited("config.changed", "info", "A setting was changed; its value is not logged."),
    _audited("secret.set", "info", "A secret was stored."),
    _audited("secret.removed", "info", "A secret was forgotten."),
    _audited("mcp.added", "info", "An MCP server was added."),
    _audited("mcp.reviewed", "info", "An MCP server's tools were taken anew."),
    _audited("mcp.trusted", "info", "The risk of MCP tools was set.", "risk"),
    _audited("mcp.removed", "info", "An MCP server was removed."),
    _audited("mcp.changed", "warning", "An MCP server offers other tools than were taken."),
    _audited("audit.anchor-lost", "error", "The home went on from an older copy of itself."),
    _event("audit.anchor-not-written", "error", "The end of the audit could not be anchored."),
    _event(
        "chat.answered",
        "info",
        "A turn of a conversation is over.",
        *("model", "prompt_tokens", "cached_tokens", "completion_tokens", "ttft_ms"),
        *("tokens_per_second", "calls", "pending"),
    ),
    _event("sessions.pruned", "info", "Old conversations were removed.", "sessions"),
    _event("conversation.not-parked", "warning", "A model's memory could not be kept."),
    _event("conversation.parked-elsewhere", "info", "A kept memory was not ours, and is dropped."),
    _event("model.loaded", "info", "A model is ready.", "model", "context", "gpu_layers"),
    _event(
        "model.failed-over",
        "warning",
        "Another model answered for this one.",
        *("model", "instead", "error"),
    ),
    _event("engine.retried", "info", "A model's server is asked again.", "wait_s"),
    _event(
        "rag.indexed",
        "info",
        "Documents were taken in.",
        *("collection", "added", "updated", "unchanged", "removed", "skipped", "chunks", "seconds"),
    ),
    _event(
        "notify.sent",
        "info",
        "A notice was taken by whom it was sent to.",
        *("channel", "notice", "message", "answer"),
    ),
    _event(
        "notify.failed",
        "warning",
        "A notice was not taken.",
        *("channel", "notice", "message", "tries", "is_permanent", "error"),
    ),
    _event("notify.bug", "error", "A channel broke on a notice."),
    _event("notify.look", "warning", "The outbox could not be read.", "error"),
    _event("notify.start", "warning", "What sends notices could not be started.", "error"),
    _event("notify.routes", "error", "notifications.toml cannot be used.", "error"),
    _event("notify.template", "error", "A template of the operator cannot be used.", "error"),
    _event("mcp.call-failed", "error", "A bug broke another program's call."),
    _event("metrics.unreadable", "warning", "Figures could not be read.", "error"),
    _event("metrics.not-counted", "warning", "Counts could not be written; they are kept."),
    _event("server.started", "info", "Other programs can call.", "address"),
    _event(
        "server.unavailable",
        "error",
        "A request could not be served; `error` says what is missing.",
        *("error", "request_id"),
    ),
    _event(
        "http.refused",
        "info",
        "A request over HTTP was answered with an error that its sender can mend.",
        *("category", "message", "request_id"),
    ),
    _event("http.bug", "error", "A bug of ours broke a request over HTTP.", "request_id"),
    _event("line.failed", "error", "A bug of ours broke a call of another command."),
    _event("http.not-swept", "warning", "What is over could not be written down.", "error"),
    _event("server.stopped", "info", "Other programs can call no more.", "address", "seconds"),
    _event(
        "command.refused",
        "info",
        "A command ended with an error that a person can mend.",
        *("category", "message", "causes"),
    ),
    _event(
        "command.failed",
        "error",
        "A command found something unavailable, or a bug of ours.",
        *("category", "message", "causes"),
    ),
    _event("library.said", "warning", "A library that we use warned.", "library", "message"),
)
EVENTS: Final[Mapping[str, Event]] = {event.name: event for event in _ALL}


def schema() -> dict[str, Any]:
    """The JSON Schema of a line."""
    always, known = ({k: _typed(v) for k, v in each.items()} for each in (ALWAYS, WHERE_KNOWN))
    always["level"] |= {"enum": list(LEVELS)}
    always["at"] |= {"format": "date-time"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of localai's log",
        "type": "object",
        "required": list(always),
        "properties": always | known,
        "oneOf": [_shape(event, {*always, *known}) for event in _ALL],
    }


def _shape(event: Event, common: set[str]) -> dict[str, Any]:
    own = {name: _typed(FIELDS[name]) for name in event.fields}
    rest: dict[str, Any] = dict.fromkeys(sorted(common - {"event"}), True)
    return {
        "description": event.told,
        "properties": {"event": {"const": event.name}, **own, **rest},
        "additionalProperties": False,
    }


def _typed(field: Field) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": field.type, "description": field.told}
    return kind | {"items": {"type": "string"}} if field.type == "array" else kind
