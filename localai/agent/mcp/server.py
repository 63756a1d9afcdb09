"""Our tools, documents and prompts as the protocol has them; the rooms are called in threads.

The event loop only carries messages: whatever works is synchronous and runs in one of a few
threads, and a call that waits for a person holds none.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from mcp import types
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError

from localai import __version__
from localai.agent.mcp.calls import Calls, Told, refused, waits
from localai.agent.mcp.shelf import Shelf
from localai.agent.runner import Runner, ToolInfo
from localai.approvals.records import Approval
from localai.core.errors import Invalid, LocalaiError, NotFound
from localai.rbac.permissions import Actor

T = TypeVar("T")
Context = ServerRequestContext[Any, Any]

LONGEST_WAIT_S = 50  # clients give up after a minute
RESULT = "approval_result"

# The database lends 30 connections, and whoever writes may need a second one.
_WORKING = 6
_LOOKING = 4
_POLL_S = 0.25
_NAME = 80
_INSTRUCTIONS = (
    "Tools of localai work in the user's workspace, under the user's role. A call of high risk "
    f"waits until a person approves it on that machine. A result that says PENDING has not run: "
    f"tell the user what to type, then call {RESULT} with its id."
)
_RESULT_TOOL = types.Tool(
    name=RESULT,
    description="Take up a PENDING call: its result once a person approved it, or why not.",
    input_schema={
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "the approval_id of the pending call"},
            "wait_s": {
                "type": "number",
                "description": f"how many seconds to wait for the person, {LONGEST_WAIT_S} at most",
            },
        },
        "required": ["id"],
        "additionalProperties": False,
    },
)


class Service:
    """What a client can ask for; `who` tells for whom a request is made, as an agent.

    A call that must be asked waits for `wait_s` seconds and is then handed back as pending.
    """

    def __init__(  # noqa: PLR0913 - the rooms that it opens to others
        self,
        who: Callable[[Context], Actor],
        calls: Calls,
        shelf: Shelf,
        runner: Runner,
        permissions: Callable[[Actor], frozenset[str]],
        *,
        wait_s: float,
    ) -> None:
        self._who = who
        self._calls = calls
        self._shelf = shelf
        self._runner = runner
        self._permissions = permissions
        self._wait_s = min(wait_s, LONGEST_WAIT_S)
        self._working = anyio.CapacityLimiter(_WORKING)
        self.looking = anyio.CapacityLimiter(_LOOKING)

    def server(self) -> Server[Any]:
        """The SDK's server, for whichever transport."""
        return Server(
            "localai",
            version=__version__,
            instructions=_INSTRUCTIONS,
            get_tool_input_schema=lambda _name: None,  # none of ours reads headers
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
        )

    async def _list_tools(self, ctx: Context, _: object) -> types.ListToolsResult:
        return types.ListToolsResult(tools=await self._look(self._tools, self._who(ctx)))

    def _tools(self, agent: Actor) -> list[types.Tool]:
        """The tools that the role permits; none for who may run none."""
        held = self._permissions(agent)
        if not held >= {"tools:read", "tools:run"}:
            return []
        infos = self._runner.tools(agent).items
        return [*(_tool(info) for info in infos if info.permission in held), _RESULT_TOOL]

    async def _call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        agent, arguments = self._who(ctx), params.arguments or {}
        try:
            if params.name == RESULT:
                approval_id, wait_s = _wanted(arguments)
                begin = partial(self._calls.take, agent, approval_id)
            else:
                wait_s = self._wait_s
                given = json.dumps(arguments)
                begin = partial(self._calls.begin, agent, params.name, given, _program(ctx))
        except LocalaiError as error:
            return _result(refused(error))
        came = await self._work(begin)
        if isinstance(came, Approval) and wait_s > 0:
            await self._decided(ctx, agent, came, wait_s)
            came = await self._work(self._calls.take, agent, came.id)
        return _result(waits(came) if isinstance(came, Approval) else came)

    async def _decided(self, ctx: Context, agent: Actor, approval: Approval, wait_s: float) -> None:
        """Return when somebody has decided or time is over; the client is told of each look."""
        started = anyio.current_time()
        message = f"waits for a person: ai approve {approval.id}"
        while (waited := anyio.current_time() - started) < wait_s:
            await ctx.session.report_progress(waited, wait_s, message)
            await anyio.sleep(min(_POLL_S, wait_s - waited))
            if not await self._look(self._calls.is_waiting, agent, approval):
                return

    async def _list_resources(self, ctx: Context, _: object) -> types.ListResourcesResult:
        return types.ListResourcesResult(
            resources=await self._look(self._shelf.resources, self._who(ctx))
        )

    async def _list_templates(self, _: Context, __: object) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=[self._shelf.template])

    async def _read_resource(
        self, ctx: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        return await self._look(self._shelf.read, self._who(ctx), params.uri)

    async def _list_prompts(self, ctx: Context, _: object) -> types.ListPromptsResult:
        return types.ListPromptsResult(
            prompts=await self._look(self._shelf.prompts, self._who(ctx))
        )

    async def _get_prompt(
        self, ctx: Context, params: types.GetPromptRequestParams
    ) -> types.GetPromptResult:
        given = params.arguments or {}
        return await self._work(self._shelf.prompt, self._who(ctx), params.name, given)

    async def _work(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what may take long."""
        return await self._threaded(self._working, function, *arguments)

    async def _look(self, function: Callable[..., T], *arguments: object) -> T:
        """Run what is short, however much is at work."""
        return await self._threaded(self.looking, function, *arguments)

    async def _threaded(
        self, limiter: anyio.CapacityLimiter, function: Callable[..., T], *arguments: object
    ) -> T:
        try:
            return await anyio.to_thread.run_sync(partial(function, *arguments), limiter=limiter)
        except LocalaiError as error:
            is_theirs = isinstance(error, Invalid | NotFound)
            code = types.INVALID_PARAMS if is_theirs else types.INTERNAL_ERROR
            raise MCPError(code, refused(error).text) from error


def _wanted(arguments: Mapping[str, Any]) -> tuple[str, float]:
    """The request that is to be taken up, and how long to wait for it."""
    approval_id, wait_s = arguments.get("id"), arguments.get("wait_s", 0)
    is_number = isinstance(wait_s, int | float) and not isinstance(wait_s, bool)
    if not (isinstance(approval_id, str) and is_number and arguments.keys() <= {"id", "wait_s"}):
        message = f"{RESULT} takes an id and, if wanted, wait_s"
        raise Invalid(message, hint='as in {"id": "0123456789abcdef", "wait_s": 20}')
    return approval_id, min(wait_s, LONGEST_WAIT_S)


def _program(ctx: Context) -> str | None:
    """The client by its own name, for the person who decides: nobody has checked it."""
    client = ctx.session.client_params
    if client is None:
        return None
    name, version = client.client_info.name[:_NAME], client.client_info.version[:_NAME]
    return f"asked for through MCP by {name} {version}"


def _tool(info: ToolInfo) -> types.Tool:
    hints = types.ToolAnnotations(
        read_only_hint=info.risk == "low", destructive_hint=info.risk in {"high", "critical"}
    )
    return types.Tool(
        name=info.name,
        description=info.description,
        input_schema=dict(info.parameters),
        annotations=hints,
    )


def _result(told: Told) -> types.CallToolResult:
    # What is no Unicode cannot be sent, and must not cost the client its connection.
    text = told.text.encode(errors="backslashreplace").decode()
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text)],
        structured_content=dict(told.data) if told.data is not None else None,
        is_error=told.is_error,
    )
