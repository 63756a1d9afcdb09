"""Draws tokens with llama.cpp's samplers and, where there is a grammar, keeps to it.

A grammar is asked about the drawn token alone: a model mostly writes what it may. Only where the
token is refused are all others weighed. And a grammar that nothing can satisfy is let go of:
llama.cpp would end the process over a token that it does not allow.
"""

import ctypes
import math
import secrets
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from llama_cpp import llama_cpp as lib

from localai.infer.engine import USUAL_SAMPLING, Sampling
from localai.infer.grammar import Opening

_MOST = 1000.0  # of any recommended number
_ANY_SEED = lib.LLAMA_DEFAULT_SEED  # llama.cpp then takes one itself; the highest that it knows


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an answer keeps to, in GBNF: `text` all of it, `calls` what follows a call's tag.

    `text` "" is free text; without `calls` no tag is looked for.
    """

    text: str = ""
    calls: Callable[[], str] | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A vocabulary as an answer shows it: `piece` is what a token spells, None where it ends.

    A grammar counts the letters of a `silent` token, which nobody will read, so that none is drawn
    where the grammar chooses, nor within a call.
    """

    piece: Callable[[int], bytes | None]
    silent: Sequence[int]


class Sampler:
    """Draws one token after another while `ctx` lives; close it after the answer.

    `sampling` is as `settled` leaves it.
    """

    def __init__(
        self, ctx: lib.llama_context_p, words: Words, sampling: Sampling, bounds: Bounds
    ) -> None:
        self._ctx = ctx
        self._vocab = lib.llama_model_get_vocab(lib.llama_get_model(ctx))
        self._words = words
        self._calls = bounds.calls
        self._opening = Opening()
        self._grammar: lib.llama_sampler_p | None = None
        self._candidates: _Candidates | None = None
        self._chain = _chain(sampling)
        # The chain has no memory of its tokens, so one more that it saw does no harm.
        self._freely: Callable[[], int] = partial(lib.llama_sampler_sample, self._chain, ctx, -1)
        self._is_free = not bounds.text and bounds.calls is None
        self._is_prose = bool(bounds.text)
        if bounds.text:
            self._hold(bounds.text)

    @property
    def draw(self) -> Callable[[], int]:
        """What draws the next token after the last one that `ctx` has evaluated."""
        return self._freely if self._is_free else self._within

    def close(self) -> None:
        """Free what llama.cpp holds."""
        self._let_go()
        lib.llama_sampler_free(self._chain)

    def _within(self) -> int:
        token = self._freely()
        if self._grammar is not None:
            token = self._allowed(token)
        if self._calls and self._opening.feed(self._words.piece(token) or b""):
            self._hold(self._calls())
            self._is_prose = False
            # Further calls are in the grammar, too.
            self._calls = None
        return token

    def _allowed(self, token: int) -> int:
        """`token`, or another where the grammar refuses it, written down in the grammar."""
        if self._is_prose and self._words.piece(token) == b"":
            return token  # a model may steer itself between words; nobody reads it
        if not self._fits(token):
            other = self._redrawn()
            if not self._fits(other):
                self._let_go()
                return token
            token = other
        lib.llama_sampler_accept(self._grammar, token)
        return token

    def _fits(self, token: int) -> bool:
        if self._words.piece(token) == b"":
            return False
        one = lib.llama_token_data(token, 1.0, 0.0)
        row = lib.llama_token_data_array(ctypes.pointer(one), 1, -1, False)
        lib.llama_sampler_apply(self._grammar, ctypes.byref(row))
        return one.logit != -math.inf

    def _redrawn(self) -> int:
        if self._candidates is None:
            self._candidates = _Candidates(lib.llama_vocab_n_tokens(self._vocab))
        logits = lib.llama_get_logits_ith(self._ctx, -1)
        row = self._candidates.row(logits, self._words.silent)
        lib.llama_sampler_apply(self._grammar, ctypes.byref(row))
        lib.llama_sampler_apply(self._chain, ctypes.byref(row))
        return int(row.data[row.selected].id)

    def _hold(self, grammar: str) -> None:
        """Keep to `grammar` from here on; without one where llama.cpp cannot read it."""
        self._let_go()
        made = lib.llama_sampler_init_grammar(self._vocab, grammar.encode(), b"root")
        self._grammar = made or None

    def _let_go(self) -> None:
        grammar, self._grammar = self._grammar, None
        if grammar is not None:
            lib.llama_sampler_free(grammar)


