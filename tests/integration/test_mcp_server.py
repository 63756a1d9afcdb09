"""Other programs use localai: the official client against `ai mcp serve`, over both transports."""

import json
import os
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx2
import mcp_clients as clients
import psutil
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_clients import by_http, by_stdio, data, key_of, listening, operator, run, text, typed
from terminal import Ai

from localai.core import counters
from localai.core.counters import counted
from localai.core.db import Database
from localai.core.directories import locate
from localai.core.metrics import HTTP_REQUESTS

Connect = Callable[[], AbstractAsyncContextManager[Client]]

NOTE = {"path": "note.txt", "content": "buy milk\n"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    assert Ai(folder / "home", folder)("init").code == 0
    return folder / "home"


@pytest.fixture
def ai(made: Path, tmp_path: Path) -> Ai:
    """`ai` in a home of its own and an empty workspace."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    shutil.copytree(made, tmp_path / "home")
    (tmp_path / "home").chmod(0o700)
    return Ai(tmp_path / "home", workspace)


@pytest.fixture(params=["stdio legacy", "stdio auto", "http legacy", "http auto"])
def connect(request: pytest.FixtureRequest, ai: Ai) -> Iterator[Connect]:
    """A way to the server: both transports, with clients of today and of yesterday."""
    transport, mode = request.param.split()
    if transport == "stdio":
        yield lambda: by_stdio(ai, "--wait", "0", mode=mode)
        return
    with listening(ai, "--wait", "0") as url:
        key = key_of(ai, operator(ai))
        yield lambda: by_http(url, key, mode=mode)


def test_a_call_that_waits_is_approved_elsewhere_and_runs_once(ai: Ai, connect: Connect) -> None:
    """Listed, read, asked for, pending, approved from another process, taken up, never again."""
    (ai.workspace / "a.txt").write_text("hello\n")

    async def work() -> None:
        async with connect() as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert {"read_file", "write_file", "approval_result"} <= tools.keys()
            hints = tools["read_file"].annotations, tools["write_file"].annotations
            assert [hint.read_only_hint for hint in hints if hint] == [True, False]
            assert text(await client.call_tool("read_file", {"path": "a.txt"})) == "hello\n"
            asked = await client.call_tool("write_file", NOTE)
            waiting = data(asked)
            assert (asked.is_error, waiting["status"], waiting["risk"]) == (
                False,
                "pending",
                "high",
            )
            assert f"ai approve {waiting['approval_id']}" in text(asked)
            again = {"id": waiting["approval_id"]}
            assert data(await client.call_tool("approval_result", again)) == waiting
            assert clients.files(ai.workspace) == {"a.txt"}
            sha256 = waiting["action_sha256"]
            decided = await typed(ai, "approve", waiting["approval_id"], "--sha256", sha256)
            assert decided.code == 0
            came = await client.call_tool("approval_result", again)
            assert (came.is_error, text(came)) == (False, "wrote 9 bytes to note.txt")
            (ai.workspace / "note.txt").unlink()
            came = await client.call_tool("approval_result", again)
            assert text(came).startswith("succeeded: wrote 9 bytes")
            assert clients.files(ai.workspace) == {"a.txt"}

    run(work)


@pytest.mark.prove
def test_an_agent_has_no_tool_to_approve_with(ai: Ai, connect: Connect) -> None:
    """Nothing that is offered decides, and a name that is guessed is no tool."""

    async def work() -> None:
        async with connect() as client:
            waiting = data(await client.call_tool("write_file", NOTE))
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert not any("approve" in name or "reject" in name for name in names)
            for name in ("approve", "ai_approve", "approvals"):
                refused = await client.call_tool(name, {"id": waiting["approval_id"]})
                assert (refused.is_error, data(refused)["category"]) == (True, "not_found")
            shown = await typed(ai, "approvals", "show", waiting["approval_id"], "--json")
            assert (shown.json["status"], shown.json["requester_kind"]) == ("pending", "agent")
            assert shown.json["reason"] == "asked for through MCP by mcp 0.1.0"

    run(work)


@pytest.mark.prove
def test_a_rejection_is_read_with_its_reason(ai: Ai) -> None:
    """And nothing is written."""

    async def work() -> None:
        async with by_stdio(ai, "--wait", "0") as client:
            waiting = data(await client.call_tool("write_file", NOTE))
            await typed(ai, "reject", waiting["approval_id"], "--reason", "wrong file")
            came = await client.call_tool("approval_result", {"id": waiting["approval_id"]})
            assert (came.is_error, data(came)["category"]) == (True, "rejected")
            assert "wrong file" in text(came)
            assert clients.files(ai.workspace) == set()

    run(work)


@pytest.mark.prove
def test_a_call_goes_on_by_itself_when_it_is_approved_in_time(ai: Ai) -> None:
    """The client is told meanwhile that a person is waited for, and other calls are answered."""
    (ai.workspace / "a.txt").write_text("hello\n")

    async def work() -> None:
        async with by_stdio(ai, "--wait", "50s") as client:
            told: list[str | None] = []
            asked = anyio.Event()

            async def progress(_: float, __: float | None, message: str | None) -> None:
                told.append(message)
                asked.set()

            async def decide() -> None:
                await asked.wait()
                assert text(await client.call_tool("read_file", {"path": "a.txt"})) == "hello\n"
                assert told[0] is not None
                await typed(ai, "approve", told[0].split()[-1])

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(decide)
                came = await client.call_tool("write_file", NOTE, progress_callback=progress)
            assert text(came) == "wrote 9 bytes to note.txt"

    run(work)


@pytest.mark.prove
def test_a_client_that_stops_waiting_leaves_a_request_that_can_be_taken_up(ai: Ai) -> None:
    """Nothing runs by itself, and the server goes on."""

    async def work() -> None:
        async with by_stdio(ai, "--wait", "50s") as client:
            with anyio.CancelScope() as scope:

                async def give_up(*_: object) -> None:
                    scope.cancel()

                await client.call_tool("write_file", NOTE, progress_callback=give_up)
            pending = (await typed(ai, "approvals", "list", "--json")).json["items"]
            assert [each["status"] for each in pending] == ["pending"]
            await typed(ai, "approve", pending[0]["id"])
            assert text(await client.call_tool("list_files", {})) == "(empty)"
            came = await client.call_tool("approval_result", {"id": pending[0]["id"]})
            assert text(came) == "wrote 9 bytes to note.txt"

    run(work)


@pytest.mark.prove
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_many_calls_at_once_are_all_answered(ai: Ai, transport: str) -> None:
    """While five wait for a person, which hold none of the threads that work."""
    (ai.workspace / "a.txt").write_text("hello\n")

    async def work(connecting: AbstractAsyncContextManager[Client]) -> None:
        async with connecting as client, anyio.create_task_group() as tasks:
            asked = [anyio.Event() for _ in range(5)]

            async def ask(number: int) -> None:
                async def progress(*_: object) -> None:
                    asked[number].set()

                given = NOTE | {"content": str(number)}
                await client.call_tool("write_file", given, progress_callback=progress)

            async def read() -> None:
                assert text(await client.call_tool("read_file", {"path": "a.txt"})) == "hello\n"

            for number in range(5):
                tasks.start_soon(ask, number)
            for event in asked:
                await event.wait()
            async with anyio.create_task_group() as reading:
                for _ in range(60):
                    reading.start_soon(read)
            tasks.cancel_scope.cancel()

    if transport == "stdio":
        run(lambda: work(by_stdio(ai, "--wait", "50s")))
        return
    with listening(ai, "--wait", "50s") as url:
        key = key_of(ai, operator(ai))
        run(lambda: work(by_http(url, key)))


@pytest.mark.prove
def test_a_conversation_that_floods_is_refused(ai: Ai) -> None:
    """One client is one conversation: five of its requests wait, and another client's do too."""

    async def work() -> None:
        async with by_stdio(ai, "--wait", "0") as client:
            results = [
                data(await client.call_tool("write_file", NOTE | {"content": str(number)}))
                for number in range(6)
            ]
            assert [each["status"] for each in results] == ["pending"] * 5 + ["refused"]
            assert results[5]["category"] == "denied"
        async with by_stdio(ai, "--wait", "0") as client:
            assert data(await client.call_tool("write_file", NOTE))["status"] == "pending"
            waiting = {"id": results[0]["approval_id"]}
            assert data(await client.call_tool("approval_result", waiting))["status"] == "pending"

    run(work)


@pytest.mark.prove
def test_a_session_that_a_client_makes_up_is_no_new_conversation(ai: Ai) -> None:
    """Clients without sessions are one conversation for each key, whatever they send."""
    key = key_of(ai, operator(ai))

    async def work(url: str) -> None:
        told = []
        for number in range(6):
            made_up = {"Mcp-Session-Id": str(number)}
            async with by_http(url, key, mode="2026-07-28", headers=made_up) as client:
                told.append(data(await client.call_tool("write_file", NOTE))["status"])
        assert told == ["pending"] * 5 + ["refused"]

    with listening(ai, "--wait", "0") as url:
        run(lambda: work(url))


@pytest.mark.prove
def test_bad_calls_are_answered_and_the_server_stays(ai: Ai) -> None:
    """Wrong arguments, huge ones, unknown names, requests that are none."""

    async def work() -> None:
        async with by_stdio(ai, "--wait", "0") as client:
            for name, arguments, category in (
                ("read_file", {}, "invalid"),
                ("read_file", {"path": 5}, "invalid"),
                ("read_file", {"path": "x" * 2_000_000}, "invalid"),
                ("read_file", {"path": "\0"}, "invalid"),
                ("read_file", {"path": 2**60}, "invalid"),
                ("nothing", {}, "not_found"),
                ("approval_result", {}, "invalid"),
                ("approval_result", {"id": "abcd", "wait_s": "long"}, "invalid"),
                ("approval_result", {"id": "../../etc"}, "not_found"),
                ("approval_result", {"id": "0123456789abcdef"}, "not_found"),
            ):
                came = await client.call_tool(name, arguments)
                assert (name, came.is_error, data(came)["category"]) == (name, True, category)
            assert text(await client.call_tool("list_files", {})) == "(empty)"

    run(work)


@pytest.mark.prove
def test_lines_that_are_no_messages_are_answered_and_the_next_one_is_read(ai: Ai) -> None:
    """And the end of input is the end, with exit 0 and nothing but messages on stdout."""
    answers, done = clients.conversation(
        ai,
        [
            b"not json",
            b"\xff\xfe",
            b"[1, 2]",
            b"{}",
            b"",
            b"[" * 100_000,
            b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": [1]}',
            b"x" * (9 << 20),
            json.dumps(INITIALIZE).encode(),
        ],
    )
    assert [(each.get("id"), each["error"]["code"]) for each in answers[:7]] == [
        (None, -32700),
        (None, -32700),
        (None, -32600),
        (None, -32600),
        (None, -32700),
        (7, -32600),
        (None, -32600),
    ]
    assert (answers[7]["id"], answers[7]["result"]["serverInfo"]["name"]) == (1, "localai")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.prove
@pytest.mark.parametrize(
    ("way", "code", "said"),
    [
        ("Ctrl-C", 130, "ai: interrupted\n"),
        ("SIGTERM", 0, ""),
        ("its input ends", 0, ""),
        ("nobody hears it", 0, ""),
    ],
)
def test_the_server_ends_and_with_it_what_its_tools_run(
    ai: Ai, way: str, code: int, said: str
) -> None:
    """No traceback, no program left behind, and the record says how it ended."""
    command = {"argv": ["sh", "-c", "echo > started; sleep 6543"]}
    call = {"name": "run_command", "arguments": command}
    asking = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}
    with ai.start("mcp", "serve", "--wait", "50s") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(f"{json.dumps(INITIALIZE)}\n{json.dumps(asking)}\n")
        process.stdin.flush()
        assert ai("approve", _waiting(ai)).code == 0
        _until((ai.workspace / "started").exists)
        if way == "its input ends":
            process.stdin.close()
        elif way == "nobody hears it":
            process.stdout.close()
            process.stdin.write('{"jsonrpc": "2.0", "id": 3, "method": "ping"}\n')
            process.stdin.flush()
        else:
            process.send_signal(signal.SIGINT if way == "Ctrl-C" else signal.SIGTERM)
        assert (process.wait(30), process.stderr.read()) == (code, said)
    running = psutil.process_iter(["cmdline"])
    assert not any("6543" in (each.info["cmdline"] or ()) for each in running)
    ended = ai("approvals", "list", "--json").json["items"][0]
    assert (ended["status"], ended["outcome"]) == ("failed", "ended by SIGTERM")


