"""The end of a line that answers: a thread for each that calls."""

import hmac
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Final

from localai import __version__
from localai.core import log
from localai.core.errors import Invalid, LocalaiError
from localai.core.files import claimed, private_dir
from localai.core.line.frames import (
    Call,
    Failed,
    Over,
    Reply,
    Step,
    Told,
    Value,
    heard_call,
    packed,
    say,
    unpacked,
)
from localai.core.line.method import Method, Tell
from localai.core.line.place import Listener, Place

MAX_CALLERS: Final = 64
_LOOK_S: Final = 0.02
_PATIENCE_S: Final = 5.0  # until a caller has said the key


class Mouth:
    """Says frames to a caller in a thread of its own, so that who reads slowly holds nobody up.

    What has not been read yet is kept: an answer has an end.
    """

    def __init__(self, connection: Connection, request: socket.socket) -> None:
        self._connection = connection
        self._request = request
        self._waiting: SimpleQueue[Reply | None] = SimpleQueue()
        self._is_gone = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def say(self, reply: Reply) -> None:
        """Say it when its turn comes; BrokenPipeError where the caller has hung up."""
        # A caller says nothing while it is answered: what there is to read is its end.
        if self._is_gone or self._connection.poll():
            raise BrokenPipeError
        self._waiting.put(reply)

    def close(self) -> None:
        """Hang up; nothing is written any more when this returns."""
        self._waiting.put(None)
        with suppress(OSError):
            self._request.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _work(self) -> None:
        while (reply := self._waiting.get()) is not None:
            try:
                say(self._connection, reply)
            except (OSError, ValueError):
                self._is_gone = True
                return


class Answering(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers those who call and know the key."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, key: str) -> None:
        super().__init__("", socketserver.BaseRequestHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self._key = packed(key)
        self._methods: Mapping[str, Method] = {}
        self._guard = threading.Lock()
        self._callers: set[socket.socket] = set()
        self._busy = 0

    @property
    def callers(self) -> int:
        """How many are connected."""
        return len(self._callers)

    def open(self, methods: Mapping[str, Method]) -> None:
        """Begin to answer with these."""
        self._methods = methods
        threading.Thread(target=self.serve_forever, args=[_LOOK_S], daemon=True).start()

    def end(self, patience_s: float) -> None:
        """Take no more callers, let calls end for so many seconds, then hang up on everybody."""
        self.shutdown()
        self.server_close()
        deadline = time.monotonic() + patience_s
        while self._busy and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        with self._guard:
            for each in self._callers:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for one more caller."""
        del request, client_address
        return len(self._callers) < MAX_CALLERS

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer a caller until it hangs up."""
        del client_address
        with self._guard:
            self._callers.add(request)
        try:
            # One that hangs up, or talks something else, is no error of anybody's.
            with suppress(EOFError, OSError, ValueError):
                self._serve(Connection(os.dup(request.fileno())), request)
        finally:
            with self._guard:
                self._callers.discard(request)

    def _serve(self, connection: Connection, request: socket.socket) -> None:
        with connection:
            if not connection.poll(_PATIENCE_S):
                return
            if not hmac.compare_digest(connection.recv_bytes(len(self._key)), self._key):
                return
            with closing(Mouth(connection, request)) as mouth:
                mouth.say(Over())
                while True:
                    call = heard_call(connection)
                    with self._counted(), closing(self._replies(call, mouth.say)) as replies:
                        for reply in replies:
                            mouth.say(reply)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._guard:
            self._busy += 1
        try:
            yield
        finally:
            with self._guard:
                self._busy -= 1

    def _replies(self, call: Call, say: Callable[[Reply], None]) -> Generator[Reply]:
        try:
            found = self._found(call, lambda text: say(Told(text)))
            if isinstance(found, Generator):
                with closing(found):
                    for part in found:
                        yield Step(packed(part))
                yield Over()
            else:
                yield Value(packed(found))
        except LocalaiError as error:
            yield Failed(error.category, _sendable(error.message), error.hint)
        except (OSError, GeneratorExit):
            raise
        except Exception as error:  # noqa: BLE001 - a caller learns of a bug, and others go on
            log.write("line.failed", error)
            told = _sendable(str(error)) or type(error).__name__
            yield Failed(LocalaiError.category, told, None)

    def _found(self, call: Call, tell: Tell) -> object:
        if (method := self._methods.get(call.method)) is None:
            raise Invalid(f"{call.method} cannot be asked for", hint="ai stop, then ai serve")
        return method.does(unpacked(call.arguments, method.takes), tell)


def _sendable(text: str) -> str:
    return text.encode(errors="replace").decode()


@contextmanager
def answering(
    place: Place, methods: Callable[[Callable[[], int]], Mapping[str, Method]]
) -> Iterator[Answering | None]:
    """Answer the processes of a home; None where another process does so already.

    `methods` is called once it is known that this one does, with what tells how many callers there
    are. OSError where there can be no socket. Whoever is under way when this ends is to be waited
    for with `end`.
    """
    private_dir(place.folder)
    with claimed(place.lock) as is_mine:
        if not is_mine:
            yield None
            return
        key = secrets.token_urlsafe()
        server = Answering(place.listen(), key)
        server.open(methods(lambda: server.callers))
        try:
            place.write(Listener(os.getpid(), __version__, key))
            yield server
        finally:
            place.clear()
            server.end(0)
