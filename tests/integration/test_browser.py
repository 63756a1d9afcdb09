"""Pictures of pages, with a real Chromium and real sites that misbehave."""

import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from web_server import Site, site

from localai.agent.builtin import browser
from localai.agent.builtin.rooms import Rooms
from localai.agent.tools import Context, Tool, ToolResult
from localai.core.errors import Conflict, Denied
from localai.core.web import Web

pytestmark = pytest.mark.prove

# Each way out of a page that there is, towards a machine that may not be reached.
_ESCAPES = """
<meta http-equiv="refresh" content="1; url=http://TARGET/refresh">
<link rel="dns-prefetch" href="http://TARGET"><link rel="preconnect" href="http://TARGET">
<link rel="prefetch" href="http://TARGET/prefetch"><link rel="stylesheet" href="http://TARGET/css">
<img src="http://TARGET/img"><img src="http://0.0.0.0:PORT/img"><img src="/redirect">
<iframe src="http://TARGET/frame"></iframe><iframe src="/redirect"></iframe>
<iframe src="file:///etc/passwd"></iframe><iframe src="chrome://version"></iframe>
<video src="http://TARGET/video" autoplay></video><object data="http://TARGET/object"></object>
<form id="form" action="http://TARGET/form" method="post" target="other"></form>
<iframe name="other"></iframe>
<script>
const tried = [];
const attempt = (name, step) => { try { step(); tried.push(name); } catch (error) {} };
attempt("fetch", () => fetch("http://TARGET/fetch", {mode: "no-cors"}).catch(() => 0));
attempt("post", () => fetch("http://TARGET/post", {method: "POST", body: "x", mode: "no-cors"})
  .catch(() => 0));
attempt("beacon", () => navigator.sendBeacon("http://TARGET/beacon", "x"));
attempt("socket", () => new WebSocket("ws://TARGET/socket"));
attempt("events", () => new EventSource("http://TARGET/events"));
attempt("form", () => document.getElementById("form").submit());
attempt("popup", () => open("http://TARGET/popup"));
const code = `fetch("http://TARGET/worker").catch(() => 0); new WebSocket("ws://TARGET/worker");`;
const script = URL.createObjectURL(new Blob([code], {type: "text/javascript"}));
attempt("worker", () => new Worker(script));
attempt("shared", () => new SharedWorker(script));
attempt("service", () => navigator.serviceWorker.register("/service.js").catch(() => 0));
attempt("transport", () => new WebTransport("https://TARGET/").ready.catch(() => 0));
attempt("rtc", () => {
  const peer = new RTCPeerConnection({iceServers: [
    {urls: "stun:TARGET"}, {urls: "stun:0.0.0.0:PORT"},
    {urls: "turn:TARGET?transport=tcp", username: "a", credential: "b"},
  ]});
  peer.createDataChannel("x");
  peer.createOffer().then((offer) => peer.setLocalDescription(offer));
});
setTimeout(() => { document.title = tried.join(" "); }, 100);
</script><img src="/slow">
"""


@dataclass
class Listener:
    """Counts who connects to 127.0.0.2 and what datagrams come there, on one port."""

    port: int = 0
    came: list[str] = field(default_factory=list)

    @property
    def authority(self) -> str:
        return f"127.0.0.2:{self.port}"


@pytest.fixture
def there() -> Iterator[Site]:
    """A site."""
    with site() as made:
        yield made


@pytest.fixture
def listener() -> Iterator[Listener]:
    """What must not be reached: it really listens, on every address of this machine."""
    made, tcp, udp = Listener(), socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    tcp.bind(("", 0))
    made.port = tcp.getsockname()[1]
    udp.bind(("", made.port))
    tcp.listen(50)

    def accept() -> None:
        while True:
            connection, _ = tcp.accept()
            with connection:
                said = connection.recv(100)
            if said == b"end":
                return
            made.came.append(f"tcp {said!r}")

    def receive() -> None:
        while (said := udp.recv(2000)) != b"end":
            made.came.append(f"udp {said!r}")

    threads = [Thread(target=accept), Thread(target=receive)]
    for thread in threads:
        thread.start()
    yield made
    with socket.create_connection(("127.0.0.1", made.port)) as last:
        last.sendall(b"end")
    udp.sendto(b"end", ("127.0.0.1", made.port))
    for thread in threads:
        thread.join()
    tcp.close()
    udp.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A folder to write into."""
    made = tmp_path / "work"
    made.mkdir()
    return made.resolve()


def _tool(asked: list[str] | None = None, limits: browser.Limits | None = None) -> Tool:
    """The tool, allowed to ask 127.0.0.1; `asked` keeps what pages ask for."""

    def is_allowed(ip: Any) -> bool:
        return ip == ip_address("127.0.0.1")

    def part(url: str, most: int, left: float) -> Any:
        if asked is not None:
            asked.append(url)
        return Web(is_allowed=is_allowed, most_bytes=most, longest_s=left).fetch(url)

    unused: Any = None
    fetch = Web(is_allowed=is_allowed, stays=True).fetch
    (tool,) = browser.tools(Rooms(fetch, part, unused, unused, unused, unused, unused), limits)
    return tool


def _shot(tool: Tool, workspace: Path, url: str, path: str = "page.png") -> ToolResult:
    context = Context(workspace)
    facts = tool.facts(context, {"url": url, "path": path})
    return tool.function(replace(context, facts=facts), url, path)


def _html(there: Site, body: str, path: str = "/") -> str:
    return there.says(path, body.encode(), kind="text/html; charset=utf-8")


def _browsers() -> list[str]:
    """Command lines of what still runs out of a browser's folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes()
        except OSError:
            continue
        if b"localai-browser-" in line:
            found.append(line.decode(errors="replace"))
    return found