@pytest.mark.prove
def test_what_is_allowed_for_a_conversation_is_allowed_to_that_client_alone(ai: Ai) -> None:
    """Another client, or the same one started anew, asks again."""

    async def work() -> None:
        async with by_stdio(ai, "--wait", "0") as client:
            waiting = data(await client.call_tool("write_file", NOTE))
            done = await typed(ai, "approve", waiting["approval_id"], "--session", "-y")
            assert done.code == 0
            assert text(await client.call_tool("write_file", NOTE)) == "wrote 9 bytes to note.txt"
        async with by_stdio(ai, "--wait", "0") as client:
            assert data(await client.call_tool("write_file", NOTE))["status"] == "pending"

    run(work)


@pytest.mark.prove
def test_a_key_in_the_environment_says_for_whom_the_program_works(ai: Ai) -> None:
    """Its permissions alone hold, and a key that is none starts nothing."""
    words = ("keys", "create", "--user", operator(ai), "--json")
    limits = [f"--permission={each}" for each in ("tools:read", "tools:run", "files:read")]
    key = ai(*words, *limits).json["key"]

    async def work() -> None:
        async with by_stdio(ai, LOCALAI_API_KEY=key) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert {"read_file", "git_log", "approval_result"} <= set(names)
            assert not {"write_file", "run_command", "git_commit"} & set(names)
            refused = await client.call_tool("write_file", NOTE)
            assert data(refused)["category"] == "denied"
            assert (await client.list_resources()).resources == []
            assert (await client.list_prompts()).prompts == []

    run(work)
    assert ai("mcp", "serve", LOCALAI_API_KEY="lai_wrong").code == 3


