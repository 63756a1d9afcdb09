"""`ai chat`: a question, or a conversation, with a model on this machine."""

import sys
from contextlib import closing
from dataclasses import asdict, replace
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Exit

from localai.approvals.policy import LEVELS
from localai.cli.answer import Thoughts, answer
from localai.cli.call import Call, Json, is_terminal, noun
from localai.cli.console import linked, note, print_json
from localai.cli.exits import report
from localai.core.errors import Invalid, Pending
from localai.core.records import json_text

if TYPE_CHECKING:
    from localai.agent.events import Called, Calling, ChatResult, Event
    from localai.approvals.policy import Level
    from localai.approvals.records import Approval, Reply
    from localai.infer.engine import Engine

_LINE = 160
app = noun()


@app.command()
def chat(
    ctx: typer.Context,
    prompt: Annotated[list[str] | None, typer.Argument(metavar="[PROMPT]")] = None,
    *,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="As in `ai models list`.")
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Take the model for code.")] = False,
    chat_: Annotated[bool, typer.Option("--chat", help="Take the model for questions.")] = False,
    continue_: Annotated[
        bool, typer.Option("--continue", "-c", help="Go on where we left in this project.")
    ] = False,
    session: Annotated[str | None, typer.Option(metavar="ID", help="Go on with this one.")] = None,
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="Who the model is.")] = None,
    tools: Annotated[bool | None, typer.Option("--tools/--no-tools", help="May it act?")] = None,
    think: Annotated[
        bool | None, typer.Option("--think/--no-think", help="First on stderr, where it can?")
    ] = None,
    rag: Annotated[
        str | None, typer.Option(metavar="COLLECTION", help="Answer from these documents.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Length of an answer.")] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, help="0 is the likeliest; the model has its own.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Same seed, same answer.")] = None,
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Answer with JSON of this JSON schema.")
    ] = None,
    autonomy: Annotated[
        str, typer.Option(metavar="LEVEL", help="read-only, cautious, normal or trusting.")
    ] = "normal",
    yolo: Annotated[
        bool,
        typer.Option("--yolo", help="Ask for what is critical alone, whatever rules ask."),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why this model answers, on stderr.")
    ] = False,
    usage: Annotated[bool, typer.Option("--usage", help="Say what it cost, on stderr.")] = False,
    json: Json = False,
    stream: Annotated[bool, typer.Option("--stream", help="With --json: an event a line.")] = False,
) -> None:
    """Ask a model; without PROMPT on a terminal, open a conversation.

    Standard input is added to PROMPT. A tool call that needs approval is asked here, or waits.
    """
    call = Call(ctx, json=json)
    if schema and tools:
        raise Invalid("an answer of a schema calls no tool", hint="leave out --tools")
    text = _text(prompt)
    speaking = Speaking(
        call,
        session=call.app.history.last(call.actor, call.app.project) if continue_ else session,
        model=model,
        role=_role(code=code, chat=chat_),
        explains=explain,
        options={
            "system": system,
            "with_tools": tools,
            "thinks": think,
            "max_tokens": max_tokens,
            "temperature": temperature,
            "seed": seed,
            "schema": schema,
            "documents": call.app.documents(call.actor, rag) if rag else None,
            "autonomy": _level(autonomy),
            "yolo": yolo,
        },
        is_stream=stream,
        shows_usage=usage,
    )
    if text is not None or speaking.is_waiting:
        speaking.turn(text)
    elif not is_terminal():
        raise Invalid("nothing was asked", hint='ai chat "..."')
    if text is None and is_terminal():
        speaking.load(speaking.role or "chat")
        call.app.send_in_background()
        from localai.cli.repl import Repl

        Repl(call.app.directories.data / "chat_history").run(speaking.turn)


