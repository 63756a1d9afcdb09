"""The engine of another machine: any server that speaks OpenAI's chat completions.

llama-server, Ollama, vLLM and llama-cpp-python's own server do
(https://platform.openai.com/docs/api-reference/chat). What they send is a stranger's: it is
measured, parsed strictly and never followed elsewhere.
"""

import json
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, Final

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from localai.core import log
from localai.core.errors import Denied, Invalid, LocalaiError, NotFound, Unavailable
from localai.infer import answer
from localai.infer.engine import (
    DEFAULT_SAMPLING,
    FREE,
    USUAL_SAMPLING,
    Delta,
    Form,
    Message,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)
from localai.infer.thinking import Thought

_TRIES: Final = 4
_LONGEST_WAIT: Final = 30.0
_FORM: Final = b"response_format"
_REFUSALS: Final = frozenset({400, 422, 408, 429, 500, 502, 503, 504})
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})
_LONGEST_LINE: Final = 1 << 20
_MOST_MODELS: Final = 1000
_BYTES_A_TOKEN: Final = 3
_MOST_TOKENS: Final = 10_000_000  # that an answer and its prompt can be said to have
_NO_PROTOCOL: Final = "the server does not speak OpenAI's protocol"
_CONNECT_S: Final = 5.0
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d+){3}|::1")


class Server:
    """A server at `url` (such as http://127.0.0.1:8080/v1); `key` is asked for once, when needed.

    `timeout_s` is the longest silence that is waited for, `sleep` how waiting is done.
    """

    def __init__(
        self,
        url: str,
        *,
        key: Callable[[], str | None],
        timeout_s: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = _checked(url)
        self._key = key
        self._timeout = httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s))
        self._sleep = sleep
        self._client: httpx.Client | None = None

    @property
    def is_overheard(self) -> bool:
        """Whether what is sent leaves this machine unencrypted."""
        url = httpx.URL(self.url)
        return url.scheme == "http" and not _LOOPBACK.fullmatch(url.host)

    def models(self) -> list[str]:
        """The names of the models that the server has, as it lists them."""
        with self._answer("GET", "/models") as response:
            found = _json(_content(response))
        data = found.get("data")
        listed = data if isinstance(data, list) else []
        names = [each.get("id") for each in listed if isinstance(each, dict)]
        return [name for name in names if isinstance(name, str)][:_MOST_MODELS]

    @cached_property
    def first(self) -> str:
        """The model that answers where none was chosen."""
        if not (names := self.models()):
            raise Unavailable(f"{self.url} has no model", hint="load one there")
        return names[0]

    def events(self, body: Mapping[str, Any]) -> Generator[dict[str, Any]]:
        """The server-sent events of a streamed completion, to the one that ends it."""
        with self._answer("POST", "/chat/completions", json=body) as response:
            for line in _lines(response):
                if not line.startswith("data:"):
                    continue
                data = line.removeprefix("data:").strip()
                if data == "[DONE]":
                    return
                event = _json(data)
                if "error" in event:
                    raise Unavailable(f"{self.url} broke off: {_said(event)}")
                yield event

    def close(self) -> None:
        """Close its connections; the next question opens others."""
        if self._client is not None:
            self._client.close()
            self._client = None

    @contextmanager
    def _answer(self, method: str, path: str, **options: Any) -> Iterator[httpx.Response]:
        """A response that is not an error; asked for again while trying again may help."""
        try:
            response = self._tried(lambda: self._sent(method, path, **options))
        except httpx.HTTPError as error:
            raise self._gone(error) from error
        try:
            self._refuse(response)
            yield response
        except httpx.HTTPError as error:
            raise self._gone(error) from error
        finally:
            response.close()

    def _tried(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        retrying = Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=_wait,
            retry=retry_if_exception(lambda error: isinstance(error, _Again | httpx.ConnectError)),
            reraise=True,
            sleep=self._sleep,
        )
        try:
            return retrying(send)
        except _Again as again:
            self._refuse(again.response, again.content)
            raise

    def _sent(self, method: str, path: str, **options: Any) -> httpx.Response:
        if self._client is None:
            key = self._key()
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            self._client = httpx.Client(timeout=self._timeout, headers=headers, trust_env=False)
        request = self._client.build_request(method, f"{self.url}{path}", **options)
        response = self._client.send(request, stream=True)
        if response.status_code in _REFUSALS:
            content = _content(response)
            response.close()
            if _FORM in content:
                raise _UnknownForm(f"{self.url} holds no model to a schema: {_told(content)}")
            if response.status_code in _AGAIN:
                raise _Again(response, content)
            self._refuse(response, content)
        return response

    def _refuse(self, response: httpx.Response, content: bytes | None = None) -> None:
        status = response.status_code
        if status == httpx.codes.OK:
            return
        said = _told(_content(response) if content is None else content)
        told = f"{self.url} says {status}" + (f": {said}" if said else "")
        if status in {401, 403}:
            raise Denied(told, hint="ai secrets set engine-api-key")
        if status == httpx.codes.NOT_FOUND:
            raise NotFound(told, hint="ai config get models.chat; ai config get engine.url")
        if status in {400, 413, 422}:
            raise Invalid(told)
        raise Unavailable(told, hint="ai config get engine.url")

    def _gone(self, error: Exception) -> LocalaiError:
        reason = str(error) or type(error).__name__
        hint = "is the server running? ai config get engine.url"
        return Unavailable(f"{self.url} does not answer: {reason}", hint=hint)