class _Candidates:
    """Every token with its logit, in llama.cpp's layout."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._tokens = (lib.llama_token_data * count)()
        fields = memoryview(self._tokens).cast("B")
        self._ids = fields.cast("i")[::3]
        self._logits = fields.cast("f")[1::3]
        self._all = memoryview(array("i", range(count)))

    def row(
        self, logits: "ctypes._Pointer[ctypes.c_float]", silent: Sequence[int]
    ) -> lib.llama_token_data_array:
        """All of them, those that are `silent` ruled out."""
        # The last row's samplers have sorted them.
        self._ids[:] = self._all
        flat = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * self._count)).contents
        self._logits[:] = memoryview(flat).cast("B").cast("f")
        for token in silent:
            self._logits[token] = -math.inf
        first = ctypes.cast(self._tokens, lib.llama_token_data_p)
        return lib.llama_token_data_array(first, self._count, -1, False)


def recommended(model: lib.llama_model_p) -> Sampling:
    """How the model's file would have tokens drawn (its `general.sampling.*`), else as usual."""
    keys = {"temperature": "temp", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p"}
    found: dict[str, Any] = {
        name: _number(model, f"general.sampling.{key}") for name, key in keys.items()
    }
    return filled(Sampling(**found))


def filled(sampling: Sampling, own: Sampling = USUAL_SAMPLING) -> Sampling:
    """`sampling` with what it leaves open taken from `own`."""
    given = {name: value for name, value in asdict(sampling).items() if value is not None}
    return Sampling(**(asdict(own) | given))


def settled(sampling: Sampling, own: Sampling) -> Sampling:
    """What counts of `sampling`, with `own` where it leaves something open, and a seed.

    llama.cpp would keep a seed of its own choice to itself.
    """
    whole = filled(sampling, own)
    if not whole.temperature:
        return Sampling(temperature=0, max_tokens=whole.max_tokens)
    given = _ANY_SEED if whole.seed is None else whole.seed & _ANY_SEED
    seed = secrets.randbelow(_ANY_SEED) if given == _ANY_SEED else given
    return replace(whole, seed=seed)


def _number(model: lib.llama_model_p, key: str) -> float | None:
    """A number of the file's metadata; a file may hold anything."""
    buffer = ctypes.create_string_buffer(32)
    if lib.llama_model_meta_val_str(model, key.encode(), buffer, len(buffer)) < 0:
        return None
    try:
        value = float(buffer.value)
    except ValueError:
        return None
    return value if 0 <= value <= _MOST else None


def _chain(sampling: Sampling) -> "lib.llama_sampler_p":
    random = (
        lambda: lib.llama_sampler_init_top_k(int(sampling.top_k or 0)),
        lambda: lib.llama_sampler_init_top_p(sampling.top_p, 1),
        lambda: lib.llama_sampler_init_min_p(sampling.min_p, 1),
        lambda: lib.llama_sampler_init_temp(sampling.temperature),
        lambda: lib.llama_sampler_init_dist(sampling.seed),
    )
    settings = lib.llama_sampler_chain_default_params()
    steps: lib.llama_sampler_p = lib.llama_sampler_chain_init(settings)
    for step in random if sampling.temperature else (lib.llama_sampler_init_greedy,):
        lib.llama_sampler_chain_add(steps, step())
    return steps
