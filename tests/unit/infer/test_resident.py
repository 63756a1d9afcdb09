"""One model is loaded at a time, for whoever asks, and stays for the next."""

import threading
from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest
from lines import line_to

from localai.core.errors import Conflict, Lost, Unavailable
from localai.infer import resident
from localai.infer.attached import Attached, methods
from localai.infer.engine import Delta, Form, Message, Usage
from localai.infer.meter import Meter
from localai.infer.resident import Resident

ASKED = [Message("user", "well?")]


class Speaker:
    """An engine that says its name letter by letter, each when it may."""

    calls_tools = False

    def __init__(self, name: str, may_say: threading.Semaphore, told: list[str]) -> None:
        self.name = name
        self.context = 100 * len(name)
        self._may_say = may_say
        self._told = told

    def count(self, text: str) -> int:
        """A letter is a token."""
        assert f"-{self.name}" not in self._told[-1:]
        return len(text)

    def recall(self, conversation: str) -> None:
        """Say which."""
        self._told.append(f"{self.name}:{conversation}")

    def stream(self, _: Sequence[Message], **__: object) -> Generator[Delta]:
        """Its name."""
        for letter in self.name:
            assert self._may_say.acquire(timeout=30)
            yield Delta(letter)

    def close(self) -> None:
        """Be gone."""
        self._told.append(f"-{self.name}")


class Stage:
    """What loads speakers, and what was seen of them."""

    def __init__(self) -> None:
        self.may_say = threading.Semaphore(0)
        self.told: list[str] = []
        self.version = 1
        self.room = Resident(self._load, lambda _: self.version)

    def _load(self, actor: object, name: str, warn: Callable[[str], None]) -> Speaker:
        assert actor == "somebody"
        if name == "none":
            raise Unavailable("it does not load")
        warn(f"{name} is slow")
        self.told.append(f"+{name}")
        return Speaker(name, self.may_say, self.told)

    def engine(self, name: str, conversation: str = "") -> resident.Lent:
        found = self.room.get("somebody", name, lambda _: None)
        found.recall(conversation)
        return found

    def asking(self, name: str, said: list[str]) -> threading.Thread:
        """Somebody who asks it, in a thread of their own."""

        def ask() -> None:
            said.append("".join(delta.text for delta in self.engine(name).stream(ASKED)))

        thread = threading.Thread(target=ask)
        thread.start()
        return thread

    def wait_for(self, waiting: int) -> None:
        """Until so many wait."""
        while (loaded := self.room.loaded) is None or loaded.waiting < waiting:
            pass


@pytest.fixture
def stage() -> Stage:
    """Nothing is loaded."""
    return Stage()


def test_a_model_stays_for_the_next(stage: Stage) -> None:
    """It is loaded once; another one takes its place, and is what it said it is."""
    stage.may_say.release(9)
    for conversation in ("x", "y"):
        said = [delta.text for delta in stage.engine("ab", conversation).stream(ASKED)]
        assert said == ["a", "b"]
    assert stage.told == ["+ab", "ab:x", "ab:y"]
    other = stage.engine("c")
    assert (other.name, other.context, other.count("four")) == ("c", 100, 4)
    assert stage.told[3:] == ["-ab", "+c"]
    stage.room.close()
    assert stage.told[-1] == "-c"


def test_they_answer_in_the_order_in_which_they_were_asked(stage: Stage) -> None:
    """However the models differ; nobody cuts in on an answer."""
    said: list[str] = []
    for name in ("ef", "cd", "ab"):
        assert stage.engine(name).context == 200
    del stage.told[:-1]
    threads = [stage.asking("ab", said)]
    while not stage.told[1:]:
        pass
    for number, name in enumerate(("cd", "ab", "ef")):
        threads.append(stage.asking(name, said))
        stage.wait_for(number + 1)
    stage.may_say.release(8)
    for thread in threads:
        thread.join(30)
    assert sorted(said) == ["ab", "ab", "cd", "ef"]
    loads = [each for each in stage.told if each[0] in "+-"]
    assert loads == ["+ab", "-ab", "+cd", "-cd", "+ab", "-ab", "+ef"]


def test_words_are_counted_while_it_answers(stage: Stage) -> None:
    """Whoever answers may count, without a turn."""
    engine = stage.engine("ab")
    answer = engine.stream(ASKED)
    stage.may_say.release()
    assert next(answer).text == "a"
    assert engine.count("four") == 4
    answer.close()
    assert stage.room.unload()


