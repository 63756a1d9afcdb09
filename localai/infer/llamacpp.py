"""The embedded engine: GGUF models through llama.cpp, in this process.

The one file that imports llama_cpp, and it stays on llama.cpp's own C interface: the Python
class above it copies the vocabulary's logits about and allocates for features unused here.
"""

import codecs
import ctypes
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain, takewhile
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final

from llama_cpp import llama_cpp as lib

from localai.core.errors import Conflict, Invalid, NotFound, Unavailable
from localai.infer import hardware
from localai.infer.engine import (
    DEFAULT_SAMPLING,
    Delta,
    Finish,
    Message,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)
from localai.infer.prompt import CHATML, PLAIN, ChatTemplate, Specials
from localai.infer.toolcalls import CLOSE, OPEN, ToolCallParser

DEFAULT_CONTEXT: Final = 8192
_CHUNK: Final = 128
_SPECIAL: Final = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
_ERROR_LEVEL: Final = 4
_complaints: deque[str] = deque(maxlen=4)


@lib.llama_log_callback
def _on_log(level: int, text: bytes, _: ctypes.c_void_p) -> None:
    if level == _ERROR_LEVEL:
        _complaints.append(text.decode(errors="replace").strip())


lib.llama_log_set(_on_log, ctypes.c_void_p(0))


def gpu_offload_supported() -> bool:
    """Whether this build of llama.cpp can put a model on a graphics card."""
    return bool(lib.llama_supports_gpu_offload())


def load(
    path: Path, *, context: int | None = None, threads: int | None = None, gpu_layers: int = -1
) -> "LlamaCpp":
    """Load the GGUF file at `path`.

    `context` is at most what the model was trained on (default: that, up to 8,192 tokens);
    `threads` defaults to the physical cores; `gpu_layers` -1 offloads all that the build can.
    """
    if not path.is_file():
        raise NotFound(f"there is no model file {path}", hint="ai models list")
    _complaints.clear()
    lib.llama_backend_init()
    settings = lib.llama_model_default_params()
    settings.n_gpu_layers = gpu_layers
    model = lib.llama_model_load_from_file(bytes(path.resolve()), settings)
    if model is None:
        raise _refused(path)
    try:
        return LlamaCpp(path.stem, model, context, threads or hardware.physical_cores())
    except BaseException:
        lib.llama_model_free(model)
        raise


def _refused(path: Path) -> Unavailable:
    reason = "; ".join(_complaints) or "llama.cpp gives no reason"
    return Unavailable(
        f"{path} cannot be loaded: {reason}",
        hint=f"the file may be broken: ai models rm {path.stem}, then add a fresh copy",
    )