@pytest.mark.prove
def test_over_http_only_a_key_that_holds_comes_in(ai: Ai) -> None:
    """No key, a wrong one, a foreign name, a foreign page, a huge body: refused before anything."""
    key = key_of(ai, operator(ai))
    revoked = key_of(ai, operator(ai))
    ai("keys", "revoke", revoked.split("_")[1])
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    own = {"X-API-Key": key}
    body = json.dumps(INITIALIZE)
    with listening(ai) as url:

        def status(given: dict[str, str], content: str = body) -> int:
            headers = clients.ACCEPTS | given
            return httpx2.post(url, headers=headers, content=content).status_code

        assert status(own) == 200
        assert status({"Authorization": f"Bearer {key}"}) == 200
        assert status({}) == 401
        assert status({"Authorization": f"Basic {key}"}) == 401
        assert [status({"X-API-Key": each}) for each in ("x", wrong, revoked)] == [401, 401, 401]
        assert status(own | {"Host": "evil.example"}) == 421
        assert status(own | {"Host": "localhost:1"}) == 200
        assert status(own | {"Origin": "http://evil.example"}) == 403
        assert status(own | {"Origin": "null"}) == 403
        assert status(own | {"Origin": "http://localhost:3000"}) == 200
        assert status(own, "x" * (1 << 20) + "x") == 413
        assert status(own, "not json") == 400
        assert status(own) == 200


