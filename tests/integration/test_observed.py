"""A life of real commands, watched by a real Prometheus: panels fill, alerts come and go."""

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import chat_server
import gguf_models
import httpx
import mcp_clients
import pytest
import shown
from chat_server import Scripted, event
from mail_server import Post, mail_server
from observed import Observed, observed
from terminal import Ai, Done
from web_server import Site, closed_port, site

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]

FULL = b"""# TYPE system_resource_usage gauge
system_resource_usage{resource="disk"} 0.97
# TYPE localai_gpu_memory_used_ratio gauge
localai_gpu_memory_used_ratio{gpu="0 card"} 0.95
# TYPE localai_gpu_utilization_ratio gauge
localai_gpu_utilization_ratio{gpu="0 card"} 0.5
# TYPE localai_collector_up gauge
localai_collector_up 1
"""
EMPTY = FULL.replace(b"0.97", b"0.5").replace(b"0.95", b"0.5")
_PATIENCE_S = 120


class Life:
    """One home, and what happens in it."""

    def __init__(self, ai: Ai, post: Post, server: Scripted, machine: Site) -> None:
        self.ai = ai
        self.post = post
        self.server = server
        self.machine = machine
        self.key = mcp_clients.key_of(ai, mcp_clients.operator(ai))

    def all(self, *commands: tuple[object, ...]) -> list[Done]:
        """Run all at once."""
        done: list[Done] = []
        threads = [
            threading.Thread(target=lambda each=each: done.append(self.ai(*each)))
            for each in commands
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return done

    def ask(self, times: int = 1, **settings: str) -> list[str]:
        """Requests that wait; their ids."""
        before = self._waiting()
        words = [f"--set={name.replace('__', '.')}={value}" for name, value in settings.items()]
        asked = ("tools", "run", "write_file", "--args", '{"path": "a.txt", "content": "x"}')
        assert {done.code for done in self.all(*[(*words, *asked)] * times)} == {7}
        return sorted(self._waiting() - before)

    def _waiting(self) -> set[str]:
        listed = self.ai("approvals", "list", "--status", "pending", "-q", "--limit", 100)
        return set(listed.out.split())

    def chat(self, *words: str) -> Done:
        return self.ai(*words, "chat", "--no-tools", "Hello")

    def through(self, url: str) -> tuple[str, ...]:
        return (f"--set=engine.url={url}", "--set=models.chat=far")

    def is_well(self) -> None:
        """What goes well, once of each kind."""
        ai = self.ai
        (ai.workspace / "a.md").write_text("The library opens at nine.\n")
        good = gguf_models.scripted(ai.home / "good.gguf", (), "Hello there.")
        broken = shutil.copy(good, ai.home / "broken.gguf")
        for words in (
            ("models", "add", good),
            ("models", "add", broken),
            ("models", "use", "broken"),
            ("models", "use", "--code", "good"),
            ("users", "add", "mina", "--role", "viewer"),
            ("rag", "index", "a.md"),
            ("rag", "query", "When does the library open?", "--no-answer"),
            ("tools", "run", "list_files", "--args", '{"path": "."}'),
        ):
            assert ai(*words).code == 0, words
        Path(broken).write_bytes(Path(good).read_bytes()[:-4000])
        assert self.chat().code == 0, "another model answers"
        assert ai("models", "use", "good").code == 0
        assert self.chat().code == 0
        assert ai("--as", "mina", "users", "add", "eve", "--role", "admin").code == 3
        (first,) = self.ask()
        assert ai("approve", first, "-y").code == 0
        assert ai("approvals", "run", first).code == 0

    def requests_fail(self) -> None:
        """What keeps the keys cannot be read for a moment."""
        (file,) = self.ai.home.rglob("secrets.json")
        whole = file.read_bytes()
        with mcp_clients.listening(self.ai) as url:
            file.write_bytes(b"{")
            try:
                codes = [self._post(url, {}) for _ in range(12)]
            finally:
                file.write_bytes(whole)
        assert codes == [503] * 12

    def request_waits(self) -> None:
        """It comes while another process holds the database for three seconds."""
        (lock,) = self.ai.home.rglob("localai.lock")
        deploy = {"tool_name": "deploy", "arguments": {}}
        with self.ai.start("serve", "--port", 0) as server:
            assert server.stderr is not None
            url = re.findall(r"http://\S+", server.stderr.readline())[0]
            assert self._post(f"{url}/api/v1/approvals", deploy) == 201
            time.sleep(3)  # the first one begins the series, and is counted and scraped meanwhile
            with subprocess.Popen(["flock", str(lock), "sleep", "3"]):
                time.sleep(0.3)
                assert self._post(f"{url}/api/v1/approvals", deploy) == 201
            server.terminate()
        for each in self.ai("approvals", "list", "--tool", "deploy", "-q").out.split():
            assert self.ai("approvals", "cancel", each).code == 0

    def _post(self, url: str, body: object) -> int:
        headers = {**mcp_clients.ACCEPTS, "Authorization": f"Bearer {self.key}"}
        return httpx.post(url, json=body, headers=headers, timeout=30).status_code


@contextmanager
def _exporting(ai: Ai, port: int) -> Iterator[subprocess.Popen[str]]:
    with ai.start("metrics", "--serve", "--port", port) as process:
        assert process.stderr is not None
        assert "listening" in process.stderr.readline()
        try:
            yield process
        finally:
            process.terminate()


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    (tmp_path / "work").mkdir()
    ai = Ai(tmp_path / "home", tmp_path / "work")
    assert ai("init").code == 0
    with mail_server() as post, chat_server.scripted() as server, site() as machine:
        text = (
            f'[notify]\nbatch = "0"\n[notify.smtp]\nhost = "127.0.0.1"\nport = {post.port}\n'
            'security = "none"\nto = "you@example.org"\n[approvals]\ntimeout = "10m"\n'
        )
        (ai.home / "config.toml").write_text(text)
        yield Life(ai, post, server, machine)


def _until(is_so: Callable[[], bool], what: Callable[[], object]) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up, what()
        time.sleep(0.2)


def _fires(watch: Observed, *names: str) -> None:
    _until(lambda: set(names) <= watch.told("firing"), lambda: set(names) - watch.told("firing"))


def test_every_panel_fills_and_every_alert_comes_and_goes(life: Life, tmp_path: Path) -> None:
    """By what people do; only a full disk and a full card are told by a stand-in."""
    port, began = closed_port(), time.time()
    life.machine.says("/metrics", FULL)
    targets = [f"127.0.0.1:{port}", f"127.0.0.1:{life.machine.port}"]
    with ExitStack() as stack:
        stack.enter_context(_exporting(life.ai, port))
        watch = stack.enter_context(observed(tmp_path, targets))
        # A rise is seen from one scrape to the next: there has to be one before anything is done.
        _until(lambda: watch.answer("localai_build_info", began), lambda: "no scrape")
        (forgotten,) = life.ask()
        asked_at = time.monotonic()
        teller = stack.enter_context(life.ai.start("notify", "run"))
        stack.callback(teller.terminate)
        life.is_well()
        _misfortunes(life, watch)
        time.sleep(max(0, 181 - (time.monotonic() - asked_at)))
        _fires(watch, "ApprovalWaitingTooLong")
        assert life.ai("approve", forgotten, "-y").code == 0
        life.machine.says("/metrics", EMPTY)
        assert life.chat().code == 0
        assert life.ai("tools", "run", "list_files", "--args", '{"path": "."}').code == 0
        fired = watch.told("firing")
        _until(lambda: fired <= watch.told("resolved"), lambda: fired - watch.told("resolved"))
        _until(lambda: not _empty(watch, began), lambda: _empty(watch, began))

    with ExitStack() as stack:
        second = stack.enter_context(observed(tmp_path / "again", targets))
        _fires(second, "ServiceDown")
        stack.enter_context(_exporting(life.ai, port))
        _until(lambda: "ServiceDown" in second.told("resolved"), lambda: second.notices)

    assert fired | {"ServiceDown"} == shown.alerts()
    for notice in watch.notices + second.notices:
        assert notice.runbook.endswith(notice.name.lower()), notice
    urgent = {each.name for each in watch.notices if each.receiver == "urgent"}
    assert {"NotificationDead", "HighErrorRate", "OperationsFailing"} <= urgent
    assert not urgent & {"DiskNearlyFull", "ApprovalRequestTimeout", "TTFTSlow"}


def _misfortunes(life: Life, watch: Observed) -> None:
    """One after the other, each until somebody was told."""
    _fires(watch, "DiskNearlyFull", "GPUMemoryHigh")
    life.requests_fail()
    _fires(watch, "HighErrorRate", "RequestsBudgetBurn")
    life.request_waits()
    _fires(watch, "HighLatency")
    refused = life.ask(5)
    assert life.ai("reject", *refused).code == 0
    _fires(watch, "HighApprovalRejectionRate")
    life.ask(4, approvals__timeout="1s")
    _fires(watch, "ApprovalRequestTimeout", "ApprovalsBudgetBurn")
    life.post.rcpt = lambda _: "451 4.7.1 later"
    life.ask(3, approvals__timeout="1m")
    _fires(watch, "NotificationFailing")
    life.post.rcpt = lambda _: "550 5.1.1 nobody of that name"
    life.ask(1, approvals__timeout="1m")
    _fires(watch, "NotificationDead")
    life.post.rcpt = lambda _: "250 OK"
    nowhere = life.through(f"http://127.0.0.1:{closed_port()}/v1")
    time.sleep(15)  # until no answer that succeeded is in the window
    life.all(*[(*nowhere, "chat", "--no-tools", "Hello")] * 3)
    _fires(watch, "OperationsFailing", "AnswersBudgetBurn")
    for reply in (_prompt, _late):  # the first answer of a model is the beginning of its series
        life.server.reply = reply
        assert life.chat(*life.through(life.server.url)).code == 0
    _fires(watch, "TTFTSlow")


def _prompt(_: object) -> dict[str, object]:
    return {"lines": [event("Hello"), event(finish="stop"), "data: [DONE]"]}


def _late(asked: object) -> dict[str, object]:
    time.sleep(12)
    return _prompt(asked)


def _empty(watch: Observed, began: float) -> list[str]:
    """The queries of the boards that found nothing since then."""
    found = []
    for asked in shown.asked():
        text = asked.text.replace("$__rate_interval", "10s").replace("$__range", "15m")
        text = text.replace("$job", ".+").replace("$instance", ".+")
        if not watch.answer(text, began):
            found.append(str(asked))
    return found
