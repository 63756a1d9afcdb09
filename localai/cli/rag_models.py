"""`ai rag models`: the models that documents are found with."""

from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.call import AT_HAND, Call, Cursor, Json, Limit, Quiet, noun
from localai.cli.console import note, print_line, print_table
from localai.cli.progress import progress

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.rag.records import Chosen
    from localai.rag.retrieval_models import RetrievalModel

app = noun("Models that embed documents, and models that rank what was found.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="As in `ai rag models list`.")]


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    everything: Annotated[bool, typer.Option("--all", help="All that fastembed knows.")] = False,
    limit: Limit = AT_HAND,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the models worth a thought, and which are here and in use."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.rag_models.page(call.actor, everything=everything)
    call.show_part(page, _tables, limit=limit, cursor=cursor)


@app.command()
def pull(ctx: typer.Context, name: Name, *, json: Json = False, quiet: Quiet = False) -> None:
    """Fetch a model from the hub, once; from then on it needs no network."""
    call = Call(ctx, json=json, quiet=quiet)
    with progress(name, is_download=True) as report:
        model = call.app.rag_models.pull(call.actor, name, report)
    call.show(model, _pulled, ids=[model.name])


@app.command()
def use(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    *,
    no_reranker: Annotated[
        bool, typer.Option("--no-reranker", help="Leave the order as it was found.")
    ] = False,
    json: Json = False,
) -> None:
    """Choose the embedding model, or the reranker; it must be here."""
    call = Call(ctx, json=json)
    call.show(call.app.use_rag_model(call.actor, name, no_reranker=no_reranker), _chosen)


def _tables(page: "Page[RetrievalModel]") -> None:
    for kind in ("embedding", "reranker"):
        models = [each for each in page.items if each.kind == kind]
        columns = (kind.upper(), "DIM", "SIZE", "LANGUAGES", "LICENCE", "STATE")
        print_table(columns, map(_row, models), empty="none")
        print_line("")
    if any(not each.is_permissive for each in page.items):
        note("*  this licence is not permissive: read it before you use the model")


def _row(model: "RetrievalModel") -> tuple[object, ...]:
    licence = model.license if model.is_permissive else f"{model.license} *"
    return model.name, model.dim or "", _size(model), model.languages, licence, _state(model)


def _state(model: "RetrievalModel") -> str:
    if model.is_used:
        return "in use" if model.is_here else f"in use, not here: {model.origin}"
    if model.is_here:
        return "here"
    return model.origin if model.origin.startswith("pip ") else ""


def _size(model: "RetrievalModel") -> str:
    megabytes = model.size_bytes / 1e6
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"  # noqa: PLR2004


def _pulled(model: "RetrievalModel") -> None:
    note(f"here: {model.name}, {model.license}")
    note(f"next: ai rag models use {model.name}")


def _chosen(chosen: "Chosen") -> None:
    note(f"embedding model: {chosen.model}")
    note(f"reranker: {chosen.reranker or 'none'}")
    for each in chosen.others:
        note(f"{each.name} was made with {each.model}: ai rag collections rebuild {each.name}")
