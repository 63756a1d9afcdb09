"""Call: what every command needs - the app, the actor, and how to show a record."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from localai.app import App
from localai.cli import exits
from localai.cli.console import note, print_json
from localai.core.errors import Invalid, LocalaiError
from localai.core.records import Page, page_of
from localai.core.settings import named

if TYPE_CHECKING:
    from localai.rbac.permissions import Actor

R = TypeVar("R")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print ids alone.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer this command's question: yes.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]
Cursor = Annotated[str | None, typer.Option(help="Go on where the last page ended.")]
AT_HAND = 1000  # of a list that costs nothing to show whole


@dataclass(frozen=True)
class Root:
    """The options that stand before the noun."""

    home: Path | None = None
    workspace: Path | None = None
    set: tuple[str, ...] = ()
    acting_as: str | None = None

    @property
    def flags(self) -> dict[str, str]:
        """The settings of `--set KEY=VALUE`; Invalid for another form."""
        pairs = [text.partition("=") for text in self.set]
        for key, equals, _ in pairs:
            if not equals:
                raise Invalid(f"--set {key} has no value", hint=f"ai --set {key}=VALUE ...")
            named(key)
        return {key: value for key, _, value in pairs}


class Call:
    """One command at work."""

    def __init__(self, ctx: typer.Context, *, json: bool = False, quiet: bool = False) -> None:
        self._root: Root = ctx.obj
        self._closing = ctx.call_on_close
        self._command = ctx.command_path.removeprefix("ai ")
        self.is_json = json
        self.is_quiet = quiet

    @cached_property
    def app(self) -> App:
        """The rooms of this home, closed when the command ends."""
        root = self._root
        app = App(root.home, flags=root.flags, workspace=root.workspace, acting_as=root.acting_as)
        self._closing(app.close)
        app.keep_log(self._command)
        return app

    @property
    def actor(self) -> "Actor":
        """Who is calling."""
        return self.app.actor

    def show(self, record: R, view: Callable[[R], None], *, ids: Sequence[object] = ()) -> None:
        """Print one record: as JSON, as ids alone, or as the view draws it."""
        if self.is_json:
            print_json(record)
        elif self.is_quiet:
            for each in ids:
                print(each)
        else:
            view(record)
            if following := getattr(record, "next", None):
                note(f"there are more: --cursor {following}")

    def show_part(
        self, whole: Page[R], view: Callable[[Page[R]], None], *, limit: int, cursor: str | None
    ) -> None:
        """Print as many as are wanted of a list of named things that is at hand."""
        name: Callable[[object], str] = attrgetter("name")
        hint = "leave --cursor out to begin anew"
        page = page_of(whole.items, name, limit=limit, cursor=cursor, hint=hint)
        self.show(page, view, ids=[name(each) for each in page.items])

    def each(
        self, names: Sequence[str], act: Callable[[str], R], view: Callable[[R], None]
    ) -> None:
        """Act on every name and report each; the exit is that of the first that failed."""
        if len(names) == 1:
            self.show(act(names[0]), view)
            return
        done: list[R] = []
        failed: dict[str, LocalaiError] = {}
        for name in names:
            try:
                done.append(act(name))
            except LocalaiError as error:
                failed[name] = error
                exits.report(error, [])
            else:
                if not self.is_json:
                    view(done[-1])
        if self.is_json:
            errors = [{"id": name, **exits.record(error)} for name, error in failed.items()]
            print_json({"items": done, "total": len(done), "next": None, "errors": errors})
        if failed:
            raise typer.Exit(exits.CODES[next(iter(failed.values())).category])


def noun(help: str | None = None) -> typer.Typer:
    """The command tree of one noun; without help it is a single command."""
    return typer.Typer(
        help=help,
        no_args_is_help=help is not None,
        add_completion=False,
        rich_markup_mode=None,
    )


def is_terminal() -> bool:
    """Tell whether a person can read what we ask and type an answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()