@pytest.mark.prove
def test_over_http_every_request_is_counted(ai: Ai) -> None:
    """By method, status and template, those that are refused and those who left among them."""
    key = {"X-API-Key": key_of(ai, operator(ai))}
    with listening(ai) as url:
        for given in (key, {}):
            httpx2.post(url, headers=clients.ACCEPTS | given, json=INITIALIZE)
        httpx2.post(url, headers=clients.ACCEPTS | key, content="not json")
        httpx2.request("BREW", f"{url}/tea?of=5e55", headers=key)
        _leave(url, key["X-API-Key"])
    with closing(Database(locate(ai.home).database_file)) as database:
        found = {tuple(of.values()): n for of, n in counted(database, HTTP_REQUESTS)}
        with database.read() as connection:
            spent = counters.read(connection)["http_request_duration_seconds_bucket"]
    assert found == {
        ("POST", "mcp", "200"): 1,
        ("POST", "mcp", "401"): 1,
        ("POST", "mcp", "400"): 1,
        ("OTHER", "mcp", "404"): 1,
        ("POST", "mcp", "499"): 1,
    }
    by_endpoint = Counter[str]()
    for labels, n in spent:
        by_endpoint[labels["endpoint"]] += n
    assert by_endpoint == {"/mcp": 3, "other": 1}


