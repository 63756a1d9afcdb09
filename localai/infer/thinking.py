"""Splits what a model thinks from what it says: `<think>...</think>` before the answer.

Pure. The form of Qwen3, DeepSeek R1 and SmolLM3; a tag later in the answer is text.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from localai.infer.toolcalls import tag_start

BEGIN = "<think>"
END = "</think>"


class Thought(str):
    """A piece of what a model thinks before it answers."""

    __slots__ = ()


def split(answer: Iterable[str], *, is_thinking: bool = False) -> Iterator[str]:
    """The pieces of `answer`, thoughts as Thought; `is_thinking` where the prompt began them."""
    splitter = _Splitter(is_thinking=is_thinking)
    return chain(chain.from_iterable(map(splitter.feed, answer)), splitter.finish())


class _Splitter:
    def __init__(self, *, is_thinking: bool) -> None:
        self._held = ""
        self._step = self._think if is_thinking else self._begin

    def feed(self, text: str) -> Iterator[str]:
        """Yield what is certain so far."""
        if isinstance(text, Thought):  # a server has split them itself
            yield text
            return
        self._held += text
        before = None
        while before != self._step:
            before = self._step
            yield from self._step()

    def finish(self) -> Iterator[str]:
        """Yield what was held back."""
        if self._held:
            yield Thought(self._held) if self._step == self._think else self._held

    def _begin(self) -> Iterator[str]:
        """Before the answer: a tag, or none."""
        start = self._held.lstrip()
        if start.startswith(BEGIN):
            self._held, self._step = start.removeprefix(BEGIN), self._think
        elif not BEGIN.startswith(start):
            self._step = self._say
        return iter(())

    def _think(self) -> Iterator[str]:
        thought, found, after = self._held.partition(END)
        keep = 0 if found else tag_start(thought, END)
        self._held = after if found else thought[len(thought) - keep :]
        self._step = self._pause if found else self._think
        ready = thought[: len(thought) - keep]
        return iter([Thought(ready)] if ready else [])

    def _pause(self) -> Iterator[str]:
        """Blank lines between thought and answer belong to neither."""
        self._held = self._held.lstrip()
        self._step = self._say if self._held else self._pause
        return iter(())

    def _say(self) -> Iterator[str]:
        text, self._held = self._held, ""
        return iter([text] if text else [])
