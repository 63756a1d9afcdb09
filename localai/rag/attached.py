"""Indexes and models that another process of this home holds, and how that process is asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from localai.core.errors import Invalid, Lost
from localai.core.line.client import Line
from localai.core.line.method import Method
from localai.rag.fusion import Hit
from localai.rag.index import Index, Point, Search
from localai.rag.models import EmbeddingModel, RankingModel

_EMBEDDER: Final = "embedder"
_EMBED: Final = "embedder.embed"
_QUERY: Final = "embedder.query"
_COUNT: Final = "embedder.count"
_RANKER: Final = "reranker"
_SCORE: Final = "reranker.score"
_ENGINES: Final = ("edge", "local")

T = TypeVar("T")
A = TypeVar("A")


@dataclass(frozen=True)
class About:
    """What a model is like."""

    name: str
    is_multilingual: bool
    dim: int = 0
    is_here: bool = True


@dataclass(frozen=True)
class Held:
    """Which index: the engine that holds it, and its folder's name."""

    engine: str
    directory: str


class _Attached(Generic[T]):
    """Something that `ai serve` holds; where that is gone, it is opened `here`."""

    def __init__(self, line: Line, here: Callable[[], T]) -> None:
        self._line = line
        self._here = here
        self._own: T | None = None

    def _ask(self, method: str, given: object, answer: Any, instead: Callable[[T], A]) -> A:
        if self._own is None:
            try:
                found: A = self._line.call(method, given, answer)
            except Lost:
                self._own = self._here()
            else:
                return found
        return instead(self._own)


class AttachedEmbedder(_Attached[EmbeddingModel]):
    """An embedding model."""

    def __init__(self, model: str, line: Line, here: Callable[[], EmbeddingModel]) -> None:
        super().__init__(line, here)
        about = self._ask(_EMBEDDER, (model, False), About, _about)
        self.name, self.dim, self.is_here = about.name, about.dim, about.is_here
        self.is_multilingual = about.is_multilingual

    def load(self) -> None:
        """Load the model now; Unavailable where it is not here, or cannot be read."""
        self._ask(_EMBEDDER, (self.name, True), About, _loaded)

    def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        """One vector of `dim` numbers a text, in order; None where the model sees no word."""
        kind = list[list[float] | None]
        return self._ask(_EMBED, (self.name, texts), kind, lambda own: own.embed(texts))

    def embed_query(self, text: str) -> list[float] | None:
        """The vector of a question; None where the model sees no word."""
        kind = list[float] | None
        return self._ask(_QUERY, (self.name, text), kind, lambda own: own.embed_query(text))

    def count(self, texts: Sequence[str]) -> int:
        """How many tokens of the texts the model reads."""
        return self._ask(_COUNT, (self.name, texts), int, lambda own: own.count(texts))


class AttachedReranker(_Attached[RankingModel]):
    """A model that compares texts with a question."""

    def __init__(self, model: str, line: Line, here: Callable[[], RankingModel]) -> None:
        super().__init__(line, here)
        about = self._ask(_RANKER, (model, False), About, _about_ranker)
        self.name, self.is_multilingual = about.name, about.is_multilingual

    def load(self) -> None:
        """Load the model now; Unavailable where it is not here, or cannot be read."""
        self._ask(_RANKER, (self.name, True), About, _loaded_ranker)

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the question, in the model's own measure."""
        given = (self.name, question, texts)
        return self._ask(_SCORE, given, list[float], lambda own: own.scores(question, texts))