def _leave(url: str, key: str) -> None:
    """Begin a request and hang up before it is whole, once the server has begun to read it."""
    place = urlsplit(url)
    assert place.hostname is not None
    head = f"POST {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nX-API-Key: {key}\r\n"
    given = {**clients.ACCEPTS, "Content-Length": "100", "Expect": "100-continue"}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    with socket.create_connection((place.hostname, place.port), timeout=30) as client:
        client.sendall(f"{head}{lines}\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 100")
        client.sendall(b"{")


@pytest.mark.prove
def test_over_http_a_role_is_held_to_what_it_may_and_a_session_to_its_key(ai: Ai) -> None:
    """A viewer runs nothing, and nobody takes up what another asked for."""
    for name, role in (("vera", "viewer"), ("uli", "user")):
        ai("users", "add", name, "--role", role)
    keys = {name: key_of(ai, name) for name in ("vera", "uli", operator(ai))}

    async def work(url: str) -> None:
        async with by_http(url, keys["vera"]) as vera:
            assert (await vera.list_tools()).tools == []
            refused = await vera.call_tool("list_files", {})
            assert (refused.is_error, data(refused)["category"]) == (True, "denied")
        async with by_http(url, keys["uli"]) as uli:
            names = {tool.name for tool in (await uli.list_tools()).tools}
            assert "write_file" in names
            assert "run_command" not in names
            waiting = {"id": data(await uli.call_tool("write_file", NOTE))["approval_id"]}
        await typed(ai, "approve", waiting["id"])
        async with by_http(url, keys[operator(ai)]) as other:
            stolen = await other.call_tool("approval_result", waiting)
            assert (stolen.is_error, data(stolen)["category"]) == (True, "not_found")
        assert clients.files(ai.workspace) == set()
        async with by_http(url, keys["uli"]) as uli:
            assert text(await uli.call_tool("approval_result", waiting)).startswith("wrote")

    with listening(ai, "--wait", "0") as url:
        opened = httpx2.post(
            url, headers=clients.ACCEPTS | {"X-API-Key": keys["uli"]}, json=INITIALIZE
        )
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"]}
        ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
        for name, status in (("uli", 200), ("vera", 404)):
            headers = clients.ACCEPTS | session | {"X-API-Key": keys[name]}
            assert httpx2.post(url, headers=headers, json=ping).status_code == status
        run(lambda: work(url))


