"""Which engine answers, and what the doctor says of it."""

from collections.abc import Iterator
from pathlib import Path

import chat_server
import gguf_models
import pytest
from chat_server import Scripted

from localai.app import App
from localai.core.errors import Unavailable
from localai.doctor import engines

MODELS = {"content": '{"data": [{"id": "big"}, {"id": "small"}]}'}


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A server with two models."""
    with chat_server.scripted() as made:
        made.answers = [MODELS]
        yield made


def _app(home: Path, **settings: str) -> App:
    return App(home, flags={name.replace("__", "."): text for name, text in settings.items()})


@pytest.mark.prove
def test_the_doctor_asks_the_server(server: Scripted, tmp_path: Path) -> None:
    """For the models that were chosen; without one to ask there is nothing to say."""
    app = _app(tmp_path / "home", engine__url=server.url, models__chat="small")
    assert engines.server(app).message == f"{server.url} answers, with big, small"
    assert engines.models(app).status == "ok"
    app.close()
    wrong = _app(tmp_path / "home", engine__url=server.url, models__code="other")
    found = engines.server(wrong)
    assert (found.status, "has no model other" in found.message) == ("failed", True)
    wrong.close()
    gone = _app(tmp_path / "home", engine__url="http://127.0.0.1:9/v1")
    with pytest.raises(Unavailable):
        engines.server(gone)
    gone.close()
    here = _app(tmp_path / "home")
    assert engines.server(here).status == "ok"
    assert engines.models(here).status == "warning"
    here.close()


def test_a_model_that_gave_way_is_counted(tmp_path: Path) -> None:
    """In the database, where the doctor finds it."""
    app = _app(tmp_path / "home", models__chat="chat", models__code="code")
    for name in ("chat", "code"):
        app.models.add(app.actor, gguf_models.random_llama(tmp_path / f"{name}.gguf"))
    gguf_models.truncated(tmp_path / "code.gguf", tmp_path / "code.gguf")
    heard: list[str] = []
    for _ in range(2):
        assert app.engines.get(app.actor, model=None, role="code", warn=heard.append).name == "chat"
        app.engines.close()
    assert sum("code does not answer, chat does" in line for line in heard) == 2
    app.tally.flush()
    assert engines.models(app).message.endswith("code did not answer, and another one did: 2")
    app.close()
