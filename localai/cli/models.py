"""`ai models`: the language models of this home."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.ask import confirm
from localai.cli.call import AT_HAND, Call, Cursor, Json, Limit, Quiet, Yes, noun
from localai.cli.console import note, print_fields, print_table
from localai.cli.progress import progress

if TYPE_CHECKING:
    from localai.core.records import Page
    from localai.infer.catalogue import Offer
    from localai.infer.fit import Plan, Share
    from localai.infer.library import Model, ModelInfo

app = noun("Language models on this machine.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in `ai models list`.")]


@app.command()
def add(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A GGUF file.")],
    *,
    name: Annotated[str | None, typer.Option(help="Another name than the file's.")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the file instead of linking.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add a GGUF file; it stays where it is unless --copy is given."""
    call = Call(ctx, json=json, quiet=quiet)
    model = call.app.models.add(call.actor, file, name=name, copy=copy)
    call.show(model, _added, ids=[model.name])


@app.command()
def pull(
    ctx: typer.Context,
    wanted: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Of the catalogue, or OWNER/REPO/FILE.")
    ] = None,
    *,
    name: Annotated[str | None, typer.Option(help="Another name than the catalogue's.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a model from the hub; without NAME, show what the catalogue has."""
    call = Call(ctx, json=json, quiet=quiet)
    if wanted is None:
        offers = call.app.downloads.offers(call.actor)
        call.show(offers, _offers, ids=[offer.name for offer in offers.items])
        return
    with progress(wanted, is_download=True) as report:
        model = call.app.downloads.pull(call.actor, wanted, name=name, report=report)
    call.show(model, _added, ids=[model.name])


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = AT_HAND,
    cursor: Cursor = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the models and what each is chosen for."""
    call = Call(ctx, json=json, quiet=quiet)
    page = call.app.engines.page(call.actor, note)
    call.show_part(page, _table, limit=limit, cursor=cursor)


@app.command()
def info(ctx: typer.Context, name: Name, *, json: Json = False) -> None:
    """Show what a model's file says about it, and how it fits this machine."""
    call = Call(ctx, json=json)
    call.show(call.app.local.info(call.actor, name), _info)


@app.command()
def use(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]")] = None,
    *,
    chat: Annotated[str | None, typer.Option(metavar="NAME", help="For questions.")] = None,
    code: Annotated[str | None, typer.Option(metavar="NAME", help="For code.")] = None,
    json: Json = False,
) -> None:
    """Choose the model for questions (NAME or --chat) and the one for code."""
    call = Call(ctx, json=json)
    call.app.use_models(call.actor, chat=chat or name, code=code)
    call.show(call.app.engines.page(call.actor, note), _table)


@app.command()
def rm(ctx: typer.Context, name: Name, *, yes: Yes = False) -> None:
    """Remove a model from the list; a file that was linked stays where it is."""
    call = Call(ctx)
    if call.app.models.abandon(call.actor, name):
        note(f"removed: what had come of {name}")
        return
    model = call.app.models.get(call.actor, name)
    if confirm(f"Remove {model.name} ({_size(model.size_bytes)})?", yes=yes):
        call.app.models.remove(call.actor, model.name)
        note(f"removed: {model.name}")


def _added(model: "Model") -> None:
    note(f"added: {model.name}, {model.architecture} {model.quantization}")
    note(f'next: ai chat -m {model.name} "..."')


def _offers(page: "Page[Offer]") -> None:
    rows = [
        (
            each.name,
            each.good_at,
            each.languages,
            _size(each.size_bytes),
            each.context or "",
            each.license,
        )
        for each in page.items
    ]
    columns = ("NAME", "GOOD AT", "LANGUAGES", "SIZE", "CONTEXT", "LICENCE")
    print_table(columns, rows, empty="the catalogue is empty")


def _table(page: "Page[Model]") -> None:
    columns = ("NAME", "FOR", "FAMILY", "QUANT", "CONTEXT", "SIZE", "FILE")
    print_table(columns, map(_row, page.items), empty="no model: ai models pull NAME")


def _row(model: "Model") -> tuple[object, ...]:
    # A server says neither how large its models are nor how much they read.
    size, context = _size(model.size_bytes) if model.size_bytes else "", model.context or ""
    kind = (model.architecture, model.quantization)
    return model.name, model.roles, *kind, context, size, model.file


def _info(model: "ModelInfo") -> None:
    fields = {**vars(model), "size_bytes": f"{model.size_bytes} ({_size(model.size_bytes)})"}
    fields["calls_tools"] = "<tool_call>, its own" if model.calls_tools else "shown in the prompt"
    plan, with_card = fields.pop("plan"), fields.pop("with_card")
    print_fields(fields | (_planned(plan) if plan else {}))
    if with_card:
        note(f"{with_card.cards[0] if with_card.cards else 'the card'} is not used; with it:")
        for name, value in _planned(with_card).items():
            note(f"  {name}  {value}")


def _planned(plan: "Plan") -> dict[str, str]:
    """A plan and its arithmetic."""
    if plan.on_cards:
        whole = "all" if plan.gpu_layers == plan.layers else f"{plan.gpu_layers} of"
        where = f"{whole} {plan.layers} layers on {', '.join(plan.cards)}"
    else:
        where = "on the processor"
    flash = {None: "where it can", True: "on", False: "off"}[plan.flash_attention]
    told = f"{where}, {plan.context:,} tokens as {plan.kv_type}, flash attention {flash}"
    card = {"card": _shared(plan.on_cards)} if plan.on_cards else {}
    return {"plan": told, **card, "memory": _shared(plan.in_memory)}


def _shared(share: "Share") -> str:
    spare = f" + spare {_size(share.spare)}" if share.spare else ""
    return (
        f"weights {_size(share.weights)} + context {_size(share.kv)} + "
        f"computing {_size(share.computing)}{spare} = {_size(share.needed)} "
        f"of {_size(share.free)} free{'' if share.fits else ': not enough'}"
    )


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "KB", "MB"):
        if amount < 1000:  # noqa: PLR2004 - the step between units
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"