class Remote:
    """One model of a server; `context` is how many tokens it takes, 0 where only it knows.

    `spent` hears what each answer cost, as far as it came.
    """

    calls_tools = True  # a server refuses tools that its model cannot call

    def __init__(self, name: str, server: Server, context: int = 0) -> None:
        self.name = name
        self.context = context
        self.spent: Callable[[Usage], None] = answer.unheard
        self._server = server

    def count(self, text: str) -> int:
        """How many tokens the text has at most, in English, Korean or code."""
        return -(-len(text.encode()) // _BYTES_A_TOKEN)

    def recall(self, conversation: str) -> None:
        """Servers keep what they remember by themselves."""

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
        form: Form = FREE,
    ) -> Generator[Delta]:
        """Answer `messages` as the server's deltas come; citations are left to the model.

        A call that the server passes on as the model wrote it is read here.
        """
        if form.tops is not None:
            raise Invalid("logprobs: the server behind this one is not asked for probabilities")
        tools = tools if form.schema is None else ()
        thinks = False if form.is_held else form.thinks
        heard = _Heard()
        body = _body(self.name, messages, tools, sampling, form.schema)
        if form.stops:
            body["stop"] = list(form.stops)
        if thinks is not None:  # as llama-server and vLLM hand it to a model's template
            body["chat_template_kwargs"] = {"enable_thinking": thinks}
        events = self._events(body, form.schema)
        with closing(events), answer.told(heard.score, self.spent):
            texts = filter(None, map(heard.take, events))
            found = answer.deltas(texts, heard.score, with_tools=bool(tools), stops=form.stops)
            for delta in found:
                if delta.usage is None:
                    yield delta
                    continue
                calls = heard.calls()
                yield from (Delta(tool_call=call) for call in calls)
                yield replace(delta, finish="tool_calls" if calls else delta.finish)

    def _events(
        self, body: Mapping[str, Any], schema: Mapping[str, object] | None
    ) -> Generator[dict[str, Any]]:
        try:
            yield from self._server.events(body)
        except _UnknownForm:
            # llama.cpp's own form is older than OpenAI's, and some servers know it alone.
            form = {"type": "json_object", "schema": schema}
            yield from self._server.events({**body, "response_format": form})

    def close(self) -> None:
        """Close the connections."""
        self._server.close()


class _UnknownForm(Unavailable):
    """The server does not know the words in which JSON of a schema was asked for."""


class _Again(Exception):
    """An answer after which trying again may help."""

    def __init__(self, response: httpx.Response, content: bytes) -> None:
        self.response = response
        self.content = content


