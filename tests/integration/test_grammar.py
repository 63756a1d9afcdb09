"""Grammars on real llama.cpp: what they accept, and what random models then write."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf_models
import pytest
from gguf_models import tool_call
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_cpp import llama_cpp as lib

from localai.core.errors import Unavailable
from localai.infer import answer, grammar, llamacpp, sampler, schema
from localai.infer.engine import FREE, Delta, Form, Message, Sampling, ToolCall, ToolSpec
from localai.rag.citations import _CODE, cited

ASKED = [Message("user", "go")]
TAG, END = "<tool_call>", "</tool_call>"
# Spellings on which a grammar could stumble.
WORDS = ['"}', '":', '{"name', END, TAG, "</tool", "_call>", "\n\n", "\\", '": "']
CITING = ["[1", "[9", "][", "[[", ", 2", "`", "```", "]", "[2]", "[12]", "[`"]
SEEDS = range(8)
ANY = f'{{"name": "any", "arguments": {{}}}}{END}'

WRITE = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "mode": {"enum": ["a", "w"]},
        "tags": {"type": "array", "items": {"type": "integer"}},
        "owner": {"type": "string", "nullable": True},
    },
    "required": ["path", "mode"],
    "additionalProperties": False,
}
LIST = {
    "type": "object",
    "properties": {
        "depth": {"type": "integer"},
        "where": {"type": "object", "properties": {"x": {"type": "boolean"}}, "required": ["x"]},
    },
    "required": ["where"],
}
TOOLS = [
    ToolSpec("write_file", "Write.", WRITE),
    ToolSpec('li"st', "List.", LIST),
    ToolSpec("any", "Anything.", {"$ref": "https://example.org/x.json"}),
]

Model = Callable[..., llamacpp.LlamaCpp]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Makes models that ramble; each is loaded once."""
    made: dict[str, llamacpp.LlamaCpp] = {}
    folder = tmp_path_factory.mktemp("models")

    def load(said: str = "", **options: Sequence[str]) -> llamacpp.LlamaCpp:
        key = repr((said, options))
        if key not in made:
            path = gguf_models.rambling(folder / f"{len(made)}.gguf", said, **options)
            made[key] = llamacpp.load(path, threads=1, gpu_layers=0)
        return made[key]

    yield load
    for engine in made.values():
        engine.close()


@pytest.fixture
def unheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """A llama.cpp that reads no grammar."""
    monkeypatch.setattr(sampler.lib, "llama_sampler_init_grammar", lambda *_: None)


def _wild(seed: int, max_tokens: int = 4000) -> Sampling:
    return Sampling(1, max_tokens, seed, top_p=1, top_k=0, min_p=0)


