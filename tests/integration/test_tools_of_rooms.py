"""The tools that look into other rooms, in a whole home."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from gguf_models import random_llama

from localai.agent.builtin import registry
from localai.agent.history import Turn
from localai.agent.tables import sessions
from localai.agent.tools import Context, ToolResult
from localai.app import App
from localai.core.errors import Denied, NotFound
from localai.rbac.permissions import Actor


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """A home in a folder."""
    (tmp_path / "work").mkdir()
    made = App(tmp_path / "home", workspace=tmp_path / "work")
    made.initialise()
    yield made
    made.close()


def _run(app: App, tool: str, actor: Actor | None = None, /, **arguments: object) -> ToolResult:
    context = Context(app.workspace, actor=actor or app.actor)
    return app.tools.get(tool).function(context, **arguments)


def _said(app: App, text: str, actor: Actor | None = None) -> str:
    actor = actor or app.actor
    session = app.history.begin(actor, text, str(app.workspace))
    app.history.add(actor, session, Turn(0, "user", text))
    app.history.add(actor, session, Turn(0, "assistant", "I see.", model="starter"))
    return session


def test_passages_come_numbered_with_their_places(app: App, tmp_path: Path) -> None:
    """And where strangers wrote one, it says so, and so does the result."""
    file = tmp_path / "kettle.md"
    file.write_text("# Kettle\n\nThe kettle is descaled with vinegar every month.\n")
    app.rag.index(app.actor, [file])
    found = _run(app, "rag_search", question="How is the kettle descaled?")
    assert found.text.startswith("[1] kettle.md L")
    assert "vinegar" in found.text
    assert not found.is_foreign
    app.rag.index(app.actor, [file], collection="web", is_trusted=False)
    found = _run(app, "rag_search", question="How is the kettle descaled?", collection="web")
    assert found.is_foreign
    assert "(untrusted)\n" in found.text


def test_documents_that_say_nothing_say_so(app: App, tmp_path: Path) -> None:
    """Rather than a passage that has nothing to do with it."""
    file = tmp_path / "kettle.md"
    file.write_text("The kettle is descaled with vinegar every month.\n")
    app.rag.index(app.actor, [file])
    asked = "Which parliament ratified the treaty on whaling?"
    assert (
        _run(app, "rag_search", question=asked).text
        == "the documents of default say nothing on this"
    )
    with pytest.raises(NotFound):
        _run(app, "rag_search", question=asked, collection="none")


def test_earlier_conversations_are_found_but_not_this_one(app: App) -> None:
    """By words and by meaning."""
    old = _said(app, "The kettle is descaled with vinegar")
    here = _said(app, "What about the kettle?")
    found = _run(app, "memory_search", app.actor.agent(here), text="kettle")
    assert f" {old[:8]} " in found.text
    assert "user: The kettle is descaled with vinegar" in found.text
    assert here[:8] not in found.text
    meant = _run(app, "memory_search", app.actor.agent(here), text="removing limescale with acid")
    assert old[:8] in meant.text


def test_nobody_finds_what_others_said(app: App) -> None:
    """A user's conversations are that user's."""
    app.users.add(app.actor, "ana", ["user"])
    _said(app, "The kettle is descaled with vinegar")
    ana = Actor("ana")
    assert _run(app, "memory_search", ana, text="kettle").text == "nothing like it was said before"


def test_what_strangers_led_is_foreign_when_it_is_remembered(app: App) -> None:
    """Or a page could speak through a later conversation."""
    session = _said(app, "The kettle is descaled with vinegar")
    assert not _run(app, "memory_search", text="kettle").is_foreign
    led = sa.update(sessions).where(sessions.c.id == session).values(has_foreign=True)
    with app.database.transaction() as connection:
        connection.execute(led)
    assert _run(app, "memory_search", text="kettle").is_foreign


def test_the_model_of_a_conversation_is_told(app: App) -> None:
    """Who answers here, and who else could."""
    session = _said(app, "hello")
    found = _run(app, "get_current_model", app.actor.agent(session))
    assert found.text == "starter answers in this conversation\nthere are:\n- starter"
    assert _run(app, "get_current_model").text.startswith("this is no conversation\n")


def test_a_model_is_chosen_for_one_conversation_alone(app: App, tmp_path: Path) -> None:
    """What the settings say stays, and a model that is gone is no longer asked for."""
    app.models.add(app.actor, random_llama(tmp_path / "other.gguf"))
    one, two = _said(app, "hello"), _said(app, "hello again")
    found = _run(app, "switch_model", app.actor.agent(one), name="other")
    assert found.text == "other answers from the next turn on"
    assert app.chosen_model(app.actor, one[:6]) == "other"
    assert app.chosen_model(app.actor, two) is None
    assert app.chosen_model(app.actor, None) is None
    app.models.remove(app.actor, "other")
    assert app.chosen_model(app.actor, one) is None


def test_what_is_no_model_is_not_chosen(app: App) -> None:
    """Nor anything outside of a conversation, or in another user's."""
    session = _said(app, "hello")
    with pytest.raises(NotFound, match="none"):
        _run(app, "switch_model", app.actor.agent(session), name="none")
    assert not _run(app, "switch_model", name="starter").ok
    app.users.add(app.actor, "ana", ["user"])
    with pytest.raises(NotFound):
        _run(app, "switch_model", Actor("ana").agent(session), name="starter")
    assert app.chosen_model(app.actor, session) is None


def test_a_tool_works_for_somebody(app: App) -> None:
    """Without an actor nothing of other rooms is shown."""
    for name, arguments in (("rag_search", {"question": "x"}), ("memory_search", {"text": "x"})):
        with pytest.raises(Denied):
            app.tools.get(name).function(Context(app.workspace), **arguments)


def test_all_tools_that_ship_are_there(app: App) -> None:
    """With the permissions that they need and the risks that they have."""
    alone = {tool.name for tool in registry().all()}
    others = {*alone, "web_screenshot"}  # where there is a browser
    ours = [tool for tool in app.tools.all() if tool.name not in others]
    told = {tool.name: (tool.risk.word, tool.permission) for tool in ours}
    assert told == {
        "web_fetch": ("high", "commands:run"),
        "rag_search": ("low", "rag:read"),
        "memory_search": ("low", "sessions:read"),
        "get_current_model": ("low", "models:read"),
        "switch_model": ("medium", "models:read"),
    }
