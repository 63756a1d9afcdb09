"""What the guarded fetch gets, and what nobody can make it do."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path

import pytest
from web_server import Site, certified, closed_port, site

from localai.core.address import Ip
from localai.core.errors import Denied, Invalid, LocalaiError, NotFound, Unavailable
from localai.core.web import MOST_REDIRECTS, Web


@pytest.fixture
def there() -> Iterator[Site]:
    """A site."""
    with site() as made:
        yield made


def _local(ip: Ip) -> bool:
    """The machines that these tests may ask: this one, by one of its numbers."""
    return ip == ip_address("127.0.0.1")


def _web(**options: object) -> Web:
    return Web(is_allowed=_local, **{"longest_s": 20.0, **options})  # type: ignore[arg-type]


def _endless(piece: bytes, *headers: tuple[str, str]) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for header in headers:
            handler.send_header(*header)
        handler.end_headers()
        while True:
            handler.wfile.write(piece)
            handler.wfile.flush()

    return answer


def test_a_page_comes_with_its_address_and_kind(there: Site) -> None:
    """As the server has it, without the parameters of its kind."""
    url = there.says("/a", b"<p>hello", kind="Text/HTML; Charset=EUC-KR")
    found = _web().fetch(url.upper().replace("/A", "/a"))
    assert (found.url, found.content_type) == (url, "text/html")
    assert (found.charset, found.data) == ("EUC-KR", b"<p>hello")


def test_it_says_who_asks_and_nothing_else(there: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cookie of a redirect comes back, and a proxy of the environment is not asked."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}")
    there.says("/b", b"x")
    cookie = {"Location": "/b", "Set-Cookie": "a=b"}
    _web().fetch(there.says("/a", status=302, headers=cookie))
    assert [path for path, _ in there.asked] == ["/a", "/b"]
    for _, headers in there.asked:
        assert set(headers) == {"Host", "User-Agent", "Accept", "Accept-Encoding"}
        assert headers["User-Agent"].startswith("localai/")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_not_asked(there: Site, host: str) -> None:
    """By none of its names."""
    there.says("/", b"secret")
    with pytest.raises(Denied, match="public"):
        Web().fetch(there.url("/", host))
    assert there.asked == []


def test_a_name_that_leads_home_is_not_asked(there: Site) -> None:
    """One private number among public ones is enough."""
    web = Web(resolve=lambda _: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(Denied, match=r"leads to 10\.0\.0\.1"):
        web.fetch("http://example.org/")


def test_the_number_that_was_checked_is_the_one_that_is_asked(there: Site) -> None:
    """A name that changes its mind after the check has no say: it is asked for once."""
    there.says("/", b"here")
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    found = _web(resolve=lambda _: next(answers)).fetch(there.url("/", "rebinding.example"))
    assert found.data == b"here"
    assert there.asked[0][1]["Host"] == f"rebinding.example:{there.port}"
    assert len(list(answers)) == 1


def test_a_redirect_is_checked_anew(there: Site) -> None:
    """A public page must not open a door into the house, under the same name or another."""
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    url = there.says("/", status=302, headers={"Location": "/latest/meta-data"})
    with pytest.raises(Denied, match=r"169\.254\.169\.254"):
        _web(resolve=lambda _: next(answers)).fetch(url.replace("127.0.0.1", "a.example"))
    there.says("/", status=302, headers={"Location": "http://192.168.0.1/"})
    with pytest.raises(Denied, match=r"192\.168\.0\.1"):
        _web().fetch(url)


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("file:///etc/passwd", Invalid),
        ("http://user:secret@127.0.0.1/", Invalid),
        ("http://[", Invalid),
        ("http://2130706433/", Invalid),
        ("", Unavailable),
    ],
)
def test_a_redirect_is_an_address_like_any_other(
    there: Site, location: str, error: type[LocalaiError]
) -> None:
    """What may not be typed may not be led to."""
    url = there.says("/", status=302, headers={"Location": location})
    with pytest.raises(error):
        _web().fetch(url)


def test_redirects_end(there: Site) -> None:
    """So many and no more."""
    last = MOST_REDIRECTS + 1
    for number in range(last):
        there.says(f"/{number}", status=301, headers={"Location": f"/{number + 1}"})
    there.says(f"/{last}", b"far away")
    assert _web().fetch(there.url("/1")).data == b"far away"
    with pytest.raises(Unavailable, match="redirects"):
        _web().fetch(there.url("/0"))


def test_what_is_encrypted_does_not_lead_to_what_is_not(there: Site, tmp_path: Path) -> None:
    """The other way round is common and fine."""
    server, tls = certified(tmp_path)
    with site(server) as safe:
        there.says("/plain", b"read by everybody")
        safe.says("/down", status=302, headers={"Location": there.url("/plain")})
        safe.says("/", b"sealed")
        with pytest.raises(Denied, match="not encrypted"):
            _web(tls=tls).fetch(safe.url("/down"))
        assert there.asked == []
        up = there.says("/up", status=302, headers={"Location": safe.url("/")})
        assert _web(tls=tls).fetch(up).data == b"sealed"


def test_a_certificate_is_of_the_name_that_was_asked_for(tmp_path: Path) -> None:
    """Though the connection goes to a number, and nobody believes an unknown one."""
    server, tls = certified(tmp_path)
    with site(server) as safe:
        safe.says("/", b"sealed")
        web = _web(tls=tls, resolve=lambda _: ["127.0.0.1"])
        for fetch in (_web().fetch, web.fetch):
            host = "127.0.0.1" if fetch != web.fetch else "other.example"
            with pytest.raises(Unavailable, match="cannot be reached"):
                fetch(safe.url("/", host))
        assert safe.asked == []


@pytest.mark.parametrize("status", [404, 410])
def test_a_page_that_is_gone_is_not_found(there: Site, status: int) -> None:
    """This is told apart from every other failure."""
    with pytest.raises(NotFound, match=str(status)):
        _web().fetch(there.says("/", b"gone", status=status))


@pytest.mark.parametrize("status", [304, 401, 403, 418, 500, 503])
def test_any_other_answer_is_no_page(there: Site, status: int) -> None:
    """An error page must not be taken for what was asked for."""
    with pytest.raises(Unavailable, match=str(status)):
        _web().fetch(there.says("/", b"sorry" * (status != 304), status=status))


@pytest.mark.parametrize("piece", [b"x", b"x" * 65536])
def test_a_body_without_an_end_is_bounded(there: Site, piece: bytes) -> None:
    """By size, told in advance or not."""
    there.answers["/"] = _endless(piece)
    with pytest.raises(Unavailable, match="larger than"):
        _web(most_bytes=5000).fetch(there.url("/"))
    exact = there.says("/exact", b"x" * 5000)
    assert len(_web(most_bytes=5000).fetch(exact).data) == 5000


def test_a_packed_page_is_unpacked(there: Site) -> None:
    """Where it is packed in several members, too."""
    data = gzip.compress(b"one ") + gzip.compress(b"two")
    url = there.says("/", data, headers={"Content-Encoding": "gzip"})
    assert _web().fetch(url).data == b"one two"


@pytest.mark.parametrize("members", [1, 200])
def test_a_bomb_is_not_unpacked(there: Site, members: int) -> None:
    """Two hundred megabytes in two hundred kilobytes stay there, in one piece or in many."""
    data = gzip.compress(b"\0" * (200_000_000 // members)) * members
    url = there.says("/", data, headers={"Content-Encoding": "gzip"})
    with pytest.raises(Unavailable, match="larger than 1 MB"):
        _web(most_bytes=1_000_000).fetch(url)


@pytest.mark.parametrize(
    ("encoding", "data"), [("br", b"x"), ("gzip", b"no gzip"), ("gzip, gzip", b"x")]
)
def test_a_packing_that_cannot_be_undone_is_refused(
    there: Site, encoding: str, data: bytes
) -> None:
    """Noise would be indexed otherwise."""
    with pytest.raises(Unavailable):
        _web().fetch(there.says("/", data, headers={"Content-Encoding": encoding}))


@pytest.mark.parametrize("is_header", [True, False])
def test_a_server_that_drips_is_not_waited_for(there: Site, is_header: bool) -> None:
    """Each byte comes in time, and the whole never."""

    def drip(handler: BaseHTTPRequestHandler) -> None:
        start = b"HTTP/1.1 200 OK\r\n"
        handler.wfile.write(start if is_header else start + b"Content-Length: 9999\r\n\r\n")
        while True:
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(0.01)

    there.answers["/"] = drip
    with pytest.raises(Unavailable, match=r"in time|within"):
        _web(longest_s=0.3).fetch(there.url("/"))


def test_a_resolver_that_sleeps_is_not_waited_for() -> None:
    """The time limit is of the whole fetch."""

    is_over = threading.Event()

    def sleeping(_: str) -> list[str]:
        is_over.wait()
        return ["127.0.0.1"]

    with pytest.raises(Unavailable, match="no machine"):
        _web(longest_s=0.1, resolve=sleeping).fetch("http://example.org/")
    is_over.set()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"\0" * 200_000,
    ],
)
def test_a_server_that_speaks_nonsense_is_unavailable(there: Site, answer: bytes) -> None:
    """Half a page is no page."""
    there.answers["/"] = lambda handler: handler.wfile.write(answer) and None
    with pytest.raises(Unavailable):
        _web().fetch(there.url("/"))


def test_a_machine_that_is_not_there_is_unavailable() -> None:
    """By number and by name."""
    with pytest.raises(Unavailable, match="cannot be reached"):
        _web().fetch(f"http://127.0.0.1:{closed_port()}/")

    def unknown(_: str) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(Unavailable, match="no machine"):
        _web(resolve=unknown).fetch("http://example.org/")
    with pytest.raises(Unavailable):
        _web(resolve=lambda _: []).fetch("http://example.org/")