def _said(deltas: Sequence[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def _calls(deltas: Sequence[Delta]) -> list[ToolCall]:
    """The calls that were not cut short."""
    found = [delta.tool_call for delta in deltas if delta.tool_call]
    return found[:-1] if deltas[-1].finish == "length" else found


def _is_right(call: ToolCall) -> bool:
    """Whether the call names a tool and fits its schema."""
    try:
        given = json.loads(call.arguments)
    except ValueError:
        return False
    match call.name:
        case "write_file":
            return _fits_write(given)
        case 'li"st':
            return given.keys() <= {"depth", "where"} and isinstance(given["where"]["x"], bool)
        case name:
            return name == "any" and isinstance(given, dict)


def _fits_write(given: dict[str, Any]) -> bool:
    return (
        {"path", "mode"} <= given.keys() <= {"path", "mode", "tags", "owner"}
        and list(given) == [name for name in ("path", "mode", "tags", "owner") if name in given]
        and isinstance(given["path"], str)
        and given["mode"] in {"a", "w"}
        and all(isinstance(tag, int) for tag in given.get("tags", []))
        and isinstance(given.get("owner"), str | None)
    )


def _accepts(engine: llamacpp.LlamaCpp, rules: str, text: str) -> bool:
    """Whether the grammar lets `text` be written, byte by byte, and ended there."""
    made = lib.llama_sampler_init_grammar(engine._vocabulary._vocab, rules.encode(), b"root")
    assert made, rules
    [end] = engine._vocabulary.tokenize(["<|im_end|>"])
    try:
        for token in (*text.encode(), end):
            one = lib.llama_token_data(token, 1.0, 0.0)
            row = lib.llama_token_data_array(lib.ctypes.pointer(one), 1, -1, False)
            lib.llama_sampler_apply(made, lib.ctypes.byref(row))
            if one.logit == float("-inf"):
                return False
            if token != end:
                lib.llama_sampler_accept(made, token)
        return True
    finally:
        lib.llama_sampler_free(made)


@pytest.mark.parametrize("marks", [(), (TAG, END)], ids=["spelt", "marks"])
def test_a_call_that_was_begun_is_well_formed(model: Model, marks: Sequence[str]) -> None:
    """Whatever the weights are: JSON, a tool that there is, arguments as its schema has them."""
    words = [word for word in WORDS if word not in marks]
    engine = model(f"Well. {TAG}", marks=marks, words=words)
    found: list[ToolCall] = []
    for seed in SEEDS:
        deltas = list(engine.stream(ASKED, tools=TOOLS, sampling=_wild(seed)))
        assert _said(deltas) == "Well. "
        assert deltas[-1].finish in {"tool_calls", "length"}
        found += _calls(deltas)
    assert len(found) >= len(SEEDS) // 2
    assert [call for call in found if not _is_right(call)] == []


@pytest.mark.usefixtures("unheld")
def test_without_a_grammar_the_same_model_writes_no_right_call(model: Model) -> None:
    """So the test above can fail; and a grammar that is refused leaves the model free."""
    engine = model(f"Well. {TAG}", marks=(), words=WORDS)
    for seed in SEEDS:
        deltas = list(engine.stream(ASKED, tools=TOOLS, sampling=_wild(seed)))
        calls = [delta.tool_call for delta in deltas if delta.tool_call]
        assert calls
        assert not any(map(_is_right, calls))


def test_a_call_that_is_cut_short_ends(model: Model) -> None:
    """At the limit, as any answer does."""
    engine = model(f"Well. {TAG}", marks=(), words=WORDS)
    for limit in range(1, 40, 3):
        *_, last = engine.stream(ASKED, tools=TOOLS, sampling=_wild(1, limit))
        assert last.usage is not None
        assert last.usage.completion_tokens <= limit


def test_text_in_the_tags_last_token_leaves_the_call_free(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a call was not checked, so the grammar cannot go on from it."""
    held: list[object] = []
    monkeypatch.setattr(sampler.Sampler, "_hold", lambda _, rules: held.append(rules))
    said = f'{TAG}{{"na'
    assert gguf_models._chunks(said, (), set())[1] == 'all>{"n'
    engine = model(said)
    deltas = list(engine.stream(ASKED, tools=TOOLS, sampling=_wild(3, 400)))
    assert not any(map(_is_right, _calls(deltas)))
    assert held == []


def test_a_right_call_is_drawn_as_it_would_be_without_a_grammar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model is only corrected where it errs, and both calls of an answer are its own."""
    both = f"{tool_call('any', a=[1, '안녕 <b>'])}\n{tool_call('write_file', path='/', mode='w')}"
    engine = llamacpp.load(gguf_models.scripted(tmp_path / "s.gguf", [], f"Well. {both}"))
    held = list(engine.stream(ASKED, tools=TOOLS))
    monkeypatch.setattr(sampler.Sampler, "_redrawn", None)
    again = list(engine.stream(ASKED, tools=TOOLS))
    assert [call.arguments for call in _calls(again)] == [c.arguments for c in _calls(held)]
    assert [call.name for call in _calls(held)] == ["any", "write_file"]
    assert held[-1].finish == "tool_calls"
    engine.close()


SCHEMAS = [
    WRITE,
    LIST,
    {"type": "array", "items": WRITE},
    {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"enum": ['a"', None, END]}}]},
    {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"const": [1, {"deep": "한글"}]},
                    "next": {"$ref": "#/$defs/node"},
                },
                "required": ["value"],
                "additionalProperties": False,
            }
        },
    },
    {"type": ["boolean", "null", "number"]},
    {},
]


