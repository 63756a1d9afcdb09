"""How much of a model a graphics card takes; pure over what its header says and what is free.

llama.cpp puts whole layers on a card, the output first and then the blocks from the last to the
first; what a block keeps of the conversation, its KV cache, lies where the block lies. The rest
stays in main memory, the table of tokens always. What computing takes was measured on llama.cpp's
own reports: one batch's numbers of the step that needs most at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

DEFAULT_CONTEXT: Final = 8192
# Half of it is given up before layers are: a whole model on the card answers several times faster.
LEAST_CONTEXT: Final = 4096
# For the driver, for the screen, and for what grows while a model runs.
SPARE_BYTES: Final = 512 << 20
BATCH: Final = 128
BATCH_GPU: Final = 512

_FLOAT: Final = 4
# Bytes of a number of the cache: q8_0 and q4_0 keep 32 numbers in 34 and 18 bytes.
KV_BYTES: Final[Mapping[str, float]] = {"f16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32}
_KV_BLOCK: Final = 32


@dataclass(frozen=True)
class Shape:
    """What the parts of a model take.

    One entry a block, first to last: `blocks` are the bytes of its weights, `kept` how many
    numbers its cache has for a token (of every token, also where attention sees a window: what
    is dropped could not be gone back to). `output` are the bytes of the matrix that turns the
    last block's numbers into a token, `table` those of the table of tokens; where they are
    `tied`, the same matrix is both, and a card has a copy of it. The rest count numbers: a
    block's `width`, its attention `heads`, the inside of its feed-forward, the `vocabulary`, and
    the smallest `piece` of the cache that is stored as one.
    """

    blocks: Sequence[int]
    kept: Sequence[int]
    output: int
    table: int
    width: int
    heads: int
    feed_forward: int
    vocabulary: int
    piece: int
    tied: bool

    @property
    def layers(self) -> int:
        """How many layers llama.cpp counts: the blocks, and one for the output."""
        return len(self.blocks) + 1


@dataclass(frozen=True)
class Wish:
    """What was asked for; what is None is chosen."""

    context: int | None = None
    gpu_layers: int | None = None
    kv_type: str | None = None
    flash_attention: bool | None = None


@dataclass(frozen=True)
class Card:
    """A graphics card, and its memory in bytes."""

    name: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Share:
    """What of a model lies in one memory, in bytes; `spare` is left free on purpose."""

    free: int
    weights: int
    kv: int
    computing: int
    spare: int = 0

    @property
    def needed(self) -> int:
        """All of it together."""
        return self.weights + self.kv + self.computing + self.spare

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.needed <= self.free


@dataclass(frozen=True)
class Plan:
    """How a model is loaded: `gpu_layers` of its `layers` on the cards, the rest beside them.

    `flash_attention` None leaves it to llama.cpp, which takes it where the build has it.
    """

    context: int
    kv_type: str
    flash_attention: bool | None
    layers: int
    gpu_layers: int
    cards: tuple[str, ...]
    on_cards: Share | None
    in_memory: Share


def plan(shape: Shape, wish: Wish, trained: int, cards: Sequence[Card], memory: int) -> Plan:
    """Choose what was not asked for, so that as much of the model as can be is on the cards.

    `trained` is the longest context the model knows, `memory` the bytes of main memory that are
    free. Before a layer stays beside the cards, the cache is halved by q8_0, and then a context
    that nobody asked for; where that does not suffice, it is left whole.
    """
    choices = [
        _plan(shape, wish, context, kv_type, cards, memory)
        for context in _contexts(wish, trained)
        for kv_type in _kv_types(shape, wish)
    ]
    if not cards or wish.gpu_layers == 0:
        return choices[0]
    whole = (each for each in choices if _is_enough(each, wish))
    longest = [each for each in choices if each.context == choices[0].context]
    return next(whole, max(longest, key=lambda each: each.gpu_layers))


def fewer(layers: int) -> int:
    """How many layers to try after so many found no room."""
    return layers * 3 // 4


def _is_enough(plan: Plan, wish: Wish) -> bool:
    if wish.gpu_layers is not None:
        return plan.on_cards is None or plan.on_cards.fits
    return plan.gpu_layers == plan.layers


def _contexts(wish: Wish, trained: int) -> Iterator[int]:
    longest = min(wish.context or DEFAULT_CONTEXT, trained)
    yield longest
    if wish.context is None and longest // 2 >= LEAST_CONTEXT:
        yield longest // 2


def _kv_types(shape: Shape, wish: Wish) -> Iterator[str]:
    yield wish.kv_type or "f16"
    # Small numbers need flash attention, and pieces of a size that they are packed in.
    is_packable = wish.flash_attention is not False and shape.piece % _KV_BLOCK == 0
    if wish.kv_type is None and is_packable:
        yield "q8_0"


def _plan(  # noqa: PLR0913 - a model, what is wanted, and what there is
    shape: Shape, wish: Wish, context: int, kv_type: str, cards: Sequence[Card], memory: int
) -> Plan:
    # A quantised cache turns it on; llama.cpp finds out whether the build has it.
    flash = wish.flash_attention if kv_type == "f16" else True
    batch = BATCH_GPU if cards else BATCH
    computing = computing_bytes(shape, context, batch, flash=flash is not False)
    kv = kv_bytes(shape, context, kv_type)
    free = sum(card.free_bytes for card in cards)
    every = Share(free, 0, 0, len(cards) * computing, len(cards) * SPARE_BYTES)
    if wish.gpu_layers is None:
        layers = _layers(shape, kv, free - every.needed) if cards else 0
    else:
        layers = min(wish.gpu_layers, shape.layers) if cards else 0
    first = len(shape.blocks) - max(layers - 1, 0)
    weights = shape.output + sum(shape.blocks[first:])
    on_cards = replace(every, weights=weights, kv=sum(kv[first:]))
    beside = shape.table + sum(shape.blocks[:first])
    if not layers:
        beside += shape.output - (shape.table if shape.tied else 0)
    return Plan(
        context,
        kv_type,
        flash,
        shape.layers,
        layers,
        tuple(card.name for card in cards) if layers else (),
        on_cards if layers else None,
        Share(memory, beside, sum(kv[:first]), computing),
    )


def _layers(shape: Shape, kv: Sequence[int], room: int) -> int:
    """How many layers `room` bytes take, the output first, then the blocks from the last."""
    blocks = map(sum, zip(reversed(shape.blocks), reversed(kv), strict=True))
    return sum(1 for taken in accumulate([shape.output, *blocks]) if taken <= room)


def kv_bytes(shape: Shape, context: int, kv_type: str) -> list[int]:
    """What each block keeps of a conversation of `context` tokens."""
    return [int(kept * KV_BYTES[kv_type] * context) for kept in shape.kept]


def computing_bytes(shape: Shape, context: int, batch: int, *, flash: bool) -> int:
    """What one batch's numbers take in the step that needs most of them at once."""
    mask = context // 2 if flash else context
    scores = 0 if flash else shape.heads * context
    attention = mask + scores + 8 * shape.width
    feed_forward = mask + 2 * shape.feed_forward + 4 * shape.width
    words = shape.vocabulary + 3 * shape.width
    return _FLOAT * batch * max(attention, feed_forward, words)