def test_a_page_is_pictured_with_its_parts(there: Site, workspace: Path) -> None:
    """Its styles and scripts count; the picture is what was told of it; nothing else is left."""
    there.says("/red.css", b"body { background: #ff0000 }", kind="text/css")
    there.says("/name.js", "document.title = '주전자'".encode(), kind="text/javascript")
    page = '<link rel="stylesheet" href="red.css"><script src="name.js" charset="utf-8"></script>'
    url = _html(there, page)
    result = _shot(_tool(), workspace, url, "shots/page.png")
    png = (workspace / "shots/page.png").read_bytes()
    assert result.ok
    assert result.is_foreign
    told = f"1280 x 1600 pixels, {len(png)} bytes, written to shots/page.png"
    assert result.text == f"{url}\ntitle: 주전자\n{told}"
    assert png.startswith(b"\x89PNG")
    assert struct.unpack(">II", png[16:24]) == (1280, 1600)
    assert _first_pixel(png) == (255, 0, 0)
    assert [path.name for path in workspace.iterdir()] == ["shots"]
    assert _browsers() == []


def _first_pixel(png: bytes) -> tuple[int, ...]:
    from io import BytesIO

    from PIL import Image

    pixel = Image.open(BytesIO(png)).convert("RGB").getpixel((0, 0))
    assert isinstance(pixel, tuple)
    return tuple(int(each) for each in pixel)


def test_chromium_reaches_nothing(there: Site, workspace: Path, listener: Listener) -> None:
    """By none of the ways that a page has: not one connection, not one datagram."""
    target = f"http://{listener.authority}/redirected"
    there.says("/redirect", status=302, headers={"Location": target})
    there.says("/service.js", b"fetch('/from-service')", kind="text/javascript")
    released = Event()

    def slow(handler: BaseHTTPRequestHandler) -> None:
        released.wait(4)
        handler.send_response(404)
        handler.end_headers()

    there.answers["/slow"] = slow
    page = _ESCAPES.replace("TARGET", listener.authority).replace("PORT", str(listener.port))
    asked: list[str] = []
    result = _shot(_tool(asked), workspace, _html(there, page))
    assert listener.came == []
    assert result.ok
    tried = "fetch post beacon socket events form popup worker shared service"
    assert f"title: {tried}\n" in result.text
    # What was refused was refused by the fetch; so the page did ask for it.
    for way in ("img", "frame", "fetch", "css", "video"):
        assert f"http://{listener.authority}/{way}" in asked
    assert {path for path, _ in there.asked} <= {"/", "/redirect", "/slow", "/service.js"}


@pytest.mark.parametrize("missing", ["", "--host-resolver", "--proxy", "webrtc", "script", "all"])
def test_without_our_answers_chromium_has_no_network(
    there: Site,
    workspace: Path,
    listener: Listener,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
) -> None:
    """Though a request pass by our answers and one bar fail; without any, it is noticed."""
    page = _ESCAPES.replace("TARGET", listener.authority).replace("PORT", str(listener.port))

    async def go_on(_visit: Any, route: Any) -> None:
        if route.request.url.endswith("/first"):
            await route.fulfill(status=200, content_type="text/html", body=page)
        else:
            await route.continue_()

    async def let(socket: Any) -> None:
        socket.connect_to_server()

    monkeypatch.setattr(browser._Visit, "_answer", go_on)
    monkeypatch.setattr(browser, "_refuse", let)
    monkeypatch.setattr(browser, "_LOADED_S", 3.0)
    if missing in {"script", "all"}:
        monkeypatch.setattr(browser, "_NO_CALLS", "")
    bars = tuple(each for each in browser._NO_NETWORK if missing not in each)
    if missing not in {"", "script"}:
        monkeypatch.setattr(browser, "_NO_NETWORK", () if missing == "all" else bars)
        assert len(browser._NO_NETWORK) < 8
    _shot(_tool(limits=browser.Limits(seconds=12)), workspace, _html(there, page, "/first"))
    came = {each.partition(" ")[0] for each in listener.came}
    assert came == ({"tcp", "udp"} if missing == "all" else set())