class Speaking:
    """A conversation at the terminal: one session, turn after turn, each with its model.

    It is the gate of its own calls.
    """

    def __init__(
        self,
        call: Call,
        *,
        session: str | None,
        model: str | None,
        role: str | None,
        explains: bool,
        options: dict[str, Any],
        is_stream: bool,
        shows_usage: bool,
    ) -> None:
        self._call = call
        self._session = session
        self._model = model
        self.role = role
        self._explains = explains
        self._options = options
        self._is_stream = is_stream
        self._shows_usage = shows_usage
        # Half a JSON document is none: it is shown when it is whole.
        self._is_data = options["schema"] is not None
        self._shown = answer(is_json=call.is_json or self._is_data)

    @property
    def is_waiting(self) -> bool:
        """Whether the conversation was left while a request of it waited."""
        history, actor = self._call.app.history, self._call.actor
        return self._session is not None and history.is_waiting(actor, self._session)

    def load(self, role: str) -> "Engine":
        """The model that is named, else the conversation's own or that for the role, ready."""
        call = self._call
        return call.app.ready(call.actor, model=self._named, role=role, warn=note)

    @property
    def _named(self) -> str | None:
        if self._model or self.role:  # what a person typed counts more
            return self._model
        return self._call.app.chosen_model(self._call.actor, self._session)

    def turn(self, text: str | None) -> None:
        """Say one thing and show the answer; exit 7 if a request waits."""
        result = self._answered(text)
        if self._call.is_json and not self._is_stream:
            print_json(result)
        elif self._is_data and not self._is_stream and not result.pending:
            print_json(loads(result.text))
        if not self._call.is_json:
            for passage in getattr(result, "passages", ()):  # of an answer over documents
                where = f"{passage.source} {passage.location}"
                cited = linked(where, passage.uri, stream=sys.stderr)
                print(f"[{passage.n}] {cited}", file=sys.stderr)
        if self._shows_usage:
            note(_cost(result))
        if result.pending:
            waiting = ", ".join(result.pending)
            hint = f"ai approve {result.pending[0]}, then: ai chat -c"
            told = Pending(f"waiting for a decision on {waiting}", hint=hint)
            if not self._call.is_json:
                raise told
            raise Exit(report(told, []))  # the result is the one document on standard output

    def decide(self, approval: "Approval") -> "Approval":
        """Bring a request to its decision, here or at another terminal; as a Gate."""
        gate = self._call.app.gate(self._call.actor, self._ask if is_terminal() else None)
        return gate.decide(approval)

    def _ask(self, approval: "Approval") -> "Reply":
        from localai.cli.inline import person

        self._shown.rest()
        return person(self._call, approval)

    def _answered(self, text: str | None) -> "ChatResult":
        """Show the events of one turn as they come; the last is the result."""
        app, actor = self._call.app, self._call.actor
        route = self._routed(text or "")
        engine = self.load(route)
        request = app.request(text, session=self._session, route=route, **self._options)
        self._session = app.agent.session(actor, self._session, text)
        request = replace(request, session=self._session)
        events = app.agent.chat(actor, request, engine, self)
        with closing(events), self._shown as shown, Thoughts() as thoughts:
            for event in events:
                if event.kind == "thought":
                    thoughts.add(event.text)
                else:
                    thoughts.rest()
                if self._is_stream:
                    print(json_text({"event": event.kind, **asdict(event)}), flush=True)
                if event.kind == "said":
                    shown.add(event.text)
                elif event.kind == "done":
                    result = event
                elif told := _noted(event):
                    shown.rest()
                    note(told)
                elif event.kind == "untold" and self._explains:
                    note(f"tools: {event.tools} have no room in this model's context")
        return result

    def _routed(self, text: str) -> str:
        """Which of the two models the question is for, or that one was named."""
        if self._named:
            return "explicit"
        if self.role:
            return self.role
        route = self._call.app.route(self._call.actor, text, self._session)
        if self._explains:
            note(f"route: {route}")
        return route.role


def _level(text: str) -> "Level":
    found = next((each for each in LEVELS if each == text), None)
    if found is None:
        raise Invalid(f"{text!r} is no level", hint=f"one of {', '.join(LEVELS)}")
    return found


def _role(*, code: bool, chat: bool) -> str | None:
    if code and chat:
        raise Invalid("--code and --chat are two models", hint="give one of them")
    return "code" if code else "chat" if chat else None


def _text(prompt: list[str] | None) -> str | None:
    """The prompt with what stands on standard input added to it."""
    parts = [" ".join(prompt)] if prompt else []
    if not sys.stdin.isatty() and (piped := sys.stdin.read().strip()):
        parts.append(piped)
    return "\n\n".join(parts) or None


def _noted(event: "Event") -> str | None:
    """The line that tells what happened beside the answer."""
    told = None
    match event.kind:
        case "calling":
            told = _announced(event)
        case "called":
            told = _told(event)
        case "stopped":
            told = f"[no more tools: {event.why}]"
        case "dropped":
            told = f"[the first {event.messages} messages no longer fit and are not read]"
        case "found" if not event.passages:
            told = f"[{event.collection} has nothing on this]"
    return told


def _announced(calling: "Calling") -> str:
    """The call in one line; what is long is cut here, and whole where somebody is asked."""
    arguments = " ".join(calling.arguments.split())
    cut = arguments if len(arguments) <= _LINE else f"{arguments[:_LINE]}..."
    return f"[{calling.name} {cut}]"


def _told(called: "Called") -> str:
    if called.pending:
        return f"[{called.name}: waits for a decision, {called.pending}]"
    first = called.text.strip().split("\n")[0]
    return f"[{called.name}: {'done' if called.ok else first[:160]}]"


def _cost(result: "ChatResult") -> str:
    usage = result.usage
    return (
        f"{result.model}: {usage.prompt_tokens} prompt tokens ({usage.cached_tokens} cached), "
        f"{usage.completion_tokens} generated, first after {usage.ttft_ms:.0f} ms, "
        f"{usage.tokens_per_second:.1f} a second"
    )
