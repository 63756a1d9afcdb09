"""What this machine has left: processor, memory, disk, cards."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from localai.core import metrics
from localai.core.metrics import Reading

_FIRST_LOOK_S = 0.1  # a share of time needs two looks at the clock


# Of a graphics card its name, and the shares of its memory and its time in use; None is not known.
Card = tuple[str, float, float | None]


@dataclass
class Machine:
    """Looks at the machine; `folder` lies on the disk that matters."""

    folder: Path
    cards: Callable[[], Sequence[Card]]
    is_known: bool = False

    def readings(self) -> Iterator[Reading]:
        """Shares from 0 to 1; the processor's since the last look."""
        computing = psutil.cpu_percent(None if self.is_known else _FIRST_LOOK_S)
        self.is_known = True
        used = {
            "cpu": computing,
            "memory": psutil.virtual_memory().percent,
            "disk": psutil.disk_usage(str(_there(self.folder))).percent,
        }
        for resource, percent in used.items():
            yield Reading(metrics.RESOURCES, percent / 100, (resource,))
        for number, (name, memory, busy) in enumerate(self.cards()):
            label = (f"{number} {name}",)
            yield Reading(metrics.GPU_MEMORY, memory, label)
            if busy is not None:
                yield Reading(metrics.GPU_BUSY, busy, label)


def _there(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())
