"""App: one home's rooms, each built on first touch. The only place that wires rooms together.

Each file adds rooms that stand on those of the file below it: base, governance, documents, models,
agents.
"""

from localai.app.agents import WithAgents
from localai.app.base import Home

__all__ = ["App", "Home"]


class App(WithAgents):
    """The rooms of one home. Close it when the work is done."""

    def close(self) -> None:
        """Give back what was opened."""
        if notify := self.__dict__.get("notify"):
            notify.close()
        if engines := self.__dict__.get("engines"):
            engines.close()
        if resident := self.__dict__.get("resident"):
            resident.close()
        if self._line is not None:
            self._line.close()
        for name in ("server", "qdrant", "mcp_connections"):
            if server := self.__dict__.get(name):
                server.close()
        if tally := self.__dict__.get("tally"):
            tally.close()
        if "database" in self.__dict__:
            self.database.close()
