"""A line to another process's rooms, which in these tests are this one's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from localai.core.line.client import Line, find
from localai.core.line.method import Method
from localai.core.line.place import Place
from localai.core.line.server import answering


@contextmanager
def line_to(folder: Path, methods: Mapping[str, Method]) -> Iterator[Line]:
    """A line to these methods, over a socket in the folder."""
    place = Place(folder)
    with answering(place, lambda _: methods):
        line = find(place)
        assert line is not None
        yield line
        line.close()