@pytest.mark.parametrize("wanted", SCHEMAS, ids=lambda each: next(iter(each), "any"))
def test_an_answer_of_a_schema_fits_it(model: Model, wanted: dict[str, Any]) -> None:
    """Whatever the weights are: whole JSON of the schema and nothing else, or cut at the limit."""
    engine = model(f"Sure: {TAG}", marks=(), words=WORDS)
    whole = 0
    for seed in SEEDS:
        deltas = list(
            engine.stream(ASKED, sampling=_wild(seed), tools=TOOLS, form=Form(schema=wanted))
        )
        assert _calls(deltas) == []
        if deltas[-1].finish == "stop":
            schema.check(_said(deltas), wanted)
            whole += 1
    assert whole >= len(SEEDS) // 2


@pytest.mark.usefixtures("unheld")
def test_without_a_grammar_the_same_model_writes_no_json(model: Model) -> None:
    """So the test above can fail."""
    engine = model(f"Sure: {TAG}", marks=(), words=WORDS)
    for seed in SEEDS:
        said = _said(list(engine.stream(ASKED, sampling=_wild(seed), form=Form(schema=LIST))))
        with pytest.raises(Unavailable):
            schema.check(said, LIST)


def test_citations_are_of_passages_that_are_there(model: Model) -> None:
    """Over the whole of an answer, whatever the weights are."""
    engine = model(words=CITING)
    found = 0
    for seed in range(30):
        deltas = list(engine.stream(ASKED, sampling=_wild(seed), form=Form(citations=12)))
        text = _said(deltas)
        assert deltas[-1].finish == "stop"
        assert cited(text, 12) == (text, 0)
        assert _cites_well(text, 12)
        found += len(re.findall(r"\[\d", text))
    assert found > 20


def test_free_citations_of_the_same_model_are_not(model: Model) -> None:
    """So the test above can fail."""
    engine = model(words=CITING)
    said = [_said([*engine.stream(ASKED, sampling=_wild(seed))]) for seed in range(30)]
    assert not all(_cites_well(text, 12) for text in said)


def _cites_well(text: str, passages: int) -> bool:
    """Whether each `[` before a digit, outside of code, begins a citation."""
    number = "|".join(str(n) for n in range(1, passages + 1))
    citation = re.compile(rf"\[({number})(, ?({number}))*\]")
    prose = _CODE.split(text)[::2]
    return all(
        citation.match(part, found.start())
        for part in prose
        for found in re.finditer(r"\[[0-9]", part)
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Plain words, 안녕하세요.\n\n- a list",
        "Vinegar [1]. Lemon [2][12], both [3, 4] and [5,6].",
        "[see] [x][y] [] [ 9] [-1] [[2]] [a](b) [1](c)",
        "Use `a[99]` and `[0]`.",
        "```python\na[99] = b[0]\n`c[99]`\n```\nas in [2]",
        "```\na[99]",
        "a lone ` and then [2]\nor [3]",
        "``[2]",
        "a[",
        "x ```` [99]",
    ],
)
def test_text_passes(model: Model, text: str) -> None:
    """Code is free, and so is a bracket before anything but a digit."""
    assert _accepts(model(), grammar.citations(12), text)


@pytest.mark.parametrize(
    "text",
    ["[0]", "[13]", "[01]", "[1", "[1.5]", "[1, 13]", "[1,]", "a lone ` and [99]\n", "``[99]``"]
    + ["`a` [99] `b`", "```\n``` [99]", "[[99]]", "`[99]"],
)
def test_a_citation_of_nothing_does_not_pass(model: Model, text: str) -> None:
    """Nor does half a citation, at the end."""
    assert not _accepts(model(), grammar.citations(12), text)


