"""Where one engine fails the next one answers, and nothing that was said is lost."""

from collections.abc import Callable, Generator, Sequence
from functools import partial

import pytest

from localai.core.errors import Invalid, LocalaiError, Lost, NotFound, Unavailable
from localai.infer.engine import Delta, Message
from localai.infer.failover import Failover, Hand, Load

QUESTION = [Message("user", "well?")]
Told = list[tuple[str, str, str]]
Tell = Callable[[str, str, LocalaiError], None]


class Scripted:
    """An engine that says its words and then fails, if it has something to fail with."""

    context = 100
    calls_tools = False

    def __init__(self, name: str, *words: str, failure: LocalaiError | None = None) -> None:
        self.name = name
        self._words = words
        self._failure = failure
        self.is_closed = False
        self.recalled: list[str] = []

    def stream(self, _: Sequence[Message], **__: object) -> Generator[Delta]:
        """What it was given to say."""
        yield from map(Delta, self._words)
        if self._failure:
            raise self._failure

    def recall(self, conversation: str) -> None:
        """Remember what was asked for."""
        self.recalled.append(conversation)

    def close(self) -> None:
        """Remember that it was closed."""
        self.is_closed = True


def test_a_process_that_is_gone_is_no_failure_of_its_model(told: Told, tell: Tell) -> None:
    """The same model answers the next turn, loaded elsewhere."""
    lost = Failover({"a": lambda: Scripted("a", failure=Lost()), "b": lambda: Scripted("b")}, tell)
    with pytest.raises(Lost):
        list(lost.stream(QUESTION))
    assert (lost.name, told) == ("a", [])


def _fails(error: LocalaiError) -> Load:
    def load() -> Scripted:
        raise error

    return load


@pytest.fixture
def told() -> Told:
    """What was said about failures."""
    return []


@pytest.fixture
def tell(told: Told) -> Tell:
    """Writes failures down."""
    return lambda failed, instead, error: told.append((failed, instead, error.message))


def _said(engine: Failover) -> str:
    return "".join(delta.text for delta in engine.stream(QUESTION))


@pytest.mark.parametrize("error", [Unavailable("broken"), NotFound("gone")])
def test_the_next_loads_where_the_first_does_not(
    told: Told, tell: Tell, error: LocalaiError
) -> None:
    """A broken file and a missing one alike."""
    engine = Failover({"a": _fails(error), "b": lambda: Scripted("b", "Hi.")}, tell)
    assert (engine.name, engine.context, engine.calls_tools) == ("b", 100, False)
    assert _said(engine) == "Hi."
    assert told == [("a", "b", error.message)]


def test_the_last_failure_is_raised(told: Told, tell: Tell) -> None:
    """And not told twice."""
    loads = {"a": _fails(Unavailable("broken")), "b": _fails(NotFound("gone"))}
    with pytest.raises(NotFound, match="gone"):
        Failover(loads, tell)
    assert told == [("a", "b", "broken")]


def test_what_dies_before_a_word_is_replaced_unnoticed(told: Told, tell: Tell) -> None:
    """The answer is whole, and the dead engine's memory is free before the next one loads."""
    dying = Scripted("a", failure=Unavailable("dead"))
    closed_at_load = []

    def load() -> Scripted:
        closed_at_load.append(dying.is_closed)
        return Scripted("b", "Hello", ".")

    engine = Failover({"a": lambda: dying, "b": load}, tell)
    assert _said(engine) == "Hello."
    assert closed_at_load == [True]
    assert told == [("a", "b", "dead")]


def test_half_an_answer_is_not_said_again(told: Told, tell: Tell) -> None:
    """The error is raised behind what was said, and the next engine takes the next turn."""
    dying = Scripted("a", "Half", failure=Unavailable("dead"))
    engine = Failover({"a": lambda: dying, "b": lambda: Scripted("b", "Whole.")}, tell)
    answer = engine.stream(QUESTION)
    assert next(answer).text == "Half"
    with pytest.raises(Unavailable, match="dead"):
        next(answer)
    assert _said(engine) == "Whole."
    assert told == [("a", "b", "dead")]


def test_each_engine_is_asked_for_what_it_remembers(told: Told, tell: Tell) -> None:
    """Also the one that takes over midway."""
    dying, next_one = Scripted("a", failure=Unavailable("dead")), Scripted("b", "Yes.")
    engine = Failover({"a": lambda: dying, "b": lambda: next_one}, tell)
    engine.recall("talk")
    assert _said(engine) == "Yes."
    assert (dying.recalled, next_one.recalled, len(told)) == (["talk"], ["talk"], 1)


def test_a_mistake_of_the_asker_is_no_failure(told: Told, tell: Tell) -> None:
    """Another model would not read the question either."""
    wrong = Scripted("a", failure=Invalid("too long"))
    engine = Failover({"a": lambda: wrong, "b": lambda: Scripted("b")}, tell)
    with pytest.raises(Invalid):
        _said(engine)
    assert (engine.name, told) == ("a", [])


def test_a_single_engine_fails_as_it_does(told: Told, tell: Tell) -> None:
    """A model that was named has no substitute."""
    dying = Scripted("a", failure=Unavailable("dead"))
    engine = Failover({"a": lambda: dying}, tell)
    with pytest.raises(Unavailable, match="dead"):
        _said(engine)
    engine.close()
    assert (dying.is_closed, told) == (True, [])


@pytest.mark.parametrize("error", [NotFound("gone"), KeyboardInterrupt()])
def test_a_failed_takeover_leaves_no_closed_engine(
    told: Told, tell: Tell, error: BaseException
) -> None:
    """The next turn tries all of them anew."""
    alive = [Scripted("a", "Back."), Scripted("a", failure=Unavailable("dead"))]

    def second() -> Scripted:
        raise error

    engine = Failover({"a": alive.pop, "b": second}, tell)
    with pytest.raises(type(error)):
        _said(engine)
    assert _said(engine) == "Back."
    assert told == [("a", "b", "dead")]


def test_who_may_not_use_the_engine_at_hand_gets_another(told: Told, tell: Tell) -> None:
    """And what is loaded for one caller is loaded as theirs, whoever came first."""
    hand, loaded = Hand(), []

    def loads(caller: str, *names: str) -> dict[str, Load]:
        def load(name: str) -> Scripted:
            loaded.append((caller, name))
            if (caller, name) == ("first", "a"):
                raise Unavailable("broken")
            return Scripted(name, f"{name}.")

        return {name: partial(load, name) for name in names}

    assert _said(Failover(loads("first", "a", "b"), tell, hand)) == "b."
    assert _said(Failover(loads("second", "a", "b"), tell, hand)) == "b."
    assert _said(Failover(loads("limited", "a"), tell, hand)) == "a."
    assert _said(Failover(loads("third", "a", "b"), tell, hand)) == "a."
    assert loaded == [("first", "a"), ("first", "b"), ("limited", "a")]


def test_no_engine_takes_over_that_the_caller_may_not_use(told: Told, tell: Tell) -> None:
    """The failure is told instead; another caller goes on with the next engine."""
    hand, dying = Hand(), Scripted("a", failure=Unavailable("dead"))
    limited = Failover({"a": lambda: dying}, tell, hand)
    with pytest.raises(Unavailable, match="dead"):
        _said(limited)
    both: dict[str, Load] = {"a": lambda: dying, "b": lambda: Scripted("b", "Hi.")}
    assert _said(Failover(both, tell, hand)) == "Hi."
