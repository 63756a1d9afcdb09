"""The embedded engine: GGUF models through llama.cpp, in this process.

Only this file and sampler.py import llama_cpp, and they stay on llama.cpp's own C interface:
the Python class above it keeps arrays for features that are not used here.
"""

import ctypes
import os
import re
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Final

from llama_cpp import __version__, _ggml
from llama_cpp import llama_cpp as lib

from localai.core.errors import Conflict, Invalid, NotFound, Unavailable
from localai.infer import answer, grammar, hardware
from localai.infer.chances import Chances, chance
from localai.infer.engine import (
    DEFAULT_SAMPLING,
    FREE,
    Delta,
    Form,
    Message,
    Sampling,
    ToolSpec,
    Usage,
)
from localai.infer.fit import BATCH, BATCH_GPU, DEFAULT_CONTEXT, Card, fewer
from localai.infer.parking import Parked, Parking
from localai.infer.prompt import ChatTemplate, Specials, shared
from localai.infer.receipt import Receipt, Weights, file_sha256, text_sha256, tokens_sha256
from localai.infer.sampler import Bounds, Sampler, Words, recommended, settled
from localai.infer.thinking import BEGIN, END
from localai.infer.toolcalls import CLOSE, OPEN

REQUIREMENT: Final = hardware.REQUIREMENT
WHOLE_CONTEXT: Final = 2**31 - 1  # capped by what a model was trained on
_WORTH_PARKING: Final = 64  # tokens; fewer are read again as fast
_CONTROL: Final = lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN
_MARK: Final = lib.LLAMA_TOKEN_ATTR_USER_DEFINED
_ERROR_LEVEL: Final = 4
_CARDS: Final = (1, 2)  # ggml's numbers for graphics cards, of their own or within a processor
_KV_TYPES: Final = {
    "f16": lib.GGML_TYPE_F16,
    "q8_0": lib.GGML_TYPE_Q8_0,
    "q4_0": lib.GGML_TYPE_Q4_0,
}
_OUT_OF_MEMORY: Final = re.compile(r"alloc|out of memory", re.IGNORECASE)
_SHOWN: Final = frozenset({OPEN, CLOSE, BEGIN, END})
_HINT: Final = "the file may be broken: ai models rm NAME, then add a fresh copy"
_complaints: deque[str] = deque(maxlen=4)


def _on_log(level: int, text: bytes, _: ctypes.c_void_p) -> None:
    if level == _ERROR_LEVEL:
        _complaints.append(text.decode(errors="replace").strip())


def _on_abort(text: bytes) -> None:
    # Next, llama.cpp would dump core. Nothing can be raised through C; 6 means unavailable.
    reason = text.decode(errors="replace").strip()
    os.write(2, f"ai: error: llama.cpp gave up on the model: {reason}\nhint: {_HINT}\n".encode())
    os._exit(6)


# C keeps these pointers, so the objects must live as long as the process.
_LOG = lib.llama_log_callback(_on_log)
_ABORT = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_on_abort)
lib.llama_log_set(_LOG, ctypes.c_void_p(0))
_ggml.libggml.ggml_set_abort_callback(_ABORT)


def gpu_offload_supported() -> bool:
    """Whether this build of llama.cpp can put a model on a graphics card."""
    return bool(lib.llama_supports_gpu_offload())


