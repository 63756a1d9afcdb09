"""The tools that tell which model answers, and let another one answer in this conversation."""

from typing import Annotated

from localai.agent.builtin.rooms import Rooms, who
from localai.agent.tools import ByItself, Context, Tool, ToolResult
from localai.infer.library import Model
from localai.rbac.permissions import Risk

_READS = ByItself("in localai itself, which reads the list of models")
_CHOOSES = ByItself("in localai itself, which changes the model of this conversation alone")


def tools(rooms: Rooms) -> tuple[Tool, ...]:
    """The tools of this family."""

    def get_current_model(context: Context) -> ToolResult:
        """Tell which language model answers here and which others there are."""
        actor = who(context)
        models = rooms.models(actor)
        name = rooms.answering(actor, actor.session) if actor.session else None
        first = f"{name} answers in this conversation" if name else "this is no conversation"
        lines = [first, "there are:", *map(_shown, models)]
        return ToolResult(True, "\n".join(lines), first)

    def switch_model(
        context: Context, name: Annotated[str, "a model as get_current_model lists it"]
    ) -> ToolResult:
        """Let another language model answer in this conversation from the next turn on."""
        actor = who(context)
        if not actor.session:
            said = "this is no conversation: ai models use NAME chooses for all of them"
            return ToolResult(False, said, "no conversation")
        said = f"{rooms.choose(actor, actor.session, name)} answers from the next turn on"
        return ToolResult(True, said, said)

    return (
        Tool(
            name="get_current_model",
            function=get_current_model,
            permission="models:read",
            risk=Risk.LOW,
            confinement=_READS,
        ),
        Tool(
            name="switch_model",
            function=switch_model,
            permission="models:read",
            risk=Risk.MEDIUM,
            confinement=_CHOOSES,
        ),
    )


def _shown(model: Model) -> str:
    roles = f" (for {', '.join(model.roles)})" if model.roles else ""
    return f"- {model.name}{roles}"