class LlamaCpp:
    """A loaded model; it owns `model` and remembers the last conversation's tokens."""

    def __init__(
        self, name: str, model: lib.llama_model_p, context: int | None, threads: int
    ) -> None:
        trained = lib.llama_model_n_ctx_train(model)
        self.name = name
        self.context = min(context or DEFAULT_CONTEXT, trained)
        self._vocab = _Vocabulary(model)
        self._template = self._vocab.template()
        self._model: lib.llama_model_p | None = model
        self._seen: list[int] = []
        self._turn = threading.Lock()
        settings = lib.llama_context_default_params()
        settings.n_ctx = self.context
        settings.n_threads = settings.n_threads_batch = threads
        self._ctx = lib.llama_init_from_model(model, settings)
        if self._ctx is None:
            raise Unavailable(
                f"there is no room for a context of {self.context} tokens: {'; '.join(_complaints)}",
                hint="close other programs, or use a smaller model: ai models list",
            )

    def close(self) -> None:
        """Free the model and its memory; safe to repeat."""
        if self._model is not None:
            lib.llama_free(self._ctx)
            lib.llama_model_free(self._model)
            self._model = None

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
    ) -> Iterator[Delta]:
        """Answer `messages` token by token; tool calls are looked for where there are tools."""
        if self._model is None:
            raise Unavailable(f"{self.name} is closed")
        if not self._turn.acquire(blocking=False):
            raise Conflict(f"{self.name} is still answering another message")
        try:
            yield from self._answer(messages, tools, sampling)
        finally:
            self._turn.release()

    def _answer(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], sampling: Sampling
    ) -> Iterator[Delta]:
        run = _Run(perf_counter())
        prompt = self._prompt(messages, tools)
        run.prompt, run.cached = len(prompt), self._rewind(prompt)
        room = self.context - len(prompt)
        limit = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
        texts = self._texts(prompt[run.cached :], sampling, limit, run)
        if tools:
            yield from _with_calls(texts, run)
        else:
            yield from map(Delta, texts)
        yield Delta(usage=run.usage(), finish=run.finish)

    def _prompt(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[int]:
        prompt = self._vocab.tokenize(self._template.render(messages, tools))
        if len(prompt) >= self.context:
            raise Invalid(
                f"the conversation is {len(prompt):,} tokens, "
                f"the model's context is {self.context:,}",
                hint="start a new conversation, or send less of the text",
            )
        return prompt

    def _rewind(self, prompt: list[int]) -> int:
        """Cut memory back to what it shares with `prompt`; returns how many tokens that is.

        The last prompt token is always evaluated again: its logits are gone. The cut also
        removes a token that an interrupt left in memory before it was written down.
        """
        shared = zip(prompt[:-1], self._seen, strict=False)
        kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], shared))
        memory = lib.llama_get_memory(self._ctx)
        if not lib.llama_memory_seq_rm(memory, 0, kept, -1):
            # Recurrent models cannot forget a part.
            lib.llama_memory_clear(memory, True)
            kept = 0
        del self._seen[kept:]
        return kept

    def _texts(
        self, prompt: list[int], sampling: Sampling, limit: int, run: "_Run"
    ) -> Iterator[str]:
        """The answer's text, a few characters at a time; keeps the score in `run`."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        piece, ends = self._vocab.piece, self._vocab.ends
        for token in self._tokens(prompt, sampling, limit):
            run.tick()
            if ends(token):
                run.finish = "stop"
                return
            run.count += 1
            # A syllable split over tokens waits here for its last byte; one cut off by the
            # limit is dropped.
            if text := decode(piece(token)):
                yield text

    def _tokens(self, prompt: list[int], sampling: Sampling, limit: int) -> Iterator[int]:
        """At most `limit` sampled tokens after `prompt`; the last stays out of memory."""
        self._evaluate(prompt)
        sampler = _sampler(sampling)
        one = (lib.llama_token * 1)()
        batch = lib.llama_batch_get_one(one, 1)
        sample, decode, ctx, seen = (
            lib.llama_sampler_sample,
            lib.llama_decode,
            self._ctx,
            self._seen,
        )
        try:
            for left in range(limit, 0, -1):
                token = sample(sampler, ctx, -1)
                yield token
                if left > 1:
                    one[0] = token
                    _check(decode(ctx, batch))
                    seen.append(token)
        finally:
            lib.llama_sampler_free(sampler)

    def _evaluate(self, tokens: list[int]) -> None:
        # Python sees Ctrl-C only between the pieces, so they are small.
        for at in range(0, len(tokens), _CHUNK):
            chunk = tokens[at : at + _CHUNK]
            array = (lib.llama_token * len(chunk))(*chunk)
            _check(lib.llama_decode(self._ctx, lib.llama_batch_get_one(array, len(chunk))))
            self._seen += chunk


@dataclass(slots=True)
class _Run:
    """The score of one answer, times in seconds of the performance counter."""

    started: float
    prompt: int = 0
    cached: int = 0
    count: int = 0
    first: float = 0.0
    last: float = 0.0
    finish: Finish = "length"

    def tick(self) -> None:
        self.last = perf_counter()
        self.first = self.first or self.last

    def usage(self) -> Usage:
        took = self.last - self.first
        return Usage(
            prompt_tokens=self.prompt,
            cached_tokens=self.cached,
            completion_tokens=self.count,
            ttft_ms=round((self.first - self.started) * 1000, 3) if self.first else 0.0,
            tokens_per_second=round((self.count - 1) / took, 3) if took else 0.0,
        )


def _with_calls(texts: Iterator[str], run: _Run) -> Iterator[Delta]:
    """The deltas of an answer in which tools may be called."""
    parser = ToolCallParser()
    called = False
    for found in chain(chain.from_iterable(map(parser.feed, texts)), parser.finish()):
        if isinstance(found, str):
            yield Delta(found)
        else:
            called = True
            yield Delta(tool_call=found)
    if called and run.finish == "stop":
        run.finish = "tool_calls"


class _Vocabulary:
    """A model's tokens: text to ids and back."""

    def __init__(self, model: lib.llama_model_p) -> None:
        self._model = model
        self._vocab = lib.llama_model_get_vocab(model)
        self._pieces: dict[int, bytes] = {}
        self._ends: dict[int, bool] = {}
        self._buffer = ctypes.create_string_buffer(64)

    def tokenize(self, pieces: Sequence[str]) -> list[int]:
        """The ids of `pieces`, none merged across their seams; special tokens are read."""
        found = [token for piece in pieces for token in self._tokenize(piece.encode())]
        bos = lib.llama_vocab_bos(self._vocab)
        if lib.llama_vocab_get_add_bos(self._vocab) and found[:1] != [bos]:
            found.insert(0, bos)
        return found

    def _tokenize(self, text: bytes) -> list[int]:
        size = len(text) + 2
        tokens = (lib.llama_token * size)()
        count = lib.llama_tokenize(self._vocab, text, len(text), tokens, size, False, True)
        return tokens[:count]

    def ends(self, token: int) -> bool:
        """Whether `token` ends an answer."""
        if token not in self._ends:
            self._ends[token] = lib.llama_vocab_is_eog(self._vocab, token)
        return self._ends[token]

    def piece(self, token: int) -> bytes:
        """What `token` shows: nothing for one that steers, save the tool call's tags."""
        if token not in self._pieces:
            hidden = lib.llama_vocab_get_attr(self._vocab, token) & _SPECIAL
            text = self._spell(token)
            shown = not hidden or text in (OPEN.encode(), CLOSE.encode())
            self._pieces[token] = text if shown else b""
        return self._pieces[token]

    def _spell(self, token: int) -> bytes:
        buffer = self._buffer
        size = lib.llama_token_to_piece(self._vocab, token, buffer, len(buffer), 0, True)
        if size < 0:
            self._buffer = ctypes.create_string_buffer(-size)
            return self._spell(token)
        return buffer.raw[:size]

    def template(self) -> ChatTemplate:
        """The model's own chat template; ChatML or plain text where the file has none."""
        specials = self._specials()
        source = (lib.llama_model_chat_template(self._model, None) or b"").decode(errors="replace")
        chatml = {"<|im_start|>", "<|im_end|>"} <= set(specials.control)
        bos, eos = lib.llama_vocab_bos(self._vocab), lib.llama_vocab_eos(self._vocab)
        return ChatTemplate(
            source or (CHATML if chatml else PLAIN),
            specials,
            bos=self._text(bos),
            eos=self._text(eos),
        )

    def _specials(self) -> Specials:
        found: dict[int, list[str]] = {_SPECIAL: [], lib.LLAMA_TOKEN_ATTR_USER_DEFINED: []}
        attr = lib.llama_vocab_get_attr
        for token in range(lib.llama_vocab_n_tokens(self._vocab)):
            kind = attr(self._vocab, token)
            for mask, texts in found.items():
                if kind & mask:
                    texts.append(self._text(token))
        control, marks = found.values()
        return Specials(tuple(control), tuple(mark for mark in marks if mark[0] in "<["))

    def _text(self, token: int) -> str:
        return self._spell(token).decode(errors="replace") if token >= 0 else ""


def _sampler(sampling: Sampling) -> "lib.llama_sampler_p":
    chain_ = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    seed = lib.LLAMA_DEFAULT_SEED if sampling.seed is None else sampling.seed
    greedy = [lib.llama_sampler_init_greedy()]
    for step in (
        greedy
        if sampling.temperature <= 0
        else [
            lib.llama_sampler_init_top_k(sampling.top_k),
            lib.llama_sampler_init_top_p(sampling.top_p, 1),
            lib.llama_sampler_init_min_p(sampling.min_p, 1),
            lib.llama_sampler_init_temp(sampling.temperature),
            lib.llama_sampler_init_dist(seed & 0xFFFFFFFF),
        ]
    ):
        lib.llama_sampler_chain_add(chain_, step)
    return chain_


def _check(code: int) -> None:
    if code:
        raise Unavailable(f"llama.cpp could not evaluate the prompt (code {code})")
