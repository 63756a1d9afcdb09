"""The tool that finds what was said in the user's earlier conversations."""

from typing import TYPE_CHECKING, Annotated

from localai.agent.builtin.rooms import Rooms, clipped, who
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.rbac.permissions import Risk

if TYPE_CHECKING:
    from localai.agent.search import Found

MAX_FOUND = 10
_OWN = ByItself("in localai itself, which reads this user's conversations alone")


def tools(rooms: Rooms) -> tuple[Tool, ...]:
    """The tools of this family."""

    def memory_search(
        context: Context, text: Annotated[str, "words that were said, or what it was about"]
    ) -> ToolResult:
        """Find what was said in the user's earlier conversations of this project."""
        recalled = rooms.recall(who(context), text, MAX_FOUND)
        if not recalled.found:
            return ToolResult(True, "nothing like it was said before", "0 messages")
        lines = "\n".join(map(_shown, recalled.found))
        summary = f"{len(recalled.found)} messages"
        return ToolResult(True, clipped(lines), summary, is_foreign=recalled.is_foreign)

    return (
        Tool(
            name="memory_search",
            function=memory_search,
            permission="sessions:read",
            risk=Risk.LOW,
            confinement=_OWN,
        ),
    )


def _shown(found: "Found") -> str:
    return f"{found.at[:10]} {found.session[:8]} {found.title!r}, {found.role}: {found.snippet}"
