"""The embedded engine: GGUF models through llama.cpp, in this process.

The one file that imports llama_cpp, and it stays on llama.cpp's own C interface: the Python
class above it keeps arrays for features that are not used here.
"""

import ctypes
import os
import re
import threading
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from llama_cpp import _ggml
from llama_cpp import llama_cpp as lib

from localai.core.errors import Conflict, Invalid, NotFound, Unavailable
from localai.infer import answer, hardware
from localai.infer.engine import DEFAULT_SAMPLING, Delta, Message, Sampling, ToolSpec
from localai.infer.prompt import ChatTemplate, Specials
from localai.infer.toolcalls import CLOSE, OPEN

DEFAULT_CONTEXT: Final = 8192
_CHUNK: Final = 128
_CONTROL: Final = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
_MARK: Final = lib.LLAMA_TOKEN_ATTR_USER_DEFINED
_ERROR_LEVEL: Final = 4
_EXIT_UNAVAILABLE: Final = 6
_complaints: deque[str] = deque(maxlen=4)


def _on_log(level: int, text: bytes, _: ctypes.c_void_p) -> None:
    if level == _ERROR_LEVEL:
        _complaints.append(text.decode(errors="replace").strip())


def _on_abort(text: bytes) -> None:
    # llama.cpp ends the process next, with a core dump: nothing can be raised through C.
    reason = text.decode(errors="replace").strip()
    os.write(2, f"ai: error: llama.cpp cannot go on with this model: {reason}\n".encode())
    os.write(2, b"hint: the file may be broken: ai models rm NAME, then add a fresh copy\n")
    os._exit(_EXIT_UNAVAILABLE)


# C keeps these pointers, so the objects must live as long as the process.
_LOG = lib.llama_log_callback(_on_log)
_ABORT = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_on_abort)
lib.llama_log_set(_LOG, ctypes.c_void_p(0))
_ggml.libggml.ggml_set_abort_callback(_ABORT)


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
        hint = f"the file may be broken: ai models rm {path.stem}, then add a fresh copy"
        raise Unavailable(f"{path} cannot be loaded: {_complaint()}", hint=hint)
    try:
        return LlamaCpp(path.stem, model, context, threads or hardware.physical_cores())
    except BaseException:
        lib.llama_model_free(model)
        raise