@pytest.mark.prove
def test_what_was_asked_at_a_terminal_is_not_taken_up_through_the_protocol(ai: Ai) -> None:
    """A client reads its own requests alone, whatever its user has asked for elsewhere."""
    args = json.dumps(NOTE)
    assert ai("tools", "run", "write_file", "--args", args).code == 7
    waiting = _waiting(ai)
    ai("approve", waiting)

    async def work() -> None:
        async with by_stdio(ai) as client:
            came = await client.call_tool("approval_result", {"id": waiting})
            assert data(came)["category"] == "not_found"

    run(work)
    assert clients.files(ai.workspace) == set()


@pytest.mark.prove
def test_documents_are_resources_and_a_question_brings_their_passages(
    ai: Ai, tmp_path: Path
) -> None:
    """And while the server is open, another terminal asks them and indexes them."""
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "fox.md").write_text("# Foxes\n\nThe fox Reynard lives in a burrow.\n")
    assert ai("rag", "index", documents).code == 0

    async def work() -> None:
        async with by_stdio(ai) as client:
            (resource,) = (await client.list_resources()).resources
            assert resource.uri == "localai://documents/default"
            (contents,) = (await client.read_resource(resource.uri)).contents
            assert json.loads(contents.text)["files"] == 1
            (template,) = (await client.list_resource_templates()).resource_templates
            assert template.uri_template == "localai://documents/{collection}"
            prompts = {each.name for each in (await client.list_prompts()).prompts}
            assert prompts == {"ask_documents", "review_changes"}
            question = {"question": "who lives in the burrow"}
            asked = (await client.get_prompt("ask_documents", question)).messages[0].content.text
            assert "Reynard" in asked
            assert "cite" in asked
            query = ("rag", "query", "--no-answer", *question.values())
            assert "Reynard" in (await typed(ai, *query)).out
            (documents / "owl.md").write_text("# Owls\n\nThe owl lives in a tree.\n")
            assert (await typed(ai, "rag", "index", documents)).code == 0
            (resource,) = (await client.list_resources()).resources
            assert (resource.description or "").startswith("2 files")
            for uri in ("localai://documents/none", "file:///etc/passwd"):
                with pytest.raises(MCPError, match="not_found"):
                    await client.read_resource(uri)
            with pytest.raises(MCPError, match="not_found"):
                await client.get_prompt("none", {})

    run(work)


@pytest.mark.prove
@pytest.mark.prove
@pytest.mark.timeout(300)
def test_an_open_server_keeps_nobody_from_documents(ai: Ai, tmp_path: Path) -> None:
    """One asks through it, one at a terminal and one indexes: all of them go on."""
    seconds = 30.0 if os.environ.get("PROVE") == "1" else 3.0
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "fox.md").write_text("# Foxes\n\nThe fox Reynard lives in a burrow.\n" * 50)
    assert ai("rag", "index", documents).code == 0
    longest = 0.0

    async def work() -> None:
        nonlocal longest
        until = anyio.current_time() + seconds
        async with by_stdio(ai) as client, anyio.create_task_group() as tasks:

            async def ask() -> None:
                while anyio.current_time() < until:
                    given = {"question": "who lives in the burrow"}
                    await client.get_prompt("ask_documents", given)

            async def index() -> None:
                while anyio.current_time() < until:
                    (documents / "owl.md").write_text(f"# Owls\n\n{anyio.current_time()}\n" * 50)
                    done = await typed(ai, "rag", "index", documents)
                    assert (done.code, done.err) == (0, "")

            tasks.start_soon(ask)
            tasks.start_soon(index)
            while anyio.current_time() < until:
                started = anyio.current_time()
                done = await typed(ai, "rag", "query", "--no-answer", "who lives in the burrow")
                assert done.code == 0
                assert "Reynard" in done.out
                longest = max(longest, anyio.current_time() - started)

    run(work)
    print(f"the longest question at a terminal took {longest:.1f} s")


def _waiting(ai: Ai) -> str:
    """The id of the one request that waits, as soon as there is one."""
    found: list[str] = []

    def look() -> bool:
        found.extend(ai("approvals", "list", "--status", "pending", "-q").out.split())
        return bool(found)

    _until(look)
    return found[0]


def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(400):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError("that never happened")
