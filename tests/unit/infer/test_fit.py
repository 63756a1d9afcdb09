"""How a model is laid out over a card and main memory, in numbers."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.infer.fit import SPARE_BYTES, Card, Plan, Shape, Wish, fewer, kv_bytes, plan

GB = 10**9
# As the header of the published Q4_K_M files have it, to the nearest megabyte.
QWEN_3B = Shape(
    blocks=(47_000_000,) * 36,
    kept=(512,) * 36,
    output=255_000_000,
    table=175_000_000,
    width=2048,
    heads=16,
    feed_forward=11_008,
    vocabulary=151_936,
    piece=128,
    tied=False,
)
QWEN_7B = Shape(
    blocks=(139_000_000,) * 28,
    kept=(1024,) * 28,
    output=447_000_000,
    table=306_000_000,
    width=3584,
    heads=28,
    feed_forward=18_944,
    vocabulary=152_064,
    piece=128,
    tied=False,
)
QWEN_14B = replace(QWEN_7B, blocks=(168_000_000,) * 48, kept=(2048,) * 48)


NO_WISH = Wish()


def _planned(shape: Shape, free: float, wish: Wish = NO_WISH) -> Plan:
    card = Card("RTX", 6 * GB, int(free * GB))
    return plan(shape, wish, 32_768, [card] if free else [], 16 * GB)


def test_a_card_of_6_gb_takes_a_3b_model_whole() -> None:
    """With the whole context, unharmed."""
    found = _planned(QWEN_3B, 5.6)
    assert (found.gpu_layers, found.layers) == (37, 37)
    assert (found.context, found.kv_type) == (8192, "f16")
    assert found.on_cards is not None
    assert found.on_cards.fits


def test_a_card_of_6_gb_takes_a_7b_model_with_a_smaller_cache() -> None:
    """Rather than leaving layers to the processor; then half the context goes, then layers."""
    assert (_planned(QWEN_7B, 5.6).gpu_layers, _planned(QWEN_7B, 5.6).kv_type) == (29, "q8_0")
    tight = _planned(QWEN_7B, 5.35)
    assert (tight.gpu_layers, tight.kv_type, tight.context) == (29, "q8_0", 4096)
    tighter = _planned(QWEN_7B, 5.0)
    assert (tighter.kv_type, tighter.context) == ("q8_0", 8192)
    assert 24 <= tighter.gpu_layers < 29


def test_what_a_card_cannot_take_stays_in_main_memory() -> None:
    """All of it together is the model, wherever it lies."""
    found = _planned(QWEN_14B, 5.6)
    assert 0 < found.gpu_layers < found.layers
    assert found.on_cards is not None
    whole = sum(QWEN_14B.blocks) + QWEN_14B.output + QWEN_14B.table
    assert found.on_cards.weights + found.in_memory.weights == whole
    one_more = QWEN_14B.blocks[0] + kv_bytes(QWEN_14B, found.context, found.kv_type)[0]
    assert found.on_cards.fits
    assert found.on_cards.needed + one_more > found.on_cards.free


def test_without_room_or_card_the_processor_has_it_all() -> None:
    """A card that is full is as good as none."""
    for free in (0, 0.4):
        found = _planned(QWEN_3B, free)
        assert (found.gpu_layers, found.on_cards, found.cards) == (0, None, ())
        assert (found.context, found.kv_type) == (8192, "f16")
        assert found.in_memory.weights == sum(QWEN_3B.blocks) + QWEN_3B.output + QWEN_3B.table


def test_a_tied_table_is_copied_to_a_card_alone() -> None:
    """In main memory one matrix does both."""
    tied = replace(QWEN_3B, output=QWEN_3B.table, tied=True)
    assert _planned(tied, 0).in_memory.weights == sum(tied.blocks) + tied.table
    on_cards = _planned(tied, 5.6).on_cards
    assert on_cards is not None
    assert on_cards.weights == sum(tied.blocks) + tied.table


@pytest.mark.parametrize(
    ("wish", "kept"),
    [
        (Wish(context=8192), ("context", 8192)),
        (Wish(context=32_768), ("context", 32_768)),
        (Wish(context=99_999), ("context", 32_768)),
        (Wish(kv_type="f16"), ("kv_type", "f16")),
        (Wish(kv_type="q4_0"), ("kv_type", "q4_0")),
        (Wish(gpu_layers=29), ("gpu_layers", 29)),
        (Wish(gpu_layers=99), ("gpu_layers", 29)),
        (Wish(gpu_layers=3), ("gpu_layers", 3)),
        (Wish(gpu_layers=0), ("gpu_layers", 0)),
        (Wish(flash_attention=False), ("flash_attention", False)),
        (Wish(flash_attention=False), ("kv_type", "f16")),
    ],
)
def test_what_was_asked_for_is_kept(wish: Wish, kept: tuple[str, object]) -> None:
    """Also where the model then does not fit as well."""
    assert getattr(_planned(QWEN_7B, 5.0, wish), kept[0]) == kept[1]


def test_a_cache_that_cannot_be_packed_is_not() -> None:
    """Its pieces are stored 32 numbers at a time."""
    assert _planned(replace(QWEN_7B, piece=80), 5.6).kv_type == "f16"


def test_each_card_keeps_room_of_its_own() -> None:
    """Two cards of half the size hold less than one."""
    one = plan(QWEN_14B, Wish(), 32_768, [Card("one", 8 * GB, 8 * GB)], 16 * GB)
    two = plan(QWEN_14B, Wish(), 32_768, [Card("a", 4 * GB, 4 * GB)] * 2, 16 * GB)
    assert two.on_cards is not None
    assert two.on_cards.spare == 2 * SPARE_BYTES
    assert two.gpu_layers < one.gpu_layers
    assert two.cards == ("a", "a")


@given(st.integers(0, 80 * GB), st.integers(0, 80 * GB))
def test_more_room_never_takes_fewer_layers(free: int, more: int) -> None:
    """And a plan never counts on what is not there."""
    small, large = (_planned(QWEN_14B, size / GB) for size in sorted([free, more]))
    assert small.gpu_layers <= large.gpu_layers
    for found in (small, large):
        assert found.on_cards is None or found.on_cards.fits


def test_fewer_layers_end_at_none() -> None:
    """However many there were."""
    layers, tries = 81, 0
    while layers:
        assert fewer(layers) < layers
        layers, tries = fewer(layers), tries + 1
    assert tries < 15
