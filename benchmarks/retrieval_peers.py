"""What others make of the same documents: each is built from them and ranks them for a question.

Those that compare vectors get our passages and our model's vectors of them, because their own
models have to be downloaded; those that compare words get whole documents, as their guides do.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localai.rag.chunks import cut
from localai.rag.embed import Embedder
from localai.rag.sources import Refused, read

DEPTH = 100
_BATCH = 1000
_WORD = re.compile(r"\w+")

Rank = Callable[[str], list[Path]]


@dataclass(frozen=True)
class Corpus:
    """The documents whole, and their passages with vectors; a vector may be missing."""

    paths: Sequence[Path]
    texts: Sequence[str]
    owners: Sequence[Path]
    passages: Sequence[str]
    vectors: Sequence[list[float]]
    embedder: Embedder


def corpus(folder: Path, embedder: Embedder) -> Corpus:
    """The folder's files, cut and embedded as localai does it, but whatever their language."""
    sources = [
        found
        for path in sorted(folder.iterdir())
        if not isinstance(found := read(path, folder), Refused)
    ]
    pieces = [(Path(source.key), piece.indexed) for source in sources for piece in cut(source)]
    passages = [text for _, text in pieces]
    vectors = [each or [0.0] * embedder.dim for each in embedder.embed(passages)]
    paths, texts = [Path(each.key) for each in sources], [each.text for each in sources]
    return Corpus(paths, texts, [path for path, _ in pieces], passages, vectors, embedder)


def rank_bm25(found: Corpus) -> Rank:
    """rank_bm25's BM25Okapi on words as they stand."""
    from rank_bm25 import BM25Okapi

    index = BM25Okapi([_words(text) for text in found.texts])

    def rank(question: str) -> list[Path]:
        scores = index.get_scores(_words(question))
        return [found.paths[place] for place in scores.argsort()[::-1][:DEPTH]]

    return rank


def bm25s(found: Corpus) -> Rank:
    """bm25s as its guide has it: English stop words, and English stems by PyStemmer."""
    import bm25s as library
    import Stemmer

    stemmer = Stemmer.Stemmer("english")

    def tokens(texts: list[str]) -> object:
        return library.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    index = library.BM25()
    index.index(tokens(list(found.texts)), show_progress=False)

    def rank(question: str) -> list[Path]:
        places, _ = index.retrieve(tokens([question]), k=DEPTH, show_progress=False)
        return [found.paths[place] for place in places[0]]

    return rank


def chroma(found: Corpus) -> Rank:
    """A chromadb collection as it is made by default, with our vectors."""
    import chromadb
    from chromadb.config import Settings

    client = chromadb.EphemeralClient(Settings(anonymized_telemetry=False))
    collection = client.create_collection(f"c{id(found)}", embedding_function=None)
    for part in _slices(len(found.passages)):
        collection.add(
            ids=[str(place) for place in part],
            embeddings=[found.vectors[place] for place in part],
            documents=[found.passages[place] for place in part],
        )

    def rank(question: str) -> list[Path]:
        vector = found.embedder.embed_query(question)
        if vector is None:
            return []
        ids = collection.query(query_embeddings=[vector], n_results=DEPTH)["ids"][0]
        return _merged(found, map(int, ids))

    return rank


def qdrant_dense(found: Corpus) -> Rank:
    """qdrant-client with fastembed, dense vectors alone."""
    return _qdrant(found, is_fused=False)


def qdrant_fused(found: Corpus) -> Rank:
    """qdrant-client with fastembed's Bm25 beside the vectors, and the default fusion (RRF, k 2)."""
    return _qdrant(found, is_fused=True)


def _qdrant(found: Corpus, *, is_fused: bool) -> Rank:
    from fastembed import SparseTextEmbedding
    from qdrant_client import QdrantClient, models

    client = QdrantClient(":memory:")
    client.create_collection(
        "c",
        vectors_config={
            "dense": models.VectorParams(size=found.embedder.dim, distance=models.Distance.COSINE)
        },
        sparse_vectors_config={"bm25": models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    # An empty folder in place of the download, which holds lists of stop words alone.
    sparse = SparseTextEmbedding("Qdrant/bm25", specific_model_path=tempfile.mkdtemp())

    def vector(values: object) -> models.SparseVector:
        return models.SparseVector(**values.as_object())  # type: ignore[attr-defined]

    for part in _slices(len(found.passages)):
        words = sparse.embed([found.passages[place] for place in part])
        points = [
            models.PointStruct(
                id=place, vector={"dense": found.vectors[place], "bm25": vector(each)}
            )
            for place, each in zip(part, words, strict=True)
        ]
        client.upsert("c", points)

    def rank(question: str) -> list[Path]:
        direction = found.embedder.embed_query(question) or [0.0] * found.embedder.dim
        if not is_fused:
            points = client.query_points("c", query=direction, using="dense", limit=DEPTH).points
            return _merged(found, (point.id for point in points))
        words = vector(next(iter(sparse.query_embed(question))))
        legs = [
            models.Prefetch(query=direction, using="dense", limit=DEPTH),
            models.Prefetch(query=words, using="bm25", limit=DEPTH),
        ]
        fusion = models.FusionQuery(fusion=models.Fusion.RRF)
        points = client.query_points("c", prefetch=legs, query=fusion, limit=DEPTH).points
        return _merged(found, (point.id for point in points))

    return rank


PEERS: dict[str, Callable[[Corpus], Rank]] = {
    "rank_bm25": rank_bm25,
    "bm25s": bm25s,
    "chromadb, our vectors": chroma,
    "qdrant + fastembed, dense": qdrant_dense,
    "qdrant + fastembed, RRF": qdrant_fused,
}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _slices(length: int) -> Iterable[range]:
    return (range(start, min(start + _BATCH, length)) for start in range(0, length, _BATCH))


def _merged(found: Corpus, places: Iterable[int]) -> list[Path]:
    """The documents of the passages, each once, where its best passage stands."""
    return list(dict.fromkeys(found.owners[place] for place in places))
