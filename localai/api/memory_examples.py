"""What the description shows of conversations: one, from end to end."""

from typing import Any, Final

NEW: Final[dict[str, Any]] = {
    "title": "The kettle",
    "messages": [
        {"role": "user", "content": "How do I remove limescale?"},
        {"role": "assistant", "content": "With vinegar, once a month."},
    ],
}
SESSION: Final[dict[str, Any]] = {
    "id": "5c1e0f9a7b2d3846",
    "title": "The kettle",
    "workspace": "/home/kim/shop",
    "project": "/home/kim/shop",
    "created_at": "2026-11-22T09:30:00.000Z",
    "updated_at": "2026-11-22T09:30:00.000Z",
    "messages": 2,
    "importance": 1,
    "is_pinned": False,
}
PAGE: Final[dict[str, Any]] = {"items": [SESSION], "total": 1, "next": None}
_UNSAID: Final[dict[str, Any]] = {
    "tool_calls": [],
    "tool_call_id": None,
    "tool_name": None,
    "approval_id": None,
    "model": None,
    "is_interrupted": False,
}
TRANSCRIPT: Final[dict[str, Any]] = {
    "session": SESSION,
    "turns": [{"seq": n, **each, **_UNSAID} for n, each in enumerate(NEW["messages"], 1)],
}
WORDS: Final[dict[str, Any]] = {"q": "limescale"}
MEANING: Final[dict[str, Any]] = {"q": "cleaning the kitchen", "meaning": True}
FOUND: Final[dict[str, Any]] = {
    "items": [
        {
            "session": SESSION["id"],
            "title": "The kettle",
            "seq": 1,
            "role": "user",
            "at": "2026-11-22T09:30:00.000Z",
            "snippet": "How do I remove limescale?",
        }
    ],
    "total": 1,
    "next": None,
}
STATISTICS: Final[dict[str, Any]] = {
    "conversations": 1,
    "pinned": 0,
    "projects": 1,
    "messages": 2,
    "by_role": {"assistant": 1, "user": 1},
    "first_at": "2026-11-22T09:30:00.000Z",
    "last_at": "2026-11-22T09:30:00.000Z",
}
