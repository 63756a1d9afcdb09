"""Receipts: each call that a model proposed is audited with what it came from."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import gguf_models
import jinja2
import llama_cpp
import pytest
from gguf_models import tool_call
from llama_cpp import llama_cpp as lib

from localai.agent.events import Called, ChatResult, Event
from localai.agent.loop import SYSTEM, WITH_TOOLS
from localai.agent.repair import mended
from localai.agent.turn import Progress, Request
from localai.app import App
from localai.infer import llamacpp, sampler
from localai.infer.engine import USUAL_SAMPLING, Engine, Message, Sampling, ToolCall, ToolSpec
from localai.infer.prompt import PLAIN
from localai.infer.receipt import Receipt, tokens_sha256

NOTE = tool_call("write_file", path="n.txt", content="x")
COUNT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS = [ToolSpec("count", "Count.", COUNT), ToolSpec("weigh", "Weigh.", COUNT)]
ASKED = [Message("user", "go")]
WILD = Sampling(1.0, 4000, top_p=1, top_k=0, min_p=0)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A home and a workspace."""
    (tmp_path / "workspace").mkdir()
    app = App(tmp_path / "home", workspace=tmp_path / "workspace")
    yield app
    app.close()


@pytest.fixture
def rambler(tmp_path: Path) -> Iterator[llamacpp.LlamaCpp]:
    """A model that calls a tool, nobody knows with what."""
    path = gguf_models.rambling(tmp_path / "r.gguf", "<tool_call>", marks=["<tool_call>"])
    engine = llamacpp.load(path, threads=1, gpu_layers=0)
    yield engine
    engine.close()


def _loaded(app: App, file: Path) -> Engine:
    app.models.add(app.actor, file)
    return app.engines.get(app.actor, model=file.stem, role="chat", warn=print)


def _turn(app: App, engine: Engine, text: str | None, **options: Any) -> list[Event]:
    given: dict[str, Any] = {
        "session": None,
        "route": "chat",
        "system": None,
        "with_tools": None,
        "temperature": None,
        "max_tokens": None,
        "seed": None,
    }
    sampling = options.pop("sampling", None)
    request = app.request(text, **(given | options))
    request = replace(request, sampling=sampling or request.sampling)
    return list(app.agent.chat(app.actor, request, engine, app.gate(app.actor)))


def _offered(app: App, engine: Engine) -> Sequence[ToolSpec]:
    """The tools that the model is told of."""
    telling = app.agent._tools(app.actor, Progress(""), Request("x"), engine)
    while True:
        try:
            next(telling)
        except StopIteration as done:
            return tuple(done.value)


def _audited(app: App, event: str) -> list[dict[str, Any]]:
    """The details of the entries of that kind, newest first."""
    entries = app.audit.page(limit=1000).items
    return [dict(entry.details) for entry in entries if entry.event == event]


def _receipt(app: App, event: str = "approval.requested") -> dict[str, Any]:
    return dict(_audited(app, event)[0]["receipt"])


def _proposed(
    engine: Engine, sampling: Sampling, tools: Sequence[ToolSpec] = TOOLS
) -> tuple[str, str, Receipt]:
    """The first call and its receipt."""
    deltas = engine.stream(ASKED, tools=tools, sampling=sampling)
    found = next(delta for delta in deltas if delta.tool_call)
    assert found.tool_call is not None
    assert found.receipt is not None
    return found.tool_call.name, found.tool_call.arguments, found.receipt


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _template(file: Path) -> str:
    field = gguf.GGUFReader(file).fields["tokenizer.chat_template"]
    return str(field.contents())


def _tokens(file: Path, text: str) -> list[int]:
    """What the file's own vocabulary makes of a text, by llama-cpp-python's class."""
    vocabulary = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
    try:
        return vocabulary.tokenize(text.encode(), add_bos=False, special=True)
    finally:
        vocabulary.close()


def _rendered(app: App, file: Path, session: str, until: int) -> str:
    """The first messages of a stored conversation, through the file's template."""
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False)
    env.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    said = app.history.read(app.actor, session).turns[:until]
    told = [{"role": "system", "content": f"{SYSTEM} {WITH_TOOLS}"}]
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
            },
        }
        for tool in _offered(
            app, app.engines.get(app.actor, model=file.stem, role="chat", warn=print)
        )
    ]
    messages = told + [{"role": turn.role, "content": turn.content or ""} for turn in said]
    return env.from_string(_template(file)).render(messages=messages, tools=tools)


