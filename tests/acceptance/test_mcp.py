"""Another program uses localai."""

import json

from terminal import Ai

CALL = {"name": "write_file", "arguments": {"path": "note.txt", "content": "buy milk\n"}}


def test_a_program_asks_a_person_approves_and_the_program_goes_on(ai: Ai) -> None:
    """By the command alone: a message a line on its input and on its output."""
    with ai.start("mcp", "serve", "--wait", "0") as program:
        assert program.stdin is not None
        assert program.stdout is not None
        client = {"protocolVersion": "2025-06-18", "capabilities": {}}
        client["clientInfo"] = {"name": "editor", "version": "1"}

        def ask(number: int, method: str, params: object) -> dict[str, object]:
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            program.stdin.write(json.dumps(message) + "\n")  # type: ignore[union-attr]
            program.stdin.flush()  # type: ignore[union-attr]
            return dict(json.loads(program.stdout.readline())["result"])  # type: ignore[union-attr]

        assert ask(1, "initialize", client)["serverInfo"] == {"name": "localai", "version": "0.1.0"}
        waiting = ask(2, "tools/call", CALL)["structuredContent"]
        assert isinstance(waiting, dict)
        assert waiting["status"] == "pending"
        assert ai("approve", waiting["approval_id"]).code == 0
        taken = {"name": "approval_result", "arguments": {"id": waiting["approval_id"]}}
        assert ask(3, "tools/call", taken)["isError"] is False
        assert (ai.workspace / "note.txt").read_text() == "buy milk\n"
        program.stdin.close()
        assert program.wait(30) == 0
        assert program.stderr is not None
        assert program.stderr.read() == ""


def test_a_port_without_http_is_an_error_that_says_what_to_type(ai: Ai) -> None:
    """Else a client would wait at a port that nobody opened."""
    done = ai("mcp", "serve", "--port", "8021")
    assert (done.code, "ai mcp serve --http --port N" in done.err) == (2, True)
