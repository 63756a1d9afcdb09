"""What Grafana, Prometheus and the others load, as it ships: found, and copied out."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from localai.core.errors import Conflict, Invalid, Unavailable
from localai.core.files import write_shared

# The page that runbook links lead to; Prometheus serves it, and browsers download what is Markdown.
RUNBOOKS: Final = "runbooks/monitoring.txt"
_PACKAGE: Final = Path(__file__).parents[1]
_MOST_NAMED: Final = 5


@dataclass(frozen=True)
class Export:
    """What was copied where; `kept` was there already, the same."""

    folder: str
    written: tuple[str, ...]
    kept: tuple[str, ...]


def files(package: Path = _PACKAGE) -> dict[str, Path]:
    """Each file by its name in the export: of the wheel, or of the checkout around it."""
    found = _below(package / "dashboards")
    page = package.parent / "docs" / "ops" / "monitoring.md"
    if not found and page.is_file():
        found = {**_below(package.parent / "dashboards"), RUNBOOKS: page}
    if not found:
        raise Unavailable("this installation lacks its dashboards", hint="install localai again")
    return {name: path for name, path in found.items() if "tests" not in Path(name).parts}


def export(folder: Path) -> Export:
    """Copy them into the folder; Conflict, before anything is written, where it has other files."""
    content = {name: path.read_bytes() for name, path in sorted(files().items())}
    try:
        there = _below(folder)
        kept = tuple(name for name in content if _is_same(there.get(name), content[name]))
        written = tuple(name for name in content if name not in kept)
        _refuse(folder, [name for name in there if name not in kept] if written else [])
        for name in written:
            write_shared(folder / name, content[name])
    except OSError as error:
        raise Invalid(f"cannot write to {folder}", hint="ai dashboards export DIR") from error
    return Export(os.fspath(folder), written, kept)


def _refuse(folder: Path, others: Iterable[str]) -> None:
    if not (named := sorted(others)):
        return
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    raise Conflict(
        f"{folder} has other files: {', '.join(named[:_MOST_NAMED])}{more}",
        hint="ai dashboards export DIR, with a new or empty DIR; then move your own files over",
    )


def _below(folder: Path) -> dict[str, Path]:
    """Everything but folders below the folder; links are not followed."""
    return {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    }


def _is_same(path: Path | None, content: bytes) -> bool:
    if path is None or path.is_symlink() or not path.is_file():
        return False
    return path.stat().st_size == len(content) and path.read_bytes() == content
