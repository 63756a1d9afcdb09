"""How likely tokens were: the logarithm of a softmax, beside the text that they spell."""

import math
import random
from collections.abc import Sequence

import pytest

from localai.infer.chances import Chances, chance
from localai.infer.engine import Chance, Delta, ToolCall


def _spell(token: int) -> bytes:
    return f"<{token}>".encode()


@pytest.mark.parametrize("size", [1, 2, 500])
@pytest.mark.parametrize("tops", [0, 1, 5])
def test_a_chance_is_the_logarithm_of_a_softmax(size: int, tops: int) -> None:
    """Also of large logits, which a plain sum would not survive."""
    dice = random.Random(size)
    logits = [dice.uniform(-900, 900) if size > 2 else 800.0 + each for each in range(size)]
    highest = max(logits)
    whole = highest + math.log(math.fsum(math.exp(each - highest) for each in logits))
    best = sorted(range(size), key=lambda each: -logits[each])[:tops]
    for token in (0, size - 1):
        found = chance(logits, token, tops, _spell)
        assert found.token == _spell(token)
        assert found.logprob == pytest.approx(logits[token] - whole)
        assert [each for each, _ in found.tops] == [_spell(each) for each in best]
        assert [value for _, value in found.tops] == pytest.approx(
            [logits[each] - whole for each in best]
        )


def test_what_is_ruled_out_has_no_chance() -> None:
    """It stays the lowest, and the others share what there is."""
    found = chance([0.0, -math.inf, 0.0], 1, 3, _spell)
    assert found.logprob == -math.inf
    assert found.tops[0][1] == pytest.approx(math.log(0.5))


def _told(tokens: Sequence[bytes], *deltas: Delta) -> list[list[bytes]]:
    """The tokens beside each of the deltas, which all were drawn before the first."""
    chances = Chances()
    for token in tokens:
        chances.add(Chance(token, -1.0))
    return [[each.token for each in found.chances] for found in chances.beside(iter(deltas))]


@pytest.mark.parametrize(
    ("tokens", "deltas", "told"),
    [
        ([b"a", b"b"], [Delta("a"), Delta("b")], [[b"a"], [b"b"]]),
        ([b"a", b"b"], [Delta("ab")], [[b"a", b"b"]]),
        ([b" a", b"b"], [Delta("a"), Delta("b")], [[b" a"], [b"b"]]),
        ([b"</think>", b"\n", b"a"], [Delta("a")], [[b"a"]]),
        ([b"five", b" si", b"x"], [Delta("five"), Delta()], [[b"five"], []]),
        ([b"\xec", b"\x95", b"\x88"], [Delta("안")], [[b"\xec", b"\x95", b"\x88"]]),
        ([b"a\xec", b"\x95\x88"], [Delta("a"), Delta("안")], [[b"a\xec"], [b"\x95\x88"]]),
        ([b"hm", b"a"], [Delta(thought="hm"), Delta("a")], [[], []]),
        ([b"x"], [Delta(tool_call=ToolCall("c", "f", "{}")), Delta("b")], [[], []]),
    ],
)
def test_each_text_has_its_tokens(
    tokens: list[bytes], deltas: list[Delta], told: list[list[bytes]]
) -> None:
    """However they are cut; those of thoughts, calls, tags and stops are nobody's."""
    assert _told(tokens, *deltas) == told