def test_what_nobody_uses_is_unloaded(stage: Stage) -> None:
    """Not before its time, never while it answers; who comes later has it loaded again."""
    engine = stage.engine("ab")
    assert not stage.room.unload(idle_s=3600)
    answer = engine.stream(ASKED)
    stage.may_say.release(3)
    next(answer)
    loaded = stage.room.loaded
    assert loaded is not None
    assert loaded.idle_s is None
    assert not stage.room.unload()
    answer.close()
    assert stage.room.unload()
    assert stage.room.loaded is None
    assert not stage.room.unload()
    assert [delta.text for delta in engine.stream(ASKED)] == ["a", "b"]
    assert [each for each in stage.told if each[0] in "+-"] == ["+ab", "-ab", "+ab"]


def test_a_file_that_was_replaced_is_loaded_anew(stage: Stage) -> None:
    """At the next answer; the name alone does not tell."""
    stage.may_say.release(9)
    list(stage.engine("ab").stream(ASKED))
    stage.version = 2
    list(stage.engine("ab").stream(ASKED))
    list(stage.engine("ab").stream(ASKED))
    assert [each for each in stage.told if each[0] in "+-"] == ["+ab", "-ab", "+ab"]


def test_nothing_is_freed_under_an_answer(stage: Stage) -> None:
    """What ends waits for it; who waits is told, and nothing is loaded any more."""
    said: list[str] = []
    failed: list[Unavailable] = []
    answer = stage.engine("ab").stream(ASKED)
    stage.may_say.release()
    next(answer)

    def wait() -> None:
        try:
            said.extend(delta.text for delta in stage.engine("ab").stream(ASKED))
        except Unavailable as error:
            failed.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    stage.wait_for(1)
    closing = threading.Thread(target=stage.room.close)
    closing.start()
    waiting.join(30)
    assert (len(failed), "-ab" in stage.told) == (1, False)
    answer.close()
    closing.join(30)
    assert stage.told[-1] == "-ab"
    with pytest.raises(Unavailable, match="ending"):
        next(stage.engine("ab").stream(ASKED))
    assert stage.told.count("+ab") == 1


def test_one_that_does_not_load_blocks_nobody(stage: Stage) -> None:
    """The next one is loaded."""
    stage.engine("ab")
    with pytest.raises(Unavailable, match="does not load"):
        stage.engine("none")
    assert stage.room.loaded is None
    assert stage.engine("ab").count("x") == 1


