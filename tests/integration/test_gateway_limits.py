"""OpenAI's own client with keys that are for some models, some requests and some tokens."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import api_server
import gguf_models
import openai
import pytest
from api_server import Server

from localai.core.config_file import write_setting
from localai.rbac.allowance import allowance

CODE = "Fix this:\n```python\ndef f(x):\n    return x +\n```"
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
COUNT: list[Any] = [{"role": "user", "content": "count"}]
RULES: list[tuple[str, str | gguf_models.Loop]] = [
    ("'count' in last.content", "one two three four five six seven eight nine ten"),
    ("'hello' in last.content", "Hello."),
    ("last.content", "Yes."),
]
Opened = Callable[..., openai.OpenAI]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("limits")
    with api_server.serving(folder, engine__context="2048") as served:
        for name in ("talker", "coder", "other"):
            made = gguf_models.scripted(folder / f"{name}.gguf", RULES, context=2048)
            served.app.models.add(served.app.actor, made)
        served.app.use_models(served.app.actor, chat="talker", code="coder")
        yield served


@pytest.fixture
def opened(server: Server) -> Iterator[Opened]:
    """OpenAI's client, with a key of the user that is for so much."""
    clients: list[openai.OpenAI] = []

    def made(*models: str, **limits: Any) -> openai.OpenAI:
        app, allowed = server.app, allowance(models, **limits)
        key = app.api_keys.create(app.actor, "user", lifetime_s=3600, allowed=allowed).key
        address = f"{server.url}/v1"
        client = openai.OpenAI(base_url=address, api_key=key, max_retries=0, timeout=60)
        clients.append(client)
        return client

    yield made
    for client in clients:
        client.close()


def _ask(client: openai.OpenAI, model: str, said: str = "hello", **more: Any) -> Any:
    messages: list[Any] = [{"role": "user", "content": said}]
    return client.chat.completions.create(model=model, messages=messages, max_tokens=2, **more)


@pytest.mark.parametrize(
    ("models", "listed"),
    [
        (("other",), {"other"}),
        (("chat",), {"chat", "talker"}),
        (("auto,chat", "other"), {"auto", "chat", "talker", "other"}),
        ((), {"auto", "chat", "code", "talker", "coder", "other", "starter"}),
    ],
)
def test_a_key_sees_what_it_is_for(opened: Opened, models: Any, listed: set[str]) -> None:
    """A role stands for its model as well; what is not listed is not there."""
    client = opened(*models)
    found = {model.id for model in client.models.list()}
    assert found == listed
    assert all(client.models.retrieve(name).id == name for name in found)
    for name in {"coder", "code"} - listed:
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve(name)


@pytest.mark.parametrize(
    ("models", "asked"),
    [
        ("other", "talker"),
        ("chat", "code"),
        ("chat", "auto"),
        ("chat", "coder"),
        ("talker", "chat"),
    ],
)
def test_another_model_is_denied_and_audited(
    server: Server, opened: Opened, models: str, asked: str
) -> None:
    """By its name and by its role alike, before anybody waits for it."""
    client = opened(models)
    with pytest.raises(openai.PermissionDeniedError, match="not for the model") as refused:
        _ask(client, asked)
    assert refused.value.code == "permission_denied"
    entry = server.app.audit.page().items[0]
    assert (entry.event, entry.actor, entry.subject) == ("model.denied", "user", asked)
    assert _ask(client, models).choices


@pytest.mark.parametrize(
    ("models", "said", "answers"),
    [
        ("auto,chat", CODE, "talker"),
        ("auto,coder", "hello", "coder"),
        ("auto,chat,code", CODE, "coder"),
        ("auto,talker,coder", "hello", "talker"),
    ],
)
def test_a_question_goes_to_a_model_that_the_key_is_for(
    opened: Opened, models: str, said: str, answers: str
) -> None:
    """Whatever the question would choose."""
    assert _ask(opened(models), "auto", said).model == answers


def test_a_question_goes_to_no_model_where_the_key_is_for_neither(opened: Opened) -> None:
    """The third one does not stand in."""
    with pytest.raises(openai.PermissionDeniedError):
        _ask(opened("auto,other"), "auto")


def test_no_model_stands_in_that_the_key_is_not_for(server: Server, opened: Opened) -> None:
    """Where the first is broken, one key is answered by the next, the other is told."""
    free, limited = opened(), opened("chat")
    file = server.app.models.file(server.app.actor, "talker")
    whole = file.read_bytes()
    _ask(free, "code")
    try:
        file.write_bytes(whole[:1000])
        assert _ask(free, "chat").model == "coder"
        with pytest.raises(openai.InternalServerError, match="cannot be loaded"):
            _ask(limited, "chat")
    finally:
        file.write_bytes(whole)
    assert _ask(limited, "chat").model == "talker"


def test_what_is_loaded_later_is_loaded_as_the_caller(server: Server, opened: Opened) -> None:
    """Not as whoever came first, whose key may be gone since."""
    app = server.app
    first = app.api_keys.create(app.actor, "user", lifetime_s=3600)
    app.engines.get(app.api_keys.authenticate(first.key), model="other", role="chat", warn=print)
    app.api_keys.revoke(app.actor, first.id)
    client = opened("other")
    app.engines._loaded[1].close()  # type: ignore[index]
    assert _ask(client, "other").model == "other"