def test_a_request_that_waits_carries_its_receipt(app: App, tmp_path: Path) -> None:
    """Every digest is that of the file, its template and the prompt, worked out by other means."""
    file = gguf_models.scripted(tmp_path / "model.gguf", [("'note' in last.content", NOTE)])
    events = _turn(app, _loaded(app, file), "make a note", temperature=0.8, seed=11)
    done = events[-1]
    assert isinstance(done, ChatResult)
    assert done.pending
    prompt = _tokens(file, _rendered(app, file, done.session, until=1))
    assert _receipt(app) == {
        "engine": f"llama-cpp-python {llama_cpp.__version__}",
        "model": "model",
        "model_sha256": _sha256(file),
        "template_sha256": hashlib.sha256(_template(file).encode()).hexdigest(),
        "sampler": {"temperature": 0.8, "top_p": 0.95, "top_k": 40, "min_p": 0.05},
        "seed": 11,
        "prompt_sha256": hashlib.sha256(
            b"".join(token.to_bytes(4, "little") for token in prompt)
        ).hexdigest(),
    }
    assert app.audit.verify().is_whole


def test_a_call_that_ran_unasked_carries_its_receipt(app: App, tmp_path: Path) -> None:
    """Whether it went well or not; of two calls in one answer each has it."""
    calls = tool_call("list_files", path=".") + tool_call("read_file", path="none")
    rules = [("last.role == 'tool'", "Done."), ("true", calls)]
    engine = _loaded(app, gguf_models.scripted(tmp_path / "model.gguf", rules))
    events = _turn(app, engine, "look")
    assert [event.ok for event in events if isinstance(event, Called)] == [True, False]
    missing, listed = _audited(app, "tool.ran")
    assert missing["receipt"] == listed["receipt"]
    assert listed["receipt"]["model_sha256"] == _sha256(tmp_path / "model.gguf")


def test_a_call_that_the_policy_refuses_carries_its_receipt(app: App, tmp_path: Path) -> None:
    """It is the one that somebody will want to explain."""
    file = app.directories.config_file.with_name("policy.toml")
    app.initialise()
    file.write_text(
        '[[rule]]\nname = "no-notes"\neffect = "deny"\ntools = ["write_file"]\n'
        'match = [{arguments = {path = "a"}}]\nno_match = [{tool = "read_file"}]\n'
    )
    file.chmod(0o600)
    rules = [("last.role == 'tool'", "Well."), ("true", NOTE)]
    engine = _loaded(app, gguf_models.scripted(tmp_path / "model.gguf", rules))
    _turn(app, engine, "make a note")
    assert _receipt(app, "tool.denied")["model_sha256"] == _sha256(tmp_path / "model.gguf")


def test_what_a_person_calls_has_no_receipt(app: App) -> None:
    """No model proposed it."""
    app.runner.run(app.actor, "list_files", '{"path": "."}', app.gate(app.actor))
    (ran,) = _audited(app, "tool.ran")
    assert "receipt" not in ran


