"""An answer on its way out: bytes to text, text to deltas, and its score.

Pure: any engine that has tokens can use it.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

from localai.infer.engine import Delta, Finish, ToolCall, Usage
from localai.infer.thinking import Thought, split
from localai.infer.toolcalls import ToolCallParser, tag_start


@dataclass(slots=True)
class Score:
    """What one answer has cost so far; times are readings of the performance counter."""

    started: float = field(default_factory=perf_counter)
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    first: float = 0.0
    last: float = 0.0
    finish: Finish = "length"

    def tick(self) -> None:
        """A token has come."""
        self.last = perf_counter()
        self.first = self.first or self.last

    def usage(self) -> Usage:
        """The score as a record; the rate leaves out the first token, which `ttft_ms` has."""
        took = self.last - self.first
        return Usage(
            prompt_tokens=self.prompt,
            cached_tokens=self.cached,
            completion_tokens=self.completion,
            ttft_ms=round((self.first - self.started) * 1000, 3) if self.first else 0.0,
            tokens_per_second=round((self.completion - 1) / took, 3) if took else 0.0,
        )


def unheard(_: Usage) -> None:
    """Nobody asks what an answer cost."""


@contextmanager
def told(score: Score, spent: Callable[[Usage], None]) -> Iterator[None]:
    """Let `spent` hear what it has cost, however the answer ends."""
    try:
        yield
    finally:
        spent(score.usage())


def texts(pieces: Iterable[bytes], *, drop_space: bool = False) -> Iterator[str]:
    """The text of token `pieces`; a character split over tokens waits for its last byte.

    One cut off at the end is dropped. `drop_space` drops a space that begins the text.
    """
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    prefix = " " if drop_space else ""
    for piece in pieces:
        if text := decode(piece):
            if shown := text.removeprefix(prefix):
                yield shown
            prefix = ""


def deltas(
    answer: Iterable[str],
    score: Score,
    *,
    with_tools: bool,
    is_thinking: bool = False,
    stops: Sequence[str] = (),
) -> Iterator[Delta]:
    """The deltas of `answer`, the last with usage; tool calls are sought only `with_tools`.

    `is_thinking` where the prompt ends with the tag that begins a thought. What is said ends before
    the first of the `stops`; nothing more is then asked of `answer`.
    """
    pieces = split(answer, is_thinking=is_thinking)
    found = _with_calls(pieces, score) if with_tools else map(_delta, pieces)
    yield from _until(found, stops, score) if stops else found
    yield Delta(usage=score.usage(), finish=score.finish)


def _until(found: Iterable[Delta], stops: Sequence[str], score: Score) -> Iterator[Delta]:
    """What is found before the first stop; the beginning of one is held back."""
    held = ""
    for delta in found:
        if not delta.text:
            if delta.tool_call and held:
                yield Delta(held)
                held = ""
            yield delta
            continue
        held += delta.text
        whole = [(at + len(stop), at) for stop in stops if (at := held.find(stop)) >= 0]
        # Of several, the one that is whole first: so it does not matter where the pieces are cut.
        open_at = len(held) - max(tag_start(held, stop) for stop in stops)
        ready = min(whole)[1] if whole else open_at
        if ready:
            yield Delta(held[:ready])
        held = held[ready:]
        if whole:
            score.finish = "stop"
            return
    if held:
        yield Delta(held)


def _with_calls(pieces: Iterable[str], score: Score) -> Iterator[Delta]:
    parser = ToolCallParser()
    called = False
    for piece in pieces:
        found = [piece] if isinstance(piece, Thought) else parser.feed(piece)
        for delta in map(_delta, found):
            called = called or delta.tool_call is not None
            yield delta
    for delta in map(_delta, parser.finish()):
        called = called or delta.tool_call is not None
        yield delta
    if called and score.finish == "stop":
        score.finish = "tool_calls"


def _delta(found: str | ToolCall) -> Delta:
    if isinstance(found, ToolCall):
        return Delta(tool_call=found)
    return Delta(thought=str(found)) if isinstance(found, Thought) else Delta(found)