def test_a_redirect_to_a_forbidden_machine_starts_no_browser(
    there: Site, workspace: Path, listener: Listener
) -> None:
    """Of the page itself, before anything is shown."""
    target = f"http://{listener.authority}/"
    url = there.says("/", status=302, headers={"Location": target})
    with pytest.raises(Denied, match="leads to another machine"):
        _shot(_tool(), workspace, url)
    assert (listener.came, list(workspace.iterdir())) == ([], [])


def test_a_redirect_at_the_same_machine_is_followed(there: Site, workspace: Path) -> None:
    """What is told is where the page was found."""
    found = _html(there, "<title>here</title>", "/b/")
    url = there.says("/a", status=302, headers={"Location": "/b/"})
    assert _shot(_tool(), workspace, url).text.startswith(f"{found}\ntitle: here\n")


def test_a_page_that_never_ends_is_given_up(there: Site, workspace: Path) -> None:
    """A script that runs for ever; nothing is written and nothing is left running."""
    url = _html(there, "<script>while (true) {}</script>")
    result = _shot(_tool(limits=browser.Limits(seconds=4)), workspace, url)
    assert (result.ok, result.text) == (False, f"{url} was not shown within 4 seconds")
    assert list(workspace.iterdir()) == []
    assert _browsers() == []


def test_a_page_may_ask_for_so_much(there: Site, workspace: Path) -> None:
    """So many requests and so many bytes; the picture shows what came until then."""
    for number in range(20):
        there.says(f"/{number}.css", b"/*" + b"x" * 996 + b"*/", kind="text/css")
    count = 'rel="stylesheet" onload="document.title = ++loaded"'
    links = "".join(f'<link {count} href="/{number}.css">' for number in range(20))
    page = f"<script>let loaded = 0</script>{links}"
    url = _html(there, page)
    result = _shot(_tool(limits=browser.Limits(requests=7)), workspace, url)
    assert "\ntitle: 7\n" in result.text
    assert len(there.asked) == 1 + 7
    result = _shot(_tool(limits=browser.Limits(size=len(page) + 5_500)), workspace, url)
    assert re.search(r"\ntitle: [1-5]\n", result.text)


@pytest.mark.parametrize("kind", ["application/pdf", "application/octet-stream", ""])
def test_what_is_no_page_is_told(there: Site, workspace: Path, kind: str) -> None:
    """Before a browser starts."""
    url = there.says("/", b"%PDF-1.7", kind=kind)
    result = _shot(_tool(), workspace, url)
    assert (result.ok, result.text) == (False, f"{url} is no page: {kind or 'of no type'}")


def test_plain_text_is_a_page(there: Site, workspace: Path) -> None:
    """Browsers show it."""
    assert _shot(_tool(), workspace, there.says("/", b"hello")).ok


def test_a_title_commands_no_terminal(there: Site, workspace: Path) -> None:
    """It is escaped and clipped, for it comes from a stranger."""
    title = "\x1b[2J\u202eexe.txt" + "x" * 10_000
    result = _shot(_tool(), workspace, _html(there, f"<title>{title}</title>"))
    assert "[2J\\u{202E}exe.txtxx" in result.text
    assert [line for line in result.text.split("\n") if not line.isprintable()] == []
    assert len(result.text) < 500


def test_a_file_that_changed_meanwhile_stays(there: Site, workspace: Path) -> None:
    """What was approved names the file as it stood."""
    url = _html(there, "hello")
    (workspace / "page.png").write_bytes(b"old")
    tool, context = _tool(), Context(workspace)
    facts = tool.facts(context, {"url": url, "path": "page.png"})
    (workspace / "page.png").write_bytes(b"new")
    with pytest.raises(Conflict):
        tool.function(replace(context, facts=facts), url, "page.png")
    assert (workspace / "page.png").read_bytes() == b"new"
    assert _shot(tool, workspace, url).ok
    assert (workspace / "page.png").read_bytes().startswith(b"\x89PNG")


def test_the_browser_knows_nothing_of_the_caller(
    there: Site, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No secret of the environment reaches Chromium."""
    monkeypatch.setenv("LOCALAI_SECRET_X", "hunter2")
    seen: list[bytes] = []

    def look(handler: BaseHTTPRequestHandler) -> None:
        for each in Path("/proc").glob("[0-9]*"):
            try:
                if b"localai-browser-" in (each / "cmdline").read_bytes():
                    seen.append((each / "environ").read_bytes())
            except OSError:
                continue
        handler.send_response(200)
        handler.end_headers()

    there.answers["/look"] = look
    assert _shot(_tool(), workspace, _html(there, '<img src="/look">')).ok
    assert seen
    assert all(b"hunter2" not in each for each in seen)
    assert os.environ["LOCALAI_SECRET_X"] == "hunter2"
