"""The tool that looks things up in the documents of this home."""

from typing import TYPE_CHECKING, Annotated

from localai.agent.builtin.rooms import Rooms, clipped, who
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.rbac.permissions import Risk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localai.rag.records import Passage

_IN_DOCUMENTS = ByItself("in localai itself, which reads its index of documents")


def tools(rooms: Rooms) -> tuple[Tool, ...]:
    """The tools of this family."""

    def rag_search(
        context: Context,
        question: Annotated[str, "what you want to know, as a whole question"],
        collection: Annotated[str, "the collection of documents"] = "default",
        k: Annotated[int, "how many passages at most"] = 5,
    ) -> ToolResult:
        """Find passages about a question in the user's indexed documents."""
        passages = rooms.look_up(who(context), question, collection, k)
        if not passages:
            said = f"the documents of {collection} say nothing on this"
            return ToolResult(True, said, "0 passages")
        is_foreign = any(passage.trust == "untrusted" for passage in passages)
        text = clipped("\n\n".join(map(_shown, passages)))
        return ToolResult(True, text, _counted(passages), is_foreign=is_foreign)

    return (
        Tool(
            name="rag_search",
            function=rag_search,
            permission="rag:read",
            risk=Risk.LOW,
            confinement=_IN_DOCUMENTS,
        ),
    )


def _shown(passage: "Passage") -> str:
    mark = " (untrusted)" if passage.trust == "untrusted" else ""
    return f"[{passage.n}] {passage.source} {passage.location}{mark}\n{passage.text}"


def _counted(passages: "Sequence[Passage]") -> str:
    sources = len({passage.source for passage in passages})
    return f"{len(passages)} passages of {sources} sources"