@settings(max_examples=400, deadline=None)
@given(text=st.text("`[]12,\n a", max_size=24), passages=st.sampled_from([1, 11, 22]))
def test_the_grammar_reads_code_as_the_cleaning_does(
    model: Model, text: str, passages: int
) -> None:
    """What the one lets pass, the other leaves alone, and nothing more is refused."""
    passes = _accepts(model(), grammar.citations(passages), text)
    assert passes == _cites_well(text, passages)
    assert not passes or cited(text, passages) == (text, 0)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "write_file", "arguments": {"path": "a", "mode": "w"}}</tool_call>',
        '\n{"name":"write_file","arguments":{"path":"\\u00e9\\ud83d\\ude00","mode":"a"}}\n</tool_call>',
        '{\n  "name": "li\\"st",\n  "arguments": {\n    "where": {"x": true}\n  }\n}</tool_call>\n',
        '{"name": "any", "arguments": {"a": [1, -2.5e3, null, {"b": "<\\/t>"}]}}</tool_call>',
        '{"name": "any", "arguments": {"a": "<tool_call> </tool_calls> <b>"}}\n</tool_call>',
        f"{ANY}\n{TAG}\n{ANY}",
    ],
)
def test_a_call_passes(model: Model, text: str) -> None:
    """On one line or on several, one or more."""
    assert _accepts(model(), grammar.tool_calls(TOOLS), text)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "delete", "arguments": {}}</tool_call>',
        '{"arguments": {}, "name": "any"}</tool_call>',
        '{"name": "any"}</tool_call>',
        '{"name": "any", "arguments": []}</tool_call>',
        '{"name": "any", "arguments": {}}',
        '{"name": "any", "arguments": {}}</tool_call> and more',
        '{"name": "any", "arguments": {"a": "line\nbreak"}}</tool_call>',
        '{"name": "any", "arguments": {"a": "</tool_call>"}}</tool_call>',
        '{"name": "any", "arguments": {"a": "\\ud83d"}}</tool_call>',
        '{"name": "any", "arguments": {"a": 01}}</tool_call>',
        '{"name": "write_file", "arguments": {"path": "a"}}</tool_call>',
        '{"name": "write_file", "arguments": {"mode": "w", "path": "a"}}</tool_call>',
        '{"name": "write_file", "arguments": {"path": "a", "mode": "x"}}</tool_call>',
        '{"name": "write_file", "arguments": {"path": "a", "mode": "w", "b": 1}}</tool_call>',
    ],
)
def test_what_is_no_call_does_not_pass(model: Model, text: str) -> None:
    """Nor text after one, nor a string that would end it."""
    assert not _accepts(model(), grammar.tool_calls(TOOLS), text)


@pytest.mark.parametrize("name", ['a" | root | "b', "back\\", "\n\t\b", "이름 😀", END, "]-#"])
def test_a_strangers_name_can_be_called(model: Model, name: str) -> None:
    """As JSON spells it."""
    rules = grammar.tool_calls([ToolSpec(name, "", {"properties": {name: {"const": name}}})])
    call = json.dumps({"name": name, "arguments": {name: name}}, ensure_ascii=False)
    call = call.replace(END, END.replace("/", "\\/"))
    assert _accepts(model(), rules, call + END)
    assert not _accepts(model(), rules, call.replace("arg", "Arg") + END)


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text('a"\\\n', max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner),
    max_leaves=8,
)
_SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["object", "array", "string", "null", "x", ["string", "null"]]),
            "$ref": st.sampled_from(["#", "#/properties/a", "https://x/#/a", "#/no"]),
            "enum": st.lists(_ANY, max_size=3),
            "const": _ANY,
            "required": st.lists(st.sampled_from(["a", 'b"']), max_size=2),
            "nullable": st.booleans(),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(st.sampled_from(["a", 'b"', "c\n"]), inner),
            "additionalProperties": inner | st.booleans(),
            "anyOf": st.lists(inner, max_size=3),
            "allOf": st.lists(inner, max_size=3),
            "items": inner,
            "required": st.lists(st.sampled_from(["a", 'b"']), max_size=2),
        },
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(schema=_SCHEMAS)
def test_llamacpp_reads_the_grammar_of_any_schema(model: Model, schema: dict[str, Any]) -> None:
    """One tool cannot spoil the calls of another."""
    rules = grammar.tool_calls([ToolSpec("odd", "", schema), *TOOLS])
    call = '{"name": "any", "arguments": {"a": 1}}</tool_call>'
    assert _accepts(model(), rules, call)


