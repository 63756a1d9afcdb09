"""Examines a starter through the product: `python training/starter/evaluate.py [--model FILE]`.

Held-out words and phrasings, the chat path of `ai chat` and the passages prompt and grammar of
`ai rag query`; without --model, the file that ships.
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from items import LANGS, PHRASE, SPECS, Exchange, Maker

from localai.agent.events import Called, Said
from localai.agent.history import Turn
from localai.agent.turn import Request
from localai.app import App
from localai.core.errors import LocalaiError
from localai.infer.engine import Engine, Form, Sampling
from localai.infer.library import STARTER
from localai.rag.citations import cited

SEED = 20_261_121


@dataclass(frozen=True)
class Row:
    """One figure: how many were right, of how many."""

    name: str
    right: int
    asked: int

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.right / self.asked


class Examination:
    """One home, one model, and items that nobody was trained on."""

    def __init__(self, app: App, engine: Engine, *, seed: int = SEED) -> None:
        self._app, self._engine = app, engine
        self._rng = random.Random(seed)
        self.misses: list[dict[str, str]] = []

    def rows(self, count: int) -> Iterator[Row]:
        """Every row, `count` items each."""
        for lang in LANGS:
            yield from self._calls(lang, count)
        for lang in LANGS:
            yield from self._passages(lang, count)
        for name, make, ask in (
            ("says that it is absent", lambda make: make.documents(is_absent=True), self._document),
            ("no tool fits", lambda make: make.no_tool(SPECS), self._chat),
            ("sentence after a result", self._ended, self._settled),
            ("questions about itself, small talk", lambda make: make.talk(), self._chat),
            ("says that it does not know", lambda make: make.unknown(), self._chat),
        ):
            yield self._row(name, make, ask, count)

    def _calls(self, lang: str, count: int) -> Iterator[Row]:
        found: Counter[str] = Counter()
        for _ in range(count):
            exchange = self._maker(lang).tool(self._rng.choice(SPECS).name)
            wanted = exchange.messages[1].tool_calls[0]
            _, calls = self._turn(exchange.messages[0].content)
            is_named = bool(calls) and calls[0].name == wanted.name
            is_exact = is_named and _object(calls[0].arguments) == json.loads(wanted.arguments)
            found["name"] += is_named
            found["call"] += is_exact
            if not is_exact:
                said = f"{calls[0].name} {calls[0].arguments}" if calls else "no call"
                self._missed(f"call {lang}", exchange, said, wanted.arguments)
        yield Row(f"right tool, {lang}", found["name"], count)
        yield Row(f"exact call, {lang}", found["call"], count)

    def _passages(self, lang: str, count: int) -> Iterator[Row]:
        right = refused = 0
        absent = PHRASE.facts["absent"][lang]["answer"]
        for _ in range(count):
            exchange = self._maker(lang).documents(is_absent=False)
            said = self._document(exchange)
            wanted = exchange.messages[-1].content
            right += said == wanted
            refused += said == absent
            if said != wanted:
                self._missed(f"passages {lang}", exchange, said, wanted)
        yield Row(f"answer and citation, {lang}", right, count)
        yield Row(f"false refusals, {lang}", refused, count)

    def _row(
        self,
        name: str,
        make: Callable[[Maker], Exchange],
        ask: Callable[[Exchange], str],
        count: int,
    ) -> Row:
        right = 0
        for n in range(count):
            exchange = make(self._maker(LANGS[n % len(LANGS)]))
            said, wanted = ask(exchange), exchange.messages[-1].content
            right += said == wanted
            if said != wanted:
                self._missed(name, exchange, said, wanted)
        return Row(name, right, count)

    def _ended(self, make: Maker) -> Exchange:
        return make.tool(self._rng.choice(SPECS).name)

    def _document(self, exchange: Exchange) -> str:
        """What `ai rag query` answers from these passages."""
        messages = exchange.messages[:-1]
        count = messages[-1].content.count("<passage ")
        deltas = self._engine.stream(
            messages, sampling=Sampling(temperature=0), form=Form(citations=count)
        )
        return cited("".join(delta.text for delta in deltas).strip(), count)[0]

    def _chat(self, exchange: Exchange) -> str:
        """What `ai chat` answers; a call, where none was wanted, shows as its name."""
        said, calls = self._turn(exchange.messages[0].content)
        return " ".join([*(call.name for call in calls), said]).strip()

    def _settled(self, exchange: Exchange) -> str:
        """What `ai chat` says after a call has ended."""
        asked, called, told, _ = exchange.messages
        history, actor = self._app.history, self._app.actor
        session = history.begin(actor, asked.content, ".")
        history.add(actor, session, Turn(0, "user", asked.content))
        history.add(actor, session, Turn(0, "assistant", "", called.tool_calls))
        answer = Turn(0, "tool", told.content, (), told.tool_call_id, told.name)
        history.add(actor, session, answer)
        said, _ = self._turn(None, session)
        return said

    def _turn(self, text: str | None, session: str | None = None) -> tuple[str, list[Called]]:
        """What was said and called; a turn that ends in an error said what it had said so far."""
        app = self._app
        events = app.agent.chat(
            app.actor, Request(text, session), self._engine, app.gate(app.actor)
        )
        said, calls = "", []
        with suppress(LocalaiError):
            for event in events:
                if isinstance(event, Said):
                    said += event.text
                elif isinstance(event, Called):
                    calls.append(event)
        return said.strip(), calls

    def _maker(self, lang: str) -> Maker:
        return Maker(self._rng, lang, held=True)

    def _missed(self, row: str, exchange: Exchange, said: str, wanted: str) -> None:
        asked = exchange.messages[-2 if len(exchange.messages) < 4 else 0].content
        self.misses.append({"row": row, "asked": asked, "said": said, "wanted": wanted})


@contextmanager
def examined(model: Path | None) -> Iterator[tuple[App, Engine]]:
    """A home that is gone afterwards, and the model loaded in it."""
    with tempfile.TemporaryDirectory(prefix="starter-") as scratch:
        workspace = Path(scratch) / "workspace"
        workspace.mkdir()
        app = App(Path(scratch) / "home", workspace=workspace)
        try:
            name = STARTER
            if model is not None:
                name = app.models.add(app.actor, model, name="examined").name
            yield app, app.engines.get(app.actor, model=name, role="chat", warn=print)
        finally:
            app.close()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, help="a GGUF file instead of the shipped one")
    parser.add_argument("--count", type=int, default=400, help="items a row")
    parser.add_argument("--misses", type=Path, help="write what went wrong here, as JSON lines")
    options = parser.parse_args()
    with examined(options.model) as (app, engine):
        exam = Examination(app, engine)
        started = time.monotonic()
        print("| | right | of |\n| --- | ---: | ---: |")
        for row in exam.rows(options.count):
            print(f"| {row.name} | {row.share:.1%} | {row.asked} |", flush=True)
        print(f"\n{time.monotonic() - started:.0f} s")
    if options.misses:
        lines = [json.dumps(miss, ensure_ascii=False) for miss in exam.misses]
        options.misses.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _object(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


if __name__ == "__main__":
    main()