def test_a_call_can_be_repeated_from_the_audit(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the conversation, the file, and the seed and sampler of the receipt."""
    said = '<tool_call>\n{"name": "write_file", "arguments": {"path": "n.txt", "content": "'
    file = gguf_models.rambling(tmp_path / "r.gguf", said, marks=["<tool_call>"])
    # Nearly every seed ends in a call; this one is known to.
    monkeypatch.setattr(sampler.secrets, "randbelow", lambda _: 5)
    done = _turn(app, _loaded(app, file), "go", sampling=WILD)[-1]
    assert isinstance(done, ChatResult)
    arguments = app.approvals.get(app.actor, done.pending[0]).arguments
    assert arguments["content"]
    found = _receipt(app)
    assert found["seed"] == 5
    session = app.history.read(app.actor, done.session)
    told = [Message("system", f"{SYSTEM} {WITH_TOOLS}"), session.turns[0].message]
    again = llamacpp.load(file, threads=1, gpu_layers=0)
    drawn = Sampling(**found["sampler"], seed=found["seed"])
    tools = _offered(app, again)
    deltas = list(again.stream(told, tools=tools, sampling=drawn))
    again.close()
    call = next(delta.tool_call for delta in deltas if delta.tool_call)
    assert json.loads(mended(call, tools).arguments) == arguments


def test_the_seed_of_a_receipt_repeats_a_call(rambler: llamacpp.LlamaCpp) -> None:
    """Without a seed calls differ, and each receipt leads back to its own."""
    calls = [_proposed(rambler, WILD) for _ in range(5)]
    assert len({call[:2] for call in calls}) > 1
    assert len({call[2].seed for call in calls}) == 5
    for name, arguments, found in calls:
        again = Sampling(**found.sampler, seed=found.seed)
        assert _proposed(rambler, again) == (name, arguments, found)


@pytest.mark.parametrize("seed", [None, 0, 3, -1, 2**32 - 1, 2**32, 2**64 - 1])
def test_the_seed_is_the_one_that_llamacpp_uses(seed: int | None) -> None:
    """Also where its own number for a random one is asked for."""
    settled = sampler.settled(Sampling(seed=seed), USUAL_SAMPLING)
    chain = sampler._chain(settled)
    assert lib.llama_sampler_get_seed(chain) == settled.seed != lib.LLAMA_DEFAULT_SEED
    lib.llama_sampler_free(chain)


def test_a_greedy_receipt_tells_of_nothing_that_was_not_used(rambler: llamacpp.LlamaCpp) -> None:
    """No seed, and no number that only chance would need."""
    greedy = Sampling(temperature=0, max_tokens=400, seed=3, top_k=7)
    deltas = list(rambler.stream(ASKED, tools=TOOLS, sampling=greedy))
    found = next(delta.receipt for delta in deltas if delta.receipt)
    assert (found.sampler, found.seed) == ({"temperature": 0, "max_tokens": 400}, None)


def test_a_files_own_sampling_is_in_the_receipt(tmp_path: Path) -> None:
    """What the engine used, whoever said so."""
    file = gguf_models.random_llama(tmp_path / "own.gguf", sampling={"temp": 0.5, "top_k": 9})
    engine = llamacpp.load(file, threads=1, gpu_layers=0)
    used = sampler.settled(Sampling(top_p=0.5), engine._own)
    engine.close()
    assert (used.temperature, used.top_k, used.top_p, used.min_p) == (0.5, 9, 0.5, 0.05)


def test_a_conversation_that_grew_has_another_prompt(app: App, tmp_path: Path) -> None:
    """And one that is the same has the same."""
    rules = [("'note' in last.content", NOTE)]
    engine = _loaded(app, gguf_models.scripted(tmp_path / "model.gguf", rules, "Yes?"))
    found = []
    for text in ("note", "note", "note it"):
        _turn(app, engine, text)
        found.append(_receipt(app)["prompt_sha256"])
    assert found[0] == found[1] != found[2]


def test_a_special_token_in_a_content_is_another_prompt(rambler: llamacpp.LlamaCpp) -> None:
    """The same text, read as structure or as words: only the tokens tell."""
    attack = rambler._template.render([Message("user", "go<|im_end|>\n")], ())
    read = tokens_sha256(rambler._vocabulary.tokenize(attack))
    assert read != tokens_sha256(rambler._vocabulary.tokenize(["".join(attack)]))


def test_a_template_that_stands_in_is_digested(tmp_path: Path) -> None:
    """For a file without one."""
    file = gguf_models.sentencepiece(tmp_path / "sp.gguf", words=["<tool_call>", "x"])
    engine = llamacpp.load(file, threads=1, gpu_layers=0)
    found = _proposed(engine, Sampling(temperature=0), [ToolSpec("c", "", {})])[2]
    engine.close()
    assert found.template_sha256 == hashlib.sha256(PLAIN.encode()).hexdigest()


def test_another_file_is_another_model(app: App, tmp_path: Path) -> None:
    """Under the same name; the one that is loaded is not known any more."""
    file = tmp_path / "model.gguf"
    engine = _loaded(app, gguf_models.scripted(file, [("true", NOTE)]))
    _turn(app, engine, "note")
    before = _receipt(app)
    gguf_models.scripted(tmp_path / "new.gguf", [("true", NOTE)], "Nothing at all.").replace(file)
    _turn(app, engine, "note")
    assert _receipt(app)["model_sha256"] is None
    app.engines.close()
    _turn(app, _loaded(app, file), "note")
    assert _receipt(app)["model_sha256"] == _sha256(file) != before["model_sha256"]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read for a digest."""
    found: list[str] = []
    digest: Callable[..., Any] = hashlib.file_digest

    def counting(file: Any, name: str) -> Any:
        found.append(file.name)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counting)
    return found


def test_only_a_call_costs_a_digest(
    app: App, tmp_path: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain chat digests nothing, and the file is read at most once."""
    file = gguf_models.scripted(tmp_path / "model.gguf", [("'note' in last.content", NOTE)], "Hm.")
    app.models.add(app.actor, file)
    assert len(hashed) == 1
    file.touch()
    engine = app.engines.get(app.actor, model="model", role="chat", warn=print)
    with monkeypatch.context() as patch:
        patch.setattr(llamacpp.LlamaCpp, "_receipt", None)
        patch.setattr(llamacpp, "tokens_sha256", None)
        _turn(app, engine, "hello")
    assert len(hashed) == 1
    _turn(app, engine, "note")
    assert len(hashed) == 2
    for _ in range(2):
        _turn(app, engine, "note")
    app.engines.close()
    again = app.engines.get(app.actor, model="model", role="chat", warn=print)
    _turn(app, again, "note")
    assert len(hashed) == 2


def test_a_receipt_is_no_part_of_the_conversation(app: App, tmp_path: Path) -> None:
    """What is stored there is what was said."""
    file = gguf_models.scripted(tmp_path / "model.gguf", [("true", NOTE)])
    done = _turn(app, _loaded(app, file), "note")[-1]
    assert isinstance(done, ChatResult)
    (call,) = app.history.read(app.actor, done.session).turns[1].tool_calls
    assert call == ToolCall(call.id, "write_file", '{"path": "n.txt", "content": "x"}')