def test_who_gives_up_waiting_is_out_of_the_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a line that is full says so."""
    monkeypatch.setattr(resident, "MAX_WAITING", 1)
    said: list[str] = []
    stage.engine("ab")
    threads = [stage.asking("ab", said)]
    while not stage.told[1:]:
        pass
    threads.append(stage.asking("ab", said))
    stage.wait_for(1)
    with pytest.raises(Conflict, match="1 wait"):
        next(stage.engine("ab").stream(ASKED))
    stage.may_say.release(4)
    for thread in threads:
        thread.join(30)
    assert said == ["ab", "ab"]


def test_many_at_once_never_use_what_is_closed(stage: Stage) -> None:
    """Counting, answering and unloading, all at a time."""
    stage.may_say.release(10_000)
    is_over = threading.Event()

    def unload() -> None:
        while not is_over.is_set():
            stage.room.unload()

    def use(name: str) -> None:
        for _ in range(40):
            engine = stage.engine(name)
            assert engine.count("four") == 4
            assert len(list(engine.stream(ASKED))) == len(name)

    unloading = threading.Thread(target=unload)
    threads = [threading.Thread(target=use, args=[name]) for name in ("ab", "ab", "cde")]
    for thread in (unloading, *threads):
        thread.start()
    for thread in threads:
        thread.join(60)
    is_over.set()
    unloading.join(30)
    loads = [each for each in stage.told if each[0] in "+-"]
    for before, after in pairwise(loads):
        assert before[0] != after[0], loads


def test_a_model_is_loaded_here_where_the_other_process_ends(stage: Stage, tmp_path: Path) -> None:
    """The conversation goes on; what was under way says that it was cut off."""
    own = Stage()
    own.may_say.release(9)
    warned: list[str] = []
    stage.may_say.release(3)
    with line_to(tmp_path / "line", methods(stage.room, "somebody")) as line:
        engine = Attached("ab", line, lambda: own.engine("ab"), warned.append)
        engine.recall("talk")
        assert (engine.context, engine.calls_tools, engine.count("four")) == (200, False, 4)
        assert [delta.text for delta in engine.stream(ASKED)] == ["a", "b"]
        assert stage.told == ["+ab", "ab:talk"]
        cut = engine.stream(ASKED)
        assert next(cut).text == "a"
    with pytest.raises(Unavailable, match="gone"):
        next(cut)
    assert [delta.text for delta in engine.stream(ASKED)] == ["a", "b"]
    assert engine.count("four") == 4
    assert own.told == ["+ab", "ab:talk"]
    assert warned == [
        "ab is slow",
        "The `ai serve` that this command was attached to is gone. ab is loaded here.",
    ]
    engine.close()


def test_other_settings_are_not_served(stage: Stage, tmp_path: Path) -> None:
    """Whoever wants a model otherwise loads it for themselves."""
    served = methods(stage.room, "somebody", lambda: "context 8192")
    with line_to(tmp_path / "line", served) as line:
        with pytest.raises(Lost, match="other settings"):
            Attached("ab", line, lambda: stage.engine("ab"), print, "context 512")
        assert Attached("ab", line, lambda: stage.engine("ab"), print, "context 8192").context
    assert stage.told == ["+ab"]


def test_what_cannot_be_told_to_the_other_process_is_answered_here(
    stage: Stage, tmp_path: Path
) -> None:
    """A schema may have numbers of any length."""
    own = Stage()
    own.may_say.release(2)
    form = Form(schema={"maximum": 10**30})
    with line_to(tmp_path / "line", methods(stage.room, "somebody")) as line:
        engine = Attached("ab", line, lambda: own.engine("ab"), lambda _: None)
        assert [delta.text for delta in engine.stream(ASKED, form=form)] == ["a", "b"]


@pytest.mark.parametrize("most", [1, 2])
def test_what_an_answer_cost_is_told_wherever_it_is_ended(
    stage: Stage, tmp_path: Path, most: int
) -> None:
    """After its last step, where those listen who charge it."""
    stage.may_say.release(2)
    spent: list[Usage] = []
    with line_to(tmp_path / "line", methods(stage.room, "somebody")) as line:
        engine = Attached("ab", line, lambda: stage.engine("ab"), lambda _: None)
        engine.spent = spent.append
        answer = engine.stream([Message("user", "a question of some length")])
        for _ in range(most):
            next(answer)
        assert spent == []
        answer.close()
    ((read, written),) = [(each.prompt_tokens, each.completion_tokens) for each in spent]
    assert (read, written) == (8, most)


class Weighing(Speaker):
    """One that ends with what the answer cost."""

    def stream(self, messages: Sequence[Message], **_: object) -> Generator[Delta]:
        """Its name, and seven tokens read."""
        yield from super().stream(messages)
        yield Delta("", usage=Usage(7, 0, len(self.name), 0.5, 0.5))


def test_a_borrowed_answer_is_charged_to_whoever_asked(tmp_path: Path) -> None:
    """As the process counted it that gave it."""
    room = Resident(lambda *_: Weighing("ab", threading.Semaphore(2), []), lambda _: 1)
    heard: list[int] = []
    with line_to(tmp_path / "line", methods(room, "somebody")) as line:
        engine = Attached("ab", line, _nobody, lambda _: None)
        meter = Meter()
        engine.spent = meter.beside(lambda _: None)
        said = meter.metered(engine.stream(ASKED), heard.append)
        assert [delta.text for delta in said] == ["a", "b", ""]
    assert heard == [9]


def test_an_answer_that_another_process_never_began_is_charged_where_it_is_given(
    stage: Stage, tmp_path: Path
) -> None:
    """That process ended while it read the question."""
    own, said, spent = Stage(), list[str](), list[Usage]()
    own.may_say.release(2)
    with line_to(tmp_path / "line", methods(stage.room, "somebody")) as line:
        engine = Attached("ab", line, lambda: own.engine("ab"), lambda _: None)
        engine.spent = spent.append
        thread = threading.Thread(target=lambda: said.extend(_texts(engine)))
        thread.start()
        while stage.told[-1:] != ["ab:"]:
            pass
    stage.may_say.release(2)
    thread.join(30)
    assert (said, spent) == (["a", "b"], [])


def _nobody() -> NoReturn:
    raise AssertionError("the other process was there")


def _texts(engine: Attached) -> list[str]:
    return [delta.text for delta in engine.stream(ASKED)]
