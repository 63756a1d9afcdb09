"""A program that is an MCP server only as far as its first argument says; without the SDK."""

import itertools
import json
import os
import sys
import time
from typing import Any

HOW = sys.argv[1]
TOOL = {"name": "go", "description": "Goes.", "inputSchema": {"type": "object"}}
LINE = 1 << 20


def say(value: Any) -> None:
    sys.stdout.write((value if isinstance(value, str) else json.dumps(value)) + "\n")
    sys.stdout.flush()


def reply(request: dict[str, Any], **what: Any) -> None:
    number = 4711 if HOW == "wrong-id" else request["id"]
    say({"jsonrpc": "2.0", "id": number, **what})


def listed() -> dict[str, Any]:
    if HOW == "endless":
        return {"tools": [], "nextCursor": "more"}
    if HOW == "many":
        return {"tools": [{**TOOL, "name": f"go{n}"} for n in range(1000)]}
    if HOW == "two-hundred":
        wordy = {**TOOL, "description": "Goes. " * 40}
        return {"tools": [{**wordy, "name": f"go{n}"} for n in range(200)]}
    if HOW == "bent":
        return {"tools": [{"name": 7, "inputSchema": "none"}]}
    return {"tools": [TOOL]}


def asks() -> str:
    """Ask the client for all that a server may ask of one; what it gets."""
    wanted = {
        "sampling/createMessage": {"messages": [], "maxTokens": 9},
        "elicitation/create": {"message": "password?", "requestedSchema": {"type": "object"}},
        "roots/list": {},
    }
    answers = []
    for number, (method, params) in enumerate(wanted.items(), 100):
        say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        answers.append(json.loads(sys.stdin.readline()))
    return json.dumps(answers)


def logs() -> None:
    """Log a line that would paint the terminal, a thousand times."""
    for _ in range(1000):
        params = {"level": "emergency", "data": "\x1b[2J look here"}
        say({"jsonrpc": "2.0", "method": "notifications/message", "params": params})


def floods() -> None:
    """Write without an end, in one line or in many."""
    for _ in itertools.count():
        sys.stdout.write("x" * LINE + ("" if HOW == "flood-line" else "\n"))


def dies() -> None:
    """Say something on the standard error, then end."""
    sys.stderr.write("out of memory\x1b[2J")
    sys.stderr.flush()
    os._exit(3)


def called(request: dict[str, Any]) -> None:
    answer: dict[str, Any] = {"result": {"content": [{"type": "text", "text": "went"}]}}
    match HOW:
        case "asks":
            answer = {"result": {"content": [{"type": "text", "text": asks()}]}}
        case "own-error":
            answer = {"error": {"code": -32000, "message": "no such row"}}
        case "bent-answer":
            answer = {"result": {"content": "not a list"}}
        case "logs":
            logs()
        case "hang":
            time.sleep(600)
        case "die":
            dies()
        case "flood-line" | "flood-lines":
            floods()
    reply(request, **answer)


if HOW == "exit":
    sys.stderr.write("no such package")
    sys.exit(7)
if HOW == "banner":
    say("Welcome to my server!\n\n{not json\n[]\n{}")
if HOW == "garbage":
    for _ in itertools.count():
        say("\x00\xff" * 100)
for line in sys.stdin:
    if HOW == "silent":
        continue
    asked = json.loads(line)
    match asked.get("method"):
        case "initialize":
            info = {"name": "odd", "version": "1"}
            version = asked["params"]["protocolVersion"]
            reply(
                asked,
                result={
                    "protocolVersion": "1999-01-01" if HOW == "old" else version,
                    "capabilities": {"tools": {}},
                    "serverInfo": info,
                },
            )
        case "tools/list":
            reply(asked, result=listed())
        case "tools/call":
            called(asked)
        case _ if "id" in asked:
            reply(asked, error={"code": -32601, "message": "no such method"})