def test_a_grammar_that_nothing_satisfies_is_let_go_of(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp would end the process over the next token."""
    monkeypatch.setattr(grammar, "citations", lambda _: 'root ::= "a" <[999999]>')
    deltas = list(model().stream(ASKED, sampling=_wild(1), form=Form(citations=1)))
    assert _said(deltas)[0] == "a"
    assert len(_said(deltas)) > 2


def test_a_token_that_is_not_shown_is_not_drawn(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grammar would count letters that nobody reads."""
    monkeypatch.setattr(grammar, "citations", lambda _: 'root ::= "<|im_start|>"')
    for seed in SEEDS:
        deltas = list(model().stream(ASKED, sampling=_wild(seed), form=Form(citations=1)))
        assert _said(deltas) == "<|im_start|>"


def test_citations_and_calls_go_together(model: Model) -> None:
    """A call's own grammar takes over at its tag."""
    engine = model(f"As in [2]. {TAG}", words=CITING)
    deltas = list(engine.stream(ASKED, tools=TOOLS, form=Form(citations=2), sampling=_wild(2)))
    assert _said(deltas) == "As in [2]. "
    assert _calls(deltas)
    assert all(map(_is_right, _calls(deltas)))


def test_what_llamacpp_made_is_freed(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the stream is closed midway, and the engine goes on."""
    alive = 0
    begin, chain, free = (
        getattr(sampler.lib, f"llama_sampler_{name}")
        for name in ("init_grammar", "chain_init", "free")
    )

    def counted(step: int, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal alive
            alive += step
            return real(*arguments)

        return call

    monkeypatch.setattr(sampler.lib, "llama_sampler_init_grammar", counted(1, begin))
    monkeypatch.setattr(sampler.lib, "llama_sampler_chain_init", counted(1, chain))
    monkeypatch.setattr(sampler.lib, "llama_sampler_free", counted(-1, free))
    engine = model(f"Well. {TAG}", marks=(), words=WORDS)
    for length in range(1, 8):
        stream = engine.stream(ASKED, tools=TOOLS, form=Form(citations=3), sampling=_wild(length))
        next(stream)
        assert alive == 2
        list(zip(range(length), stream, strict=False))
        stream.close()
        assert alive == 0
    *_, last = engine.stream(ASKED, tools=TOOLS, form=Form(citations=3), sampling=_wild(0))
    assert last.finish == "tool_calls"
    assert alive == 0


def test_the_grammar_of_the_same_tools_is_made_once(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others, another."""
    made: list[object] = []
    real = grammar.tool_calls
    monkeypatch.setattr(grammar, "tool_calls", lambda tools: made.append(tools) or real(tools))
    engine = model(TAG, words=WORDS)
    for tools in (TOOLS, [*TOOLS], TOOLS[:1], TOOLS[:1]):
        list(engine.stream(ASKED, tools=tools, sampling=_wild(0, 20)))
    assert made == [TOOLS, TOOLS[:1]]


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
def test_without_a_grammar_tokens_are_drawn_as_llamacpp_draws_them(
    tmp_path: Path, temperature: float
) -> None:
    """For a seed, the same answer."""
    engine = llamacpp.load(gguf_models.random_llama(tmp_path / "r.gguf"), threads=1, gpu_layers=0)
    sampling = Sampling(temperature, 60, seed=11, top_p=0.95, top_k=40, min_p=0.05)
    plain = _said([*engine.stream(ASKED, sampling=sampling)])
    assert plain == "".join(answer.texts(_reference(engine, sampling)))
    engine.close()


def _reference(engine: llamacpp.LlamaCpp, sampling: Sampling) -> Iterator[bytes]:
    """What llama.cpp's own loop says, in the same memory."""
    prompt = engine._prompt(ASKED, (), FREE)[0]
    engine._evaluate(prompt[engine._rewind(prompt) :])
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    steps = [lib.llama_sampler_init_greedy()]
    if sampling.temperature:
        steps = [
            lib.llama_sampler_init_top_k(sampling.top_k),
            lib.llama_sampler_init_top_p(sampling.top_p, 1),
            lib.llama_sampler_init_min_p(sampling.min_p, 1),
            lib.llama_sampler_init_temp(sampling.temperature),
            lib.llama_sampler_init_dist(sampling.seed),
        ]
    for step in steps:
        lib.llama_sampler_chain_add(chain, step)
    for _ in range(sampling.max_tokens or 0):
        token = lib.llama_sampler_sample(chain, engine._ctx, -1)
        if (piece := engine._vocabulary.piece(token)) is None:
            break
        yield piece
        one = (lib.llama_token * 1)(token)
        lib.llama_decode(engine._ctx, lib.llama_batch_get_one(one, 1))
        engine._seen.append(token)
    lib.llama_sampler_free(chain)