class LlamaCpp:
    """A loaded model, which it owns, and the tokens of the last conversation in its memory."""

    def __init__(
        self, name: str, model: lib.llama_model_p, context: int | None, threads: int
    ) -> None:
        self.name = name
        self.context = min(context or DEFAULT_CONTEXT, lib.llama_model_n_ctx_train(model))
        self._vocabulary = _Vocabulary(model)
        self._template = self._vocabulary.template()
        self._seen: list[int] = []
        self._turn = threading.Lock()
        settings = lib.llama_context_default_params()
        settings.n_ctx = self.context
        settings.n_threads = settings.n_threads_batch = threads
        ctx = lib.llama_init_from_model(model, settings)
        if ctx is None:
            raise Unavailable(
                f"there is no room for a context of {self.context:,} tokens: {_complaint()}",
                hint="close other programs, or use a smaller model: ai models list",
            )
        self._ctx = ctx
        self._free = weakref.finalize(self, _free, ctx, model)

    def close(self) -> None:
        """Free the model and its memory; safe to repeat. An open stream must be closed first."""
        if not self._turn.acquire(blocking=False):
            raise Conflict(f"{self.name} is still answering")
        self._free()
        self._turn.release()

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
    ) -> Iterator[Delta]:
        """Answer `messages` token by token; tool calls are looked for where there are tools."""
        if not self._turn.acquire(blocking=False):
            raise Conflict(f"{self.name} is still answering another message")
        try:
            if not self._free.alive:
                raise Unavailable(f"{self.name} is closed")
            score = answer.Score()
            prompt = self._prompt(messages, tools)
            score.prompt, score.cached = len(prompt), self._rewind(prompt)
            pieces = self._pieces(prompt[score.cached :], sampling, score)
            texts = answer.texts(pieces, drop_space=self._vocabulary.begins_with_space)
            yield from answer.deltas(texts, score, with_tools=bool(tools))
        finally:
            self._turn.release()

    def _prompt(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> list[int]:
        prompt = self._vocabulary.tokenize(self._template.render(messages, tools))
        if len(prompt) >= self.context:
            raise Invalid(
                f"the conversation is {len(prompt):,} tokens, "
                f"the model's context is {self.context:,}",
                hint="start a new conversation, or send less text",
            )
        return prompt

    def _rewind(self, prompt: list[int]) -> int:
        """Cut memory back to what it shares with `prompt`; returns how many tokens that is.

        The last prompt token is always evaluated again: its logits are gone. The cut also
        removes a token that an interrupt left in memory before it was written down.
        """
        kept = len(os.path.commonprefix([prompt[:-1], self._seen]))
        memory = lib.llama_get_memory(self._ctx)
        if not lib.llama_memory_seq_rm(memory, 0, kept, -1):
            # Recurrent models cannot forget a part.
            lib.llama_memory_clear(memory, True)
            kept = 0
        del self._seen[kept:]
        return kept

    def _pieces(
        self, prompt: list[int], sampling: Sampling, score: answer.Score
    ) -> Iterator[bytes]:
        """What each token of the answer spells, up to the model's end or the limit's."""
        room = self.context - score.prompt
        limit = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
        spell = self._vocabulary.piece
        for token in self._tokens(prompt, sampling, limit):
            score.tick()
            if (piece := spell(token)) is None:
                score.finish = "stop"
                return
            score.completion += 1
            yield piece

    def _tokens(self, prompt: list[int], sampling: Sampling, limit: int) -> Iterator[int]:
        """At most `limit` sampled tokens after `prompt`; the last stays out of memory."""
        self._evaluate(prompt)
        ctx, seen, decode, sample = (
            self._ctx,
            self._seen,
            lib.llama_decode,
            lib.llama_sampler_sample,
        )
        one = (lib.llama_token * 1)()
        batch = lib.llama_batch_get_one(one, 1)
        sampler = _sampler(sampling)
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
        # Python hears Ctrl-C only between the chunks, so they are small.
        for at in range(0, len(tokens), _CHUNK):
            chunk = tokens[at : at + _CHUNK]
            array = (lib.llama_token * len(chunk))(*chunk)
            _check(lib.llama_decode(self._ctx, lib.llama_batch_get_one(array, len(chunk))))
            self._seen += chunk


class _Vocabulary:
    """A model's tokens: text to ids and back."""

    def __init__(self, model: lib.llama_model_p) -> None:
        self._model = model
        self._vocab = lib.llama_model_get_vocab(model)
        # SentencePiece writes a word with the space before it, also the first.
        self.begins_with_space = lib.llama_vocab_type(self._vocab) == lib.LLAMA_VOCAB_TYPE_SPM
        self._pieces: dict[int, bytes | None] = {}

    def tokenize(self, pieces: Sequence[str]) -> list[int]:
        """The ids of `pieces`, special tokens read, nothing merged across the seams."""
        found = [token for piece in pieces for token in self._ids(piece.encode())]
        bos = lib.llama_vocab_bos(self._vocab)
        if lib.llama_vocab_get_add_bos(self._vocab) and found[:1] != [bos]:
            found.insert(0, bos)
        return found

    def piece(self, token: int) -> bytes | None:
        """What `token` shows, None where it ends the answer; one that steers shows nothing."""
        if token not in self._pieces:
            self._pieces[token] = self._shown(token)
        return self._pieces[token]

    def template(self) -> ChatTemplate:
        """The model's own chat template, or what stands in for it."""
        own = lib.llama_model_chat_template(self._model, None) or b""
        return ChatTemplate(
            own.decode(errors="replace"),
            self._specials(),
            bos=self._text(lib.llama_vocab_bos(self._vocab)),
            eos=self._text(lib.llama_vocab_eos(self._vocab)),
        )

    def _shown(self, token: int) -> bytes | None:
        if lib.llama_vocab_is_eog(self._vocab, token):
            return None
        steers = lib.llama_vocab_get_attr(self._vocab, token) & _CONTROL
        # Some vocabularies count a tool call's tags among the tokens that steer.
        return b"" if steers and self._text(token) not in {OPEN, CLOSE} else self._spell(token)

    def _specials(self) -> Specials:
        attr, vocab = lib.llama_vocab_get_attr, self._vocab
        count = lib.llama_vocab_n_tokens(vocab)
        kinds = [(n, kind) for n in range(count) if (kind := attr(vocab, n)) & (_CONTROL | _MARK)]
        marks = [self._text(n) for n, kind in kinds if kind & _MARK]
        return Specials(
            control=tuple(self._text(n) for n, kind in kinds if kind & _CONTROL),
            marks=tuple(mark for mark in marks if mark.startswith(("<", "["))),
        )

    def _ids(self, text: bytes) -> list[int]:
        size = len(text) + 2
        tokens = (lib.llama_token * size)()
        count = lib.llama_tokenize(self._vocab, text, len(text), tokens, size, False, True)
        return tokens[:count]

    def _spell(self, token: int, size: int = 64) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        needed = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
        return buffer.raw[:needed] if needed >= 0 else self._spell(token, -needed)

    def _text(self, token: int) -> str:
        return self._spell(token).decode(errors="replace") if token >= 0 else ""


def _sampler(sampling: Sampling) -> "lib.llama_sampler_p":
    if sampling.temperature <= 0:
        steps = [lib.llama_sampler_init_greedy()]
    else:
        seed = lib.LLAMA_DEFAULT_SEED if sampling.seed is None else sampling.seed
        steps = [
            lib.llama_sampler_init_top_k(sampling.top_k),
            lib.llama_sampler_init_top_p(sampling.top_p, 1),
            lib.llama_sampler_init_min_p(sampling.min_p, 1),
            lib.llama_sampler_init_temp(sampling.temperature),
            lib.llama_sampler_init_dist(seed & 0xFFFFFFFF),
        ]
    found: lib.llama_sampler_p = lib.llama_sampler_chain_init(
        lib.llama_sampler_chain_default_params()
    )
    for step in steps:
        lib.llama_sampler_chain_add(found, step)
    return found


def _free(ctx: lib.llama_context_p, model: lib.llama_model_p) -> None:
    lib.llama_free(ctx)
    lib.llama_model_free(model)


def _check(code: int) -> None:
    if code:
        raise Unavailable(f"llama.cpp could not evaluate a token (code {code}): {_complaint()}")


def _complaint() -> str:
    """llama.cpp's first error line, without the names of its functions."""
    first = next(iter(_complaints), "llama.cpp gives no reason")
    return re.sub(r"^(\w+: )+(error loading model: (\w+: )?)?", "", first)
