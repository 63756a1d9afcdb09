"""Figures as Prometheus reads them: on standard output, in a file, on a port of this machine."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localai.core.errors import Invalid
from localai.metrics import prometheus
from localai.metrics.service import READ, Metrics
from localai.rbac.permissions import Actor

_MODE = 0o644  # whoever collects the file is another user, and there is no secret in it


@dataclass(frozen=True)
class Exposition:
    """Publishes the figures of this home."""

    metrics: Metrics

    def text(self, actor: Actor) -> str:
        """Everything, as a scrape would see it."""
        self.metrics.require(actor, READ)
        return prometheus.text(self.metrics.collector.read)

    def write(self, actor: Actor, path: Path) -> None:
        """Replace the file at once, for the textfile collector of node exporter."""
        data = self.text(actor).encode()
        try:
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), _MODE)
                file.write(data)
            Path(name).replace(path)
        except OSError as error:
            raise Invalid(f"{path} cannot be written: {error.strerror}") from error

    def serve(self, actor: Actor, port: int, announce: Callable[[str], None]) -> None:
        """Answer scrapes until the process is told to end; `announce` hears the address."""
        self.metrics.require(actor, READ)
        prometheus.serve(self.metrics.collector.read, port, announce)
