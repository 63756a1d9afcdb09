"""What the description shows of documents: a text that is indexed, and asked."""

from typing import Any, Final

INDEX: Final[dict[str, Any]] = {
    "collection": "handbook",
    "documents": [
        {
            "source": "kettle.md",
            "text": "# Kettle\n\nThe kettle is descaled with vinegar every month.\n",
        }
    ],
}
PATHS: Final[dict[str, Any]] = {"collection": "handbook", "paths": ["docs"]}
REPORT: Final[dict[str, Any]] = {
    "collection": "handbook",
    "added": 1,
    "updated": 0,
    "unchanged": 0,
    "removed": 0,
    "skipped": [],
    "chunks": 1,
    "seconds": 0.204,
}
QUESTION: Final[dict[str, Any]] = {
    "question": "How is the kettle descaled?",
    "collection": "handbook",
    "k": 3,
}
PASSAGES: Final[dict[str, Any]] = {**QUESTION, "answer": False}
ANSWER: Final[dict[str, Any]] = {
    "question": "How is the kettle descaled?",
    "collection": "handbook",
    "answer": "The kettle is descaled with vinegar every month. [1]",
    "passages": [
        {
            "n": 1,
            "source": "kettle.md",
            "title": "kettle.md \u203a Kettle",
            "location": "L1-L3",
            "score": 1.3,
            "text": "# Kettle\n\nThe kettle is descaled with vinegar every month.",
            "trust": "untrusted",
            "uri": "",
        }
    ],
    "model": "localai/static-192",
    "timings_ms": {"embed": 0.4, "search": 5.1, "answer": 320.0},
}
COLLECTION: Final[dict[str, Any]] = {
    "name": "handbook",
    "description": "",
    "model": "localai/static-192",
    "dim": 192,
    "engine": "edge",
    "files": 1,
    "chunks": 1,
    "size_bytes": 69632,
    "roots": ["sent:kettle.md"],
    "created_at": "2026-11-22T09:30:00.000Z",
    "updated_at": "2026-11-22T09:30:00.000Z",
    "trust": "untrusted",
}
PAGE: Final[dict[str, Any]] = {"items": [COLLECTION], "total": 1, "next": None}
CHOSEN: Final[dict[str, Any]] = {"model": "localai/static-192", "reranker": "", "others": []}
