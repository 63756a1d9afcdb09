"""Other processes of this home, which need not load what this one has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from localai.app import App
from localai.core.line.method import Method
from localai.core.line.server import Answering, answering

_LENT = "another `ai serve` of this home keeps the models loaded, and lends them"


@contextmanager
def attending(
    rooms: App, address: str, keep_s: int
) -> Iterator[tuple[Answering | None, Sequence[str]]]:
    """Let commands attach to this process, which is served at the address.

    None, and why, where they cannot. What nobody has used for `keep_s` seconds is to be unloaded.
    """

    def methods(callers: Callable[[], int]) -> Mapping[str, Method]:
        rooms.keep_loaded(keep_s)
        return rooms.answers(address, callers)

    with ExitStack() as stack:
        try:
            answers = stack.enter_context(answering(rooms.line_place, methods))
        except OSError as error:
            yield None, [f"commands load models of their own: no socket here, {error.strerror}"]
        else:
            yield answers, [] if answers else [_LENT]
