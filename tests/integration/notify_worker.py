"""What the crash test kills: a drain over a real outbox and a real mail server."""

import sys
from pathlib import Path

from approvals_home import build
from notify_home import SECOND, configured, request

from localai.core.clock import Clock


def work(folder: Path, port: int, first: int, count: int) -> None:
    """Enqueue so many and send them, telling when each part begins."""
    home = build(folder)
    settings = {
        "notify.smtp.host": "127.0.0.1",
        "notify.smtp.port": str(port),
        "notify.smtp.security": "none",
        "notify.smtp.to": "you@example.org",
        "notify.batch": "0",
    }
    notify, announcer = configured(home.database, home.directories, Clock(), settings)
    now = home.clock.now_us()
    for number in range(first, first + count):
        with home.database.transaction() as connection:
            row = request(number, expires_us=now + 300 * SECOND)
            announcer.announce(connection, "approval.requested", row)
        print(number, flush=True)
    print("enqueued", flush=True)
    drain = notify._drain
    # One message a notice: so that a duplicate of one is told from the others.
    drain._take = lambda name: drain._outbox.take(name, gathers=False, apart_s=0)  # type: ignore[method-assign]
    drain.once(lambda _: None)


if __name__ == "__main__":
    work(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