class AttachedIndex(_Attached[Index]):
    """An index of passages."""

    def __init__(self, held: Held, line: Line, here: Callable[[], Index]) -> None:
        super().__init__(line, here)
        self._held = held

    def create(self, dim: int) -> None:
        """Make the place for the points, with dense vectors of `dim` numbers."""
        self._ask("index.create", (self._held, dim), None, lambda own: own.create(dim))

    def destroy(self) -> None:
        """Remove it, and what is in it."""
        self._ask("index.destroy", (self._held,), None, lambda own: own.destroy())

    def write(self, points: Sequence[Point]) -> None:
        """Store the points, on disk when this returns; an id that is there is replaced."""
        self._ask("index.write", (self._held, points), None, lambda own: own.write(points))

    def forget(self, files: Sequence[str], *, keep: Sequence[str] = ()) -> None:
        """Remove the files' points, but not those of a version to keep."""
        given = (self._held, files, keep)
        self._ask("index.forget", given, None, lambda own: own.forget(files, keep=keep))

    def search(self, search: Search) -> list[Hit]:
        """The best points first."""
        given = (self._held, search)
        return self._ask("index.search", given, list[Hit], lambda own: own.search(search))

    def count(self) -> int:
        """How many points there are."""
        return self._ask("index.count", (self._held,), int, lambda own: own.count())

    def points(self, after: str | None, limit: int, *, file: str | None = None) -> list[Point]:
        """The next points, of a file perhaps, by ascending id; fewer than `limit` are the last."""
        given = (self._held, after, limit, file)
        return self._ask(
            "index.points", given, list[Point], lambda own: own.points(after, limit, file=file)
        )


def methods(
    embedder: Callable[[str], EmbeddingModel],
    reranker: Callable[[str], RankingModel],
    index: Callable[[str, str], Index],
) -> Mapping[str, Method]:
    """What a process answers that holds models, and indexes by engine and folder."""

    def held(which: Held) -> Index:
        if which.engine not in _ENGINES or not which.directory.isalnum():
            raise Invalid(f"there can be no index {which.directory}")
        return index(which.engine, which.directory)

    def about(name: str, *, is_loaded: bool) -> About:
        return (_loaded if is_loaded else _about)(embedder(name))

    def about_ranker(name: str, *, is_loaded: bool) -> About:
        return (_loaded_ranker if is_loaded else _about_ranker)(reranker(name))

    return {
        _EMBEDDER: _method(tuple[str, bool], lambda name, loaded: about(name, is_loaded=loaded)),
        _EMBED: _method(tuple[str, list[str]], lambda name, texts: embedder(name).embed(texts)),
        _QUERY: _method(tuple[str, str], lambda name, text: embedder(name).embed_query(text)),
        _COUNT: _method(tuple[str, list[str]], lambda name, texts: embedder(name).count(texts)),
        _RANKER: _method(
            tuple[str, bool], lambda name, loaded: about_ranker(name, is_loaded=loaded)
        ),
        _SCORE: _method(
            tuple[str, str, list[str]],
            lambda name, question, texts: reranker(name).scores(question, texts),
        ),
        "index.create": _method(tuple[Held, int], lambda which, dim: held(which).create(dim)),
        "index.destroy": _method(tuple[Held], lambda which: held(which).destroy()),
        "index.write": _method(
            tuple[Held, list[Point]], lambda which, points: held(which).write(points)
        ),
        "index.forget": _method(
            tuple[Held, list[str], list[str]],
            lambda which, files, keep: held(which).forget(files, keep=keep),
        ),
        "index.search": _method(
            tuple[Held, Search], lambda which, search: held(which).search(search)
        ),
        "index.count": _method(tuple[Held], lambda which: held(which).count()),
        "index.points": _method(
            tuple[Held, str | None, int, str | None],
            lambda which, after, limit, file: held(which).points(after, limit, file=file),
        ),
    }


def _method(takes: Any, does: Callable[..., object]) -> Method:
    """One that takes several things and tells nothing."""
    return Method(takes, lambda given, _: does(*given))


def _about(model: EmbeddingModel) -> About:
    return About(model.name, model.is_multilingual, model.dim, model.is_here)


def _loaded(model: EmbeddingModel) -> About:
    model.load()
    return _about(model)


def _about_ranker(model: RankingModel) -> About:
    return About(model.name, model.is_multilingual)


def _loaded_ranker(model: RankingModel) -> About:
    model.load()
    return _about_ranker(model)
