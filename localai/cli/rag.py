"""`ai rag`: your documents, indexed on this machine and asked."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from localai.cli.answer import answer as answering
from localai.cli.call import Call, Json, noun
from localai.cli.collections import app as collections
from localai.cli.console import linked, note, print_json, print_line, print_table
from localai.cli.followed import tell
from localai.cli.progress import progress
from localai.cli.rag_models import app as rag_models
from localai.rag.records import Piped

if TYPE_CHECKING:
    from localai.rag.evaluate import Evaluation, Figure, Scores
    from localai.rag.records import Answer, IndexReport

app = noun("Index your documents and ask them.")
app.add_typer(collections, name="collections")
app.add_typer(rag_models, name="models")

In = Annotated[str, typer.Option("--collection", "-C", metavar="NAME", help="Which collection.")]
Exclude = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Leave out.")]


@app.command()
def index(
    ctx: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Folders, files, 'GLOBS', https:// pages, or -"),
    ],
    *,
    collection: In = "default",
    exclude: Exclude = None,
    name: Annotated[str | None, typer.Option(help="What - is called; notes.md, say.")] = None,
    untrusted: Annotated[bool, typer.Option(help="Mark them as written by strangers.")] = False,
    json: Json = False,
) -> None:
    """Index text, code, PDF, office files and more; unchanged ones are skipped, deleted removed."""
    call = Call(ctx, json=json)
    with progress("indexing") as shown:
        report = call.app.rag.index(
            call.actor,
            paths,
            collection=collection,
            exclude=exclude or (),
            piped=Piped(name, sys.stdin.buffer),
            is_trusted=not untrusted,
            on_progress=shown,
        )
    call.show(report, _report)


@app.command()
def watch(
    ctx: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Folders or files.")],
    *,
    collection: In = "default",
    exclude: Exclude = None,
    json: Json = False,
) -> None:
    """Index, then follow every change until Ctrl-C."""
    call = Call(ctx, json=json)
    with call.app.watch_documents(
        call.actor, paths, collection=collection, exclude=exclude or ()
    ) as watching:
        with progress("indexing") as shown:
            first = watching.start(shown)
        tell(first, is_json=json)
        call.app.send_in_background()
        note("looking every two seconds" if watching.is_polling else "waiting for changes")
        for each in watching.runs():
            tell(each, is_json=json)


@app.command()
def query(
    ctx: typer.Context,
    text: Annotated[list[str], typer.Argument(metavar="TEXT")],
    *,
    collection: In = "default",
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="Passages at most.")] = 5,
    answer: Annotated[
        bool, typer.Option("--answer/--no-answer", help="Let a model answer from them.")
    ] = True,
    json: Json = False,
) -> None:
    """Find the passages that answer a question, answer from them and cite them."""
    call = Call(ctx, json=json)
    question = " ".join(text)
    with answering(is_json=json) as shown:
        found = call.app.ask_documents(
            call.actor,
            question,
            collection=collection,
            k=k,
            answer=answer,
            show=shown.add,
            warn=note,
        )
    call.show(found, _passages)


@app.command("eval")
def eval_(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Questions, as JSON Lines.")],
    *,
    collection: In = "default",
    json: Json = False,
) -> None:
    """Measure how well a collection answers questions whose sources are known."""
    call = Call(ctx, json=json)
    found = call.app.rag.evaluate(call.actor, file, collection=collection)
    if json:
        print_json(_measured(found))
    else:
        _evaluated(found)


def _measured(found: "Evaluation") -> dict[str, object]:
    means = {name: _means(scores) for name, scores in found.by_language.items()}
    change = vars(found.change) if found.change else None
    return {**_means(found.overall), "by_language": means, "change": change}


def _means(scores: "Scores") -> dict[str, object]:
    figures = {"ndcg@10": scores.ndcg, "recall@10": scores.recall, "mrr": scores.mrr}
    intervals = {name: [figure.low, figure.high] for name, figure in figures.items()}
    means = {name: figure.mean for name, figure in figures.items()}
    return {"questions": scores.questions, **means, "intervals": intervals}


def _evaluated(found: "Evaluation") -> None:
    groups = {"all": found.overall, **found.by_language}
    rows = (
        (name, each.questions, *map(_figure, (each.ndcg, each.recall, each.mrr)))
        for name, each in groups.items()
    )
    print_table(("", "QUESTIONS", "NDCG@10", "RECALL@10", "MRR"), rows, empty="")
    if found.change:
        note(f"nDCG@10 since the last time: {_figure(found.change, sign='+')}")


def _figure(figure: "Figure", sign: str = "") -> str:
    return f"{figure.mean:{sign}.3f} [{figure.low:{sign}.3f}, {figure.high:{sign}.3f}]"


def _report(report: "IndexReport") -> None:
    print_line(
        f"{report.added} added, {report.updated} updated, {report.unchanged} unchanged, "
        f"{report.removed} removed; {report.chunks} passages in {report.seconds:.1f} s"
    )
    for each in report.skipped:
        note(f"skipped {each.source}: {each.reason}")


def _passages(found: "Answer") -> None:
    if not found.passages:
        note("nothing found")
    elif found.answer is not None:
        print_line("")
    for passage in found.passages:
        mark = "  untrusted" if passage.trust == "untrusted" else ""
        where = linked(f"{passage.source} {passage.location}", passage.uri)
        print(f"[{passage.n}] {where}{mark}  ({passage.score:.3f})")
        print_line(f"    {passage.title}")
        for line in passage.text.strip().split("\n"):
            print_line(f"    {line}")
        print_line("")
