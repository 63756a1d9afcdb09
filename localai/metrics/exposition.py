"""Figures as Prometheus reads them: on standard output, in a file, on a port of this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from localai.core.errors import Invalid
from localai.core.files import write_shared
from localai.metrics import prometheus
from localai.metrics.service import READ, Metrics
from localai.rbac.permissions import Actor


@dataclass(frozen=True)
class Exposition:
    """Publishes the figures of this home."""

    metrics: Metrics

    def text(self, actor: Actor) -> str:
        """Everything, as a scrape would see it."""
        return self.publisher(actor)()

    def publisher(self, actor: Actor) -> Callable[[], str]:
        """What tells everything, as often as it is asked: looking must not count as checks."""
        self.metrics.require(actor, READ)
        return partial(prometheus.text, self.metrics.collector.read)

    def write(self, actor: Actor, path: Path) -> None:
        """Replace the file at once, for the textfile collector of node exporter: another user."""
        try:
            write_shared(path, self.text(actor).encode())
        except OSError as error:
            raise Invalid(f"{path} cannot be written: {error.strerror}") from error

    def serve(self, actor: Actor, port: int, announce: Callable[[str], None]) -> None:
        """Answer scrapes until the process is told to end; `announce` hears the address."""
        self.metrics.require(actor, READ)
        prometheus.serve(self.metrics.collector.read, port, announce)
