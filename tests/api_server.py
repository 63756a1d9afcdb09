"""A home served at a port of its own by this process, and the keys of people with each role."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from localai.api.server import Place, serve_home, touch
from localai.app import App
from localai.approvals.records import Approval
from localai.core.files import claimed
from localai.core.serving import address_of, listening
from localai.rbac.permissions import Actor

APPROVALS = "/api/v1/approvals"
ROLES = ("admin", "operator", "viewer", "user")
_DAY_S = 86_400


@dataclass
class Server:
    """Where a home is served, and who may come with which key."""

    app: App
    url: str
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def key(self, role: str, name: str | None = None) -> str:
        """A key of a user with that role, who is named after it."""
        user = name or role
        if user not in self.keys:
            self.app.users.add(self.app.actor, user, [role])
            made = self.app.api_keys.create(self.app.actor, user, lifetime_s=_DAY_S)
            self.keys[user] = made.key
        return self.keys[user]

    def client(self, role: str | None = "admin", **headers: str) -> httpx.Client:
        """Somebody with a key of that role."""
        given = {"X-API-Key": self.key(role)} if role else {}
        return httpx.Client(base_url=self.url, headers=given | headers, timeout=30, trust_env=False)

    @contextmanager
    def telling_nobody(self) -> Iterator[None]:
        """What is to be told waits, and no process is started to send it."""
        with claimed(self.app.directories.data / "notify.lock"):
            yield

    def ask(self, user: str = "user", name: str = "deploy", **arguments: Any) -> Approval:
        """A request of that user for another system's action, or for a call of a tool here."""
        text = json.dumps(arguments)
        return self.app.runner.propose(Actor(user), name, text)

    def approve(self, approval: Approval) -> Approval:
        """Approved by the operator of the home."""
        seen = approval.action_sha256
        return self.app.approvals.approve(self.app.actor, approval.id, seen_sha256=seen)


@contextmanager
def serving(folder: Path, **flags: str) -> Iterator[Server]:
    """Serve a new home in the folder until this ends."""
    workspace = folder / "workspace"
    workspace.mkdir()
    settings = {"rate_limits.calls": "100000/1s"} | {
        name.replace("__", "."): value for name, value in flags.items()
    }
    app = App(folder / "home", flags=settings, workspace=workspace)
    app.initialise()
    touch(app)
    listener = listening("127.0.0.1", 0, hint="")
    server = Server(app, f"http://{address_of('127.0.0.1', listener)}")
    ending: dict[str, Any] = {}
    started = threading.Event()

    async def main() -> None:
        ending.update(event=anyio.Event(), loop=asyncio.get_running_loop())
        started.set()
        await serve_home(app, Place(), listener, ending["event"])

    thread = threading.Thread(target=anyio.run, args=(main,))
    thread.start()
    started.wait()
    try:
        for role in ROLES:
            server.key(role)
        yield server
    finally:
        ending["loop"].call_soon_threadsafe(ending["event"].set)
        thread.join()
        app.close()