@dataclass
class _Called:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass
class _Heard:
    """What has come of one answer; a server that counts nothing sends about a token at a time."""

    score: answer.Score = field(default_factory=lambda: answer.Score(finish="stop"))
    _calls: dict[int, _Called] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> str:
        """Keep what the event says; returns its text, or its thought."""
        try:
            return self._take(event)
        except (AttributeError, LookupError, TypeError) as error:
            raise Unavailable(_NO_PROTOCOL) from error

    def _take(self, event: Mapping[str, Any]) -> str:
        if isinstance(usage := event.get("usage"), dict):
            self.score.prompt = _count(usage.get("prompt_tokens"))
            self.score.completion = _count(usage.get("completion_tokens"))
            details = usage.get("prompt_tokens_details")
            self.score.cached = _count(details.get("cached_tokens")) if details else 0
        choices = event.get("choices")
        if not choices:
            return ""
        choice = choices[0]
        if (finish := choice.get("finish_reason")) in {"stop", "length", "tool_calls"}:
            self.score.finish = finish
        delta = choice.get("delta") or {}
        self._take_calls(delta.get("tool_calls") or ())
        text = delta.get("content") or ""
        thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
        if text or thought or self._calls:
            self.score.tick()
            self.score.completion += 1
        return str(text) if text else Thought(thought)

    def calls(self) -> list[ToolCall]:
        """The calls that the server took out of the text."""
        return [
            ToolCall(call.id or f"call_{number}", call.name, call.arguments)
            for number, call in sorted(self._calls.items())
        ]

    def _take_calls(self, pieces: Sequence[Mapping[str, Any]]) -> None:
        for place, piece in enumerate(pieces):
            call = self._calls.setdefault(_count(piece.get("index", place)), _Called())
            said = piece.get("function") or {}
            call.id = call.id or str(piece.get("id") or "")
            call.name += str(said.get("name") or "")
            call.arguments += str(said.get("arguments") or "")


def _body(
    model: str,
    messages: Sequence[Message],
    tools: Sequence[ToolSpec],
    sampling: Sampling,
    schema: Mapping[str, object] | None,
) -> dict[str, Any]:
    drawn = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "seed": sampling.seed,
    }
    if sampling.temperature is None:
        drawn["temperature"] = USUAL_SAMPLING.temperature
    body: dict[str, Any] = {
        "model": model,
        "messages": list(map(_message, messages)),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body |= {name: value for name, value in drawn.items() if value is not None}
    if tools:
        body["tools"] = [tool.described for tool in tools]
    if schema is not None:
        described = {"name": "answer", "schema": schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": described}
    return body


def _message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        told["tool_call_id"] = message.tool_call_id
    return told


def _content(response: httpx.Response) -> bytes:
    """The body, no more of it than can be meant."""
    found = b""
    for chunk in response.iter_bytes():
        found += chunk
        if len(found) > _LONGEST_LINE:
            raise Unavailable("the server sends an answer without an end")
    return found


def _lines(response: httpx.Response) -> Iterator[str]:
    """The lines of a stream, none longer than can be meant."""
    held = b""
    for chunk in chain(response.iter_bytes(), (b"\n",)):
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
        if len(held) > _LONGEST_LINE:
            raise Unavailable("the server sends a line without an end")


def _json(text: str | bytes, default: Any = None) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        if default is not None:
            return dict(default)
        raise Unavailable(_NO_PROTOCOL) from error
    return found if isinstance(found, dict) else {}


def _said(event: Mapping[str, Any]) -> str:
    """The words of an error, in any of the forms that servers give it."""
    error = event.get("error", event)
    found = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return str(found or "")[:300]


def _told(content: bytes) -> str:
    return _said(_json(content, default={}))


def _count(value: object) -> int:
    return min(value, _MOST_TOKENS) if isinstance(value, int) and value >= 0 else 0


def _wait(state: RetryCallState) -> float:
    """As long as the server asks for, else longer each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.response.headers.get("Retry-After", "") if isinstance(error, _Again) else ""
    usual = wait_exponential_jitter(multiplier=0.5, max=_LONGEST_WAIT)(state)
    wait = min(float(asked), _LONGEST_WAIT) if asked.isdigit() else usual
    log.write("engine.retried", wait_s=round(wait, 1))
    return wait


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Invalid(f"engine.url is no address: {error}") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo:
        message = "engine.url is an http or https address without a password in it"
        raise Invalid(message, hint="ai config set engine.url http://127.0.0.1:8080/v1")
    return url.rstrip("/")