def cards(kinds: Sequence[int] = _CARDS) -> tuple[Card, ...]:
    """The graphics cards that this build of llama.cpp uses, and what is free on them now."""
    ggml = _ggml.libggml
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_description.restype = ctypes.c_char_p
    lib.llama_backend_init()
    found = []
    for number in range(ggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(ggml.ggml_backend_dev_get(ctypes.c_size_t(number)))
        if ggml.ggml_backend_dev_type(device) in kinds:
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            name = ggml.ggml_backend_dev_description(device).decode(errors="replace")
            found.append(Card(name.strip(), total.value, free.value))
    return tuple(found)


def load(  # noqa: PLR0913 - a file, and how it is loaded
    path: Path,
    *,
    name: str | None = None,
    context: int | None = None,
    threads: int | None = None,
    gpu_layers: int = -1,
    kv_type: str = "f16",
    flash_attention: bool | None = None,
    digest: Callable[[Path], str] = file_sha256,
    parking: Parking | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> "LlamaCpp":
    """Load the GGUF file at `path`; `name`, for people, defaults to its stem.

    `context` is at most what the model was trained on (default: that, up to 8,192 tokens);
    `threads` defaults to the physical cores; `gpu_layers` -1 offloads all that the build can.
    Where the cards have no memory for so many, fewer are tried, and `tell` hears it. `kv_type`
    is how numbers of a conversation's memory are stored, `flash_attention` None takes it where
    the build has it. `digest` is asked for the file's SHA-256 when the model first proposes a
    call. What it remembers of a conversation rests in `parking`, if given, while it is not
    talked about.
    """
    name = name or path.stem
    if not path.is_file():
        raise NotFound(f"there is no model file {path}", hint="ai models list")
    lib.llama_backend_init()
    settings = lib.llama_context_default_params()
    settings.n_ctx = context or DEFAULT_CONTEXT
    settings.n_batch = settings.n_ubatch = BATCH_GPU if gpu_offload_supported() else BATCH
    settings.type_k = settings.type_v = _KV_TYPES[kv_type]
    settings.flash_attn_type = -1 if flash_attention is None else int(flash_attention)
    weights = Weights(path, digest)
    while True:
        _complaints.clear()
        try:
            return _loaded(name, path, gpu_layers, threads, settings, weights, parking)
        except _NoRoom as error:
            if gpu_layers <= 0:
                raise
            less = fewer(gpu_layers)
            tell(f"{name}: no room for {gpu_layers} layers on the card, {less} are tried: {error}")
            gpu_layers = less


class _NoRoom(Unavailable):
    """A memory was too small for the model or its context."""


def _loaded(  # noqa: PLR0913 - one try to load a model
    name: str,
    path: Path,
    gpu_layers: int,
    threads: int | None,
    settings: lib.llama_context_params,
    weights: Weights,
    parking: Parking | None,
) -> "LlamaCpp":
    wanted = lib.llama_model_default_params()
    wanted.n_gpu_layers = gpu_layers
    model = lib.llama_model_load_from_file(bytes(path.resolve()), wanted)
    if model is None:
        kind = _NoRoom if _OUT_OF_MEMORY.search("\n".join(_complaints)) else Unavailable
        message = f"{path} cannot be loaded: {_complaint()}"
        raise kind(message, hint=_HINT.replace("NAME", name))
    threads = threads or hardware.useful_threads(lib.llama_model_n_params(model))
    settings.n_threads = settings.n_threads_batch = threads
    return LlamaCpp(name, model, settings, weights, parking)


class LlamaCpp:
    """A loaded model, which it owns, and the tokens of the last conversation in its memory.

    `spent` hears what each answer cost, also one that was closed midway.
    """

    def __init__(
        self,
        name: str,
        model: lib.llama_model_p,
        settings: lib.llama_context_params,
        weights: Weights,
        parking: Parking | None = None,
    ) -> None:
        owned = ExitStack()
        owned.callback(lib.llama_model_free, model)
        # Also at exit, where Metal aborts a process that left its model loaded.
        self._free = weakref.finalize(self, owned.close)
        self.name = name
        self.spent: Callable[[Usage], None] = answer.unheard
        self.context = min(settings.n_ctx, lib.llama_model_n_ctx_train(model))
        self._weights = weights
        self._parking = parking if parking and parking.is_open else None
        self._conversation = ""
        self._own = recommended(model)
        self._vocabulary = _Vocabulary(model)
        self._template = self._vocabulary.template()
        # Python hears Ctrl-C only between two batches of a prompt.
        self._batch = settings.n_batch
        self._seen: list[int] = []
        self._parked: list[int] = []
        self._calls: tuple[Sequence[ToolSpec], str] = (), ""
        self._turn = threading.Lock()
        self._is_stopping = False
        settings.n_ctx = self.context
        self._cache = (settings.type_k, settings.flash_attn_type)
        ctx = lib.llama_init_from_model(model, settings)
        if ctx is None:
            message = f"no memory for a context of {self.context:,} tokens: {_complaint()}"
            raise _NoRoom(message, hint="close other programs, or use a smaller model")
        owned.callback(lib.llama_free, ctx)
        self._ctx = ctx

    @property
    def calls_tools(self) -> bool:
        """Whether the model's own template speaks of tools."""
        return self._template.native_tools

    def close(self) -> None:
        """Free the model and its memory; safe to repeat, and an open stream just ends."""
        self._park()
        self._free()

    def stop(self) -> None:
        """Let an answer under way in another thread end at its next step, and none begin."""
        self._is_stopping = True

    def count(self, text: str) -> int:
        """How many tokens the text has."""
        return len(self._vocabulary.tokenize([text]))

    def recall(self, conversation: str) -> None:
        """Load what was remembered of the conversation by this model under these settings.

        Nothing is remembered of the one without a name, which belongs to nobody.
        """
        if conversation == self._conversation:
            return
        self._park()
        self._conversation = conversation
        if not (self._parking and conversation):
            return
        found = self._parking.get(conversation, self._fit)
        if not found or len(found.tokens) >= self.context:
            return
        self._forget()
        size = len(found.memory)
        data = (ctypes.c_ubyte * size).from_buffer(found.memory)
        if lib.llama_state_seq_set_data(self._ctx, data, size, 0) == size:
            self._seen[:] = self._parked = list(found.tokens)
        else:
            self._forget()

    def _park(self) -> None:
        """Keep what is remembered of the conversation at hand, if it is worth it and new."""
        if not (self._parking and self._conversation and self._free.alive):
            return
        if len(self._seen) < _WORTH_PARKING or self._seen == self._parked:
            return
        # An interrupt may have left a token in memory before it was written down.
        memory = lib.llama_get_memory(self._ctx)
        if not lib.llama_memory_seq_rm(memory, 0, len(self._seen), -1):
            return
        size = lib.llama_state_seq_get_size(self._ctx, 0)
        data = bytearray(size)
        view = (ctypes.c_ubyte * size).from_buffer(data)
        if lib.llama_state_seq_get_data(self._ctx, view, size, 0) == size:
            self._parking.put(self._conversation, self._fit, Parked(self._seen, data))
            self._parked = list(self._seen)

    def _forget(self) -> None:
        lib.llama_memory_clear(lib.llama_get_memory(self._ctx), True)
        self._seen.clear()

    @cached_property
    def _fit(self) -> str:
        """What a memory must have been made with to be loaded here."""
        settings = " ".join(map(str, (self.context, *self._cache)))
        return f"llama-cpp-python {__version__} {self._weights.version} {settings}"

    def stream(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[ToolSpec] = (),
        sampling: Sampling = DEFAULT_SAMPLING,
        form: Form = FREE,
    ) -> Generator[Delta]:
        """Answer `messages` token by token; calls, citations and JSON are well formed."""
        if not self._turn.acquire(blocking=False):
            raise Conflict(f"{self.name} is still answering another message")
        try:
            if not self._free.alive:
                raise Unavailable(f"{self.name} is closed")
            tools = tools if form.schema is None else ()
            score = answer.Score()
            text = grammar.answer(form.citations, form.schema)
            prompt, is_thinking = self._prompt(messages, tools, form)
            score.prompt, score.cached = len(prompt), self._rewind(prompt)
            bounds = Bounds(text, partial(self._calls_of, tools) if tools else None)
            drawn = settled(sampling, self._own)
            chances = Chances()
            hear = None if form.tops is None else partial(self._weigh, chances, form.tops)
            pieces = self._pieces(prompt[score.cached :], drawn, bounds, score, hear)
            texts = answer.texts(pieces, drop_space=self._vocabulary.begins_with_space)
            deltas = answer.deltas(
                texts,
                score,
                with_tools=bool(tools),
                is_thinking=is_thinking,
                stops=form.stops,
            )
            with answer.told(score, self.spent):
                for delta in chances.beside(deltas):
                    is_call = delta.tool_call is not None
                    yield replace(delta, receipt=self._receipt(prompt, drawn)) if is_call else delta
        finally:
            self._turn.release()

    def _weigh(self, chances: Chances, tops: int, token: int) -> None:
        """Write down how likely the token was that has just been drawn."""
        logits = lib.llama_get_logits_ith(self._ctx, -1)
        whole = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * self._vocabulary.size)).contents
        chances.add(chance(whole, token, tops, self._vocabulary.spell))

    def _receipt(self, prompt: Sequence[int], drawn: Sampling) -> Receipt:
        used = {name: value for name, value in asdict(drawn).items() if value is not None}
        return Receipt(
            engine=f"llama-cpp-python {__version__}",
            model=self.name,
            model_sha256=self._weights.sha256,
            template_sha256=text_sha256(self._template.source),
            seed=used.pop("seed", None),
            sampler=used,
            prompt_sha256=tokens_sha256(prompt),
        )

    def _prompt(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], form: Form
    ) -> tuple[list[int], bool]:
        """The tokens of the prompt, and whether a thought begins with its end."""
        thinks = False if form.is_held else form.thinks
        pieces = self._template.render(messages, tools, thinks=thinks)
        is_thinking = "".join(pieces[-2:]).rstrip().endswith(BEGIN)
        prompt = self._vocabulary.tokenize(pieces)
        if len(prompt) >= self.context:
            sizes = f"{len(prompt):,} tokens, the model's context is {self.context:,}"
            hint = "start a new conversation, or send less text"
            raise Invalid(f"the conversation is {sizes}", hint=hint)
        return prompt, is_thinking

    def _calls_of(self, tools: Sequence[ToolSpec]) -> str:
        """The grammar of calls, kept until there are other tools."""
        if self._calls[0] != tools:
            self._calls = tools, grammar.tool_calls(tools)
        return self._calls[1]

    def _rewind(self, prompt: list[int]) -> int:
        """Cut memory back to what it shares with `prompt`; returns how many tokens that is.

        The last prompt token is always evaluated again: its logits are gone. The cut also
        removes a token that an interrupt left in memory before it was written down.
        """
        kept = shared(prompt[:-1], self._seen)
        memory = lib.llama_get_memory(self._ctx)
        if not lib.llama_memory_seq_rm(memory, 0, kept, -1):
            self._forget()  # recurrent models cannot forget a part
            kept = 0
        del self._seen[kept:]
        return kept

    def _pieces(
        self,
        prompt: list[int],
        sampling: Sampling,
        bounds: Bounds,
        score: answer.Score,
        hear: Callable[[int], None] | None = None,
    ) -> Iterator[bytes]:
        """What each token of the answer spells, up to the model's end or the limit's.

        `hear` is told each token while its logits are there.
        """
        room = self.context - score.prompt
        limit = room if sampling.max_tokens is None else min(room, sampling.max_tokens)
        for token in self._tokens(prompt, sampling, bounds, limit):
            score.tick()
            if (piece := self._vocabulary.piece(token)) is None:
                score.finish = "stop"
                return
            score.completion += 1
            if hear is not None and piece:
                hear(token)
            yield piece

    def _tokens(
        self, prompt: list[int], sampling: Sampling, bounds: Bounds, limit: int
    ) -> Iterator[int]:
        """At most `limit` sampled tokens after `prompt`; the last stays out of memory."""
        self._evaluate(prompt)
        ctx, decode = self._ctx, lib.llama_decode
        one = (lib.llama_token * 1)()
        batch = lib.llama_batch_get_one(one, 1)
        with closing(Sampler(ctx, self._vocabulary.words, sampling, bounds)) as sampler:
            draw = sampler.draw
            for left in range(limit, 0, -1):
                token = draw()
                yield token
                if left == 1 or self._is_stopping or not self._free.alive:
                    return
                one[0] = token
                _check(decode(ctx, batch))
                self._seen.append(token)

    def _evaluate(self, tokens: list[int]) -> None:
        for at in range(0, len(tokens), self._batch):
            if self._is_stopping:
                raise Unavailable(f"{self.name} is closed")
            batch = tokens[at : at + self._batch]
            array = (lib.llama_token * len(batch))(*batch)
            _check(lib.llama_decode(self._ctx, lib.llama_batch_get_one(array, len(batch))))
            self._seen += batch


