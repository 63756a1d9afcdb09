"""A conversation over documents, with the real engine on scripted models and a real index."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gguf_models
import pytest

from localai.agent.events import Event, Found, GroundedResult, Said
from localai.app import App
from localai.core.counters import counted
from localai.core.errors import NotFound
from localai.core.metrics import REMOVED_CITATIONS

BOILER = "# House\n\n## Boiler\n\nThe boiler is serviced by Sumin every October.\n"
ROOF = "# House\n\n## Roof\n\nThe roof is painted by Jiho every spring.\n"
BIRDS = "Which birds migrate over the deserts of Africa?"

Say = Callable[..., list[Event]]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A home with a collection."""
    app = App(tmp_path / "home", workspace=tmp_path)
    for name, text in (("boiler.md", BOILER), ("roof.md", ROOF)):
        (tmp_path / "house" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "house" / name).write_text(text, encoding="utf-8")
    app.rag.index(app.actor, [tmp_path / "house"], collection="house")
    yield app
    app.close()


@pytest.fixture
def say(app: App, tmp_path: Path) -> Say:
    """Says one thing to a model that follows the rules; gives the events."""

    def turn(text: str, rules: list[tuple[str, Any]], **options: Any) -> list[Event]:
        file = gguf_models.scripted(tmp_path / "model.gguf", rules, "Nothing.", context=4096)
        app.models.add(app.actor, file)
        engine = app.engines.get(app.actor, model=None, role="chat", warn=print)
        documents = app.documents(app.actor, "house")
        asked = {"session": None, "route": "chat", "max_tokens": None, "seed": None}
        settings = {"system": None, "with_tools": None, "temperature": None, "documents": documents}
        request = app.request(text, **(asked | settings | options))
        return list(app.agent.chat(app.actor, request, engine, app.gate(app.actor)))

    return turn


def found(events: list[Event]) -> Found:
    """What was looked up."""
    (one,) = (event for event in events if isinstance(event, Found))
    return one


def result(events: list[Event]) -> GroundedResult:
    """The end of a turn."""
    last = events[-1]
    assert isinstance(last, GroundedResult)
    return last


def test_an_answer_rests_on_passages_and_names_those_that_it_cites(app: App, say: Say) -> None:
    """The model reads them with the question; the conversation keeps the question alone."""
    rules = [("'<passage' in last.content and 'Sumin' in last.content", "Sumin does [1].")]
    done = result(say("Who services the boiler?", rules))
    assert done.text == "Sumin does [1]."
    assert [passage.source for passage in done.passages] == ["boiler.md"]
    turns = app.history.read(app.actor, done.session).turns
    assert [turn.content for turn in turns] == ["Who services the boiler?", "Sumin does [1]."]


def test_a_follow_up_is_looked_up_as_a_question_of_its_own(app: App, say: Say) -> None:
    """`And the roof?` names nobody's work."""
    rules = [
        ("'Next question: And the roof?' in last.content", "Who services the roof?"),
        ("'Question: And the roof?' in last.content", "Jiho paints it [1]."),
        ("true", "Sumin [1]."),
    ]
    first = result(say("Who services the boiler?", rules))
    events = say("And the roof?", rules, session=first.session)
    assert found(events).question == "Who services the roof?"
    assert result(events).text == "Jiho paints it [1]."
    turns = app.history.read(app.actor, first.session).turns
    assert [turn.content for turn in turns][2:] == ["And the roof?", "Jiho paints it [1]."]


@pytest.mark.parametrize("written", ["Which birds migrate to Africa?", "x" * 500, ""])
def test_a_rewritten_question_that_says_something_else_is_not_used(say: Say, written: str) -> None:
    """A model that cannot do it does no harm."""
    rules = [("'Next question' in last.content", written), ("true", "Sumin [1].")]
    first = result(say("Who services the boiler?", rules))
    events = say("And the roof?", rules, session=first.session)
    assert found(events).question == "And the roof?"


def test_where_the_documents_do_not_say_the_model_answers_without_them(say: Say) -> None:
    """And the event says that nothing was found."""
    rules = [("'<passage' in last.content", "From a passage."), ("true", "I do not know.")]
    events = say(BIRDS, rules)
    assert found(events).passages == ()
    assert result(events).text == "I do not know."


def test_a_made_up_citation_is_taken_out_while_it_is_streamed_and_counted(
    app: App, say: Say
) -> None:
    """Where a model may call tools it is not held to its citations."""
    rules = [("'<passage' in last.content", "Sumin does [1]. Surely [9].")]
    events = say("Who services the boiler?", rules, with_tools=True)
    said = "".join(event.text for event in events if isinstance(event, Said))
    assert said == result(events).text == "Sumin does [1]. Surely."
    app.tally.flush()
    assert counted(app.database, REMOVED_CITATIONS) == [({}, 1)]


def test_a_collection_that_is_not_there_is_refused_before_anything_is_asked(app: App) -> None:
    """With the command that makes it."""
    with pytest.raises(NotFound, match="nowhere"):
        app.documents(app.actor, "nowhere")
