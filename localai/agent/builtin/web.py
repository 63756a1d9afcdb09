"""The tool that reads a page of the web.

An address carries whatever is written into it to whoever owns the machine behind it. So a person
is asked about each one, and a redirect to another machine is another address.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from localai.agent.builtin.rooms import Rooms, clipped
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.approvals.action import Facts
from localai.core.address import address
from localai.core.errors import NotFound, Unavailable
from localai.rag.documents import Documents
from localai.rag.pages import text_of
from localai.rag.sources import Refused
from localai.rbac.permissions import Risk

_PUBLIC = ByItself(
    "in localai itself: by GET, from public addresses alone; what the address says goes there"
)


def tools(rooms: Rooms) -> tuple[Tool, ...]:
    """The tools of this family."""

    def web_fetch(
        _context: Context, url: Annotated[str, "an http or https address of the public internet"]
    ) -> ToolResult:
        """Fetch a page of the web and return its text."""
        try:
            page = rooms.fetch(url)
        except (NotFound, Unavailable) as error:
            return ToolResult(False, error.message, error.message)
        documents = Documents()
        try:
            text = text_of(page, documents)
        finally:
            documents.close()
        if isinstance(text, Refused):
            return ToolResult(False, f"{page.url} cannot be read: {text.reason}", text.reason)
        summary = f"{len(page.data)} bytes from {page.url}"
        return ToolResult(True, f"{page.url}\n\n{clipped(text)}", summary, is_foreign=True)

    return (
        Tool(
            name="web_fetch",
            function=web_fetch,
            permission="commands:run",
            risk=Risk.HIGH,
            confinement=_PUBLIC,
            facts=_facts,
        ),
    )


def _facts(_context: Context, arguments: Mapping[str, Any]) -> Facts:
    """None; but nobody is asked about what is no address."""
    address(arguments["url"])
    return Facts()