class _Vocabulary:
    """A model's tokens: text to ids and back."""

    def __init__(self, model: lib.llama_model_p) -> None:
        self._model = model
        self._vocab = lib.llama_model_get_vocab(model)
        # SentencePiece writes a word with the space before it, also the first.
        self.begins_with_space = lib.llama_vocab_type(self._vocab) == lib.LLAMA_VOCAB_TYPE_SPM
        self._pieces: dict[int, bytes | None] = {}
        attr, count = lib.llama_vocab_get_attr, lib.llama_vocab_n_tokens(self._vocab)
        kinds = ((n, attr(self._vocab, n)) for n in range(count))
        self.size = count
        self._special = [(n, kind) for n, kind in kinds if kind & (_CONTROL | _MARK)]

    @cached_property
    def words(self) -> Words:
        """Its tokens, as an answer shows them."""
        return Words(self.piece, [n for n, _ in self._special if self.piece(n) == b""])

    def tokenize(self, pieces: Sequence[str]) -> list[int]:
        """The ids of `pieces`, special tokens read, nothing merged across the seams."""
        found = [token for piece in pieces for token in self._ids(piece.encode(errors="replace"))]
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
        # Some vocabularies count the tags of calls and thoughts among the tokens that steer.
        return b"" if steers and self._text(token) not in _SHOWN else self.spell(token)

    def _specials(self) -> Specials:
        return Specials(
            control=tuple(self._text(n) for n, kind in self._special if kind & _CONTROL),
            marks=tuple(self._text(n) for n, kind in self._special if kind & _MARK),
        )

    def _ids(self, text: bytes, size: int = 1024) -> list[int]:
        tokens = (lib.llama_token * size)()
        count = lib.llama_tokenize(self._vocab, text, len(text), tokens, size, False, True)
        return tokens[:count] if count >= 0 else self._ids(text, -count)

    def spell(self, token: int, size: int = 64) -> bytes:
        """The token as the vocabulary has it, also one that steers or ends."""
        buffer = ctypes.create_string_buffer(size)
        needed = lib.llama_token_to_piece(self._vocab, token, buffer, size, 0, True)
        return buffer.raw[:needed] if needed >= 0 else self.spell(token, -needed)

    def _text(self, token: int) -> str:
        return self.spell(token).decode(errors="replace") if token >= 0 else ""


def _check(code: int) -> None:
    if code:
        raise Unavailable(f"llama.cpp could not evaluate a token (code {code}): {_complaint()}")


def _complaint() -> str:
    """llama.cpp's first error line, without the names of its functions."""
    first = next(iter(_complaints), "llama.cpp gives no reason")
    return re.sub(r"^(\w+: )+(error loading model: (\w+: )?)?", "", first)
