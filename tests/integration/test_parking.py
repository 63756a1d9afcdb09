"""Conversations that go on from a memory on disk, with real models."""

import shutil
import statistics
from contextlib import closing
from pathlib import Path

import gguf_models
import pytest

from localai.infer import llamacpp
from localai.infer.engine import Message, Sampling
from localai.infer.library import SHIPPED, STARTER
from localai.infer.parking import Parking

CONVERSATIONS = 50
QUESTIONS = (
    "What can you do, and how do I begin?",
    "And in Korean? 한국어도 하나요?",
    "Write a.txt",
)


@pytest.fixture(params=["starter", "random"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A model whose short convolutions remember only the end, and an ordinary one."""
    if request.param == "starter":
        return SHIPPED[STARTER]
    return gguf_models.random_llama(tmp_path / "random.gguf", seed=1, context=2048)


@pytest.fixture
def parking(tmp_path: Path) -> Parking:
    """Room for all of them."""
    return Parking(tmp_path / "conversations", lambda: b"k" * 32, 1 << 30)


def _load(
    file: Path, parking: Parking | None = None, context: int | None = None
) -> llamacpp.LlamaCpp:
    return llamacpp.load(file, threads=1, gpu_layers=0, parking=parking, context=context)


class Talk:
    """A conversation of its own number, one question after another."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._messages: list[Message] = []
        self.heard: list[tuple[str, int]] = []

    def ask(self, engine: llamacpp.LlamaCpp) -> int:
        """Ask the next question; returns how many tokens of the prompt were remembered."""
        question = QUESTIONS[len(self.heard)]
        self._messages.append(Message("user", f"{self._number}: {question * 3}"))
        engine.recall(f"conversation-{self._number}")
        # The likeliest of a random model would be one token again and again.
        sampling = Sampling(temperature=1, max_tokens=24, seed=self._number)
        *said, last = engine.stream(self._messages, sampling=sampling)
        assert last.usage is not None
        text = "".join(delta.text for delta in said)
        self._messages.append(Message("assistant", text))
        self.heard.append((text, last.usage.cached_tokens))
        return last.usage.cached_tokens


def _whole(file: Path, number: int, parking: Parking | None = None) -> Talk:
    """A conversation with one engine, which is not interrupted."""
    talk = Talk(number)
    with closing(_load(file, parking)) as engine:
        for _ in QUESTIONS:
            talk.ask(engine)
    return talk


@pytest.mark.prove
def test_a_resumed_conversation_goes_on_as_if_it_had_not_ended(
    file: Path, parking: Parking
) -> None:
    """The same tokens, with as many of them remembered, from a process for each turn."""
    remembered: list[int] = []
    for number in range(CONVERSATIONS // 2):
        resumed = Talk(number)
        for _ in QUESTIONS:
            with closing(_load(file, parking)) as engine:
                resumed.ask(engine)
        assert resumed.heard == _whole(file, number).heard
        remembered += [cached for _, cached in resumed.heard[1:]]
    # What was drawn may read otherwise when it is read again; then little is remembered.
    assert statistics.median(remembered) >= 64


def test_conversations_take_turns_in_one_engine(file: Path, parking: Parking) -> None:
    """What is remembered of one rests while another is talked about."""
    talks = [Talk(number) for number in range(3)]
    with closing(_load(file, parking)) as engine:
        for _ in QUESTIONS:
            for talk in talks:
                talk.ask(engine)
    assert min(cached for talk in talks for _, cached in talk.heard[1:]) >= 64


def test_another_models_memory_is_not_taken(tmp_path: Path, parking: Parking) -> None:
    """The file under the same name may have been replaced."""
    place = tmp_path / "model.gguf"
    for seed in (1, 2):
        made = gguf_models.random_llama(tmp_path / f"{seed}.gguf", seed=seed, context=2048)
        shutil.copy(made, place)
        assert _whole(place, 0, parking).heard == _whole(place, 0).heard


def test_a_memory_that_llamacpp_refuses_is_read_anew(
    file: Path, parking: Parking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the reason is."""
    first = _whole(file, 0, parking)
    monkeypatch.setattr(llamacpp.lib, "llama_state_seq_set_data", lambda *_: 0)
    assert _whole(file, 0, parking).heard == first.heard


def test_a_memory_that_outgrew_the_context_is_not_loaded(file: Path, parking: Parking) -> None:
    """The settings may have changed."""
    *_, (_, remembered) = _whole(file, 0, parking).heard
    with closing(_load(file, parking, context=remembered)) as engine:
        assert Talk(0).ask(engine) == 0