def test_vectors_are_of_a_model_too(opened: Opened) -> None:
    """A key for chat alone gets none; one that names the model, or the default, does."""
    with pytest.raises(openai.PermissionDeniedError):
        opened("chat").embeddings.create(model="default", input="a")
    for name in ("default", "localai/static-192"):
        client = opened(name, tokens_per_day=5)
        assert client.embeddings.create(model="default", input="bread and butter").data
        with pytest.raises(openai.RateLimitError):
            client.embeddings.create(model="default", input="bread and butter and jam")


def test_requests_at_once_are_counted_exactly(server: Server, opened: Opened) -> None:
    """Of all doors together; each refusal says when to come again."""
    client = opened(requests_per_minute=7)

    def one(number: int) -> int:
        try:
            if number % 2:
                client.embeddings.create(model="default", input="a")
            else:
                _ask(client, "talker")
        except openai.RateLimitError as error:
            refusals.append(error)
        except openai.InternalServerError:
            return 503
        else:
            return 200
        return 429

    refusals: list[openai.RateLimitError] = []
    with ThreadPoolExecutor(8) as pool:
        ended = Counter(pool.map(one, range(24)))
    assert ended[429] == 24 - 7
    for error in refusals:
        told = error.response.headers
        assert error.type == "rate_limit_error"
        assert 1 <= int(told["retry-after"]) <= 9
        assert told["x-ratelimit-remaining-requests"] == "0"
    entry = server.app.audit.page().items[0]
    assert (entry.event, entry.details["limit"]) == ("key.limited", "requests")
    assert client.models.list()


def test_answers_tell_how_the_limits_stand(opened: Opened) -> None:
    """Whole and in steps, in OpenAI's headers; without limits there are none."""
    client = opened(requests_per_minute=60, tokens_per_day=1_000)
    raw = client.chat.completions.with_raw_response
    seen = []
    for is_stream in (False, True):
        told = raw.create(model="talker", messages=HELLO, stream=is_stream).headers
        seen.append({name: told[name] for name in told if name.startswith("x-ratelimit")})
    assert seen[0] == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": seen[0]["x-ratelimit-reset-requests"],
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "1000",
        "x-ratelimit-reset-tokens": "0ms",
    }
    assert int(seen[1]["x-ratelimit-remaining-tokens"]) < 1_000
    free = opened().chat.completions.with_raw_response.create(model="talker", messages=HELLO)
    assert not [name for name in free.headers if name.startswith("x-ratelimit")]


def test_an_answer_ends_where_the_tokens_do(opened: Opened) -> None:
    """What it took is what the key has less; then it is told to come again."""
    first = opened().chat.completions.create(model="talker", messages=COUNT)
    assert first.choices[0].finish_reason == "stop"
    size = first.usage.prompt_tokens
    client = opened(tokens_per_day=size + 9)
    found = client.chat.completions.create(model="talker", messages=COUNT)
    assert found.choices[0].finish_reason == "length"
    assert found.usage.total_tokens <= size + 9
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="talker", messages=COUNT)
    assert int(refused.value.response.headers["retry-after"]) > 600
    with pytest.raises(openai.BadRequestError, match="a day"):
        client.chat.completions.create(model="talker", messages=[*HELLO] * 30)


def test_who_leaves_midway_pays_for_what_was_written(opened: Opened) -> None:
    """The prompt and the tokens so far, and not for what was set apart."""
    client = opened(tokens_per_day=1_500)

    def left() -> int:
        raw = client.embeddings.with_raw_response.create(model="default", input=[])
        return int(raw.headers["x-ratelimit-remaining-tokens"])

    with closing(client.chat.completions.create(model="talker", messages=COUNT, stream=True)) as it:
        next(iter(it))
    while not (rest := left()):  # until it is seen that nobody is there
        pass
    assert 1_500 > rest > 1_400
    client.chat.completions.create(model="talker", messages=COUNT)
    assert left() < rest


def test_answers_at_once_never_take_more_than_the_day_has(server: Server, opened: Opened) -> None:
    """Nine ask, and what they are told adds up to what is gone."""
    client = opened(tokens_per_day=300)

    def one(_: int) -> int:
        try:
            asked = client.chat.completions.create(model="talker", messages=COUNT)
        except openai.RateLimitError:
            return 0
        return int(asked.usage.total_tokens)

    with ThreadPoolExecutor(9) as pool:
        spent = sum(pool.map(one, range(9)))
    assert 200 < spent <= 300
    raw = client.embeddings.with_raw_response.create(model="default", input=[])
    assert abs(int(raw.headers["x-ratelimit-remaining-tokens"]) - (300 - spent)) <= 1


def test_another_process_chooses_the_models(server: Server, opened: Opened) -> None:
    """`ai models use` holds from the next request on."""
    client = opened()
    assert _ask(client, "chat").model == "talker"
    file = server.app.directories.config_file
    write_setting(file, "models.chat", "other")
    assert _ask(client, "chat").model == "other"
    write_setting(file, "models.chat", "talker")
    assert _ask(client, "chat").model == "talker"
