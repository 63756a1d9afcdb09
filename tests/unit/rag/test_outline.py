"""Code cut by what it defines, in every language whose grammar is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.rag import documents as reading
from localai.rag.chunks import MAX_LATIN, Chunk, chunk, cut
from localai.rag.documents import Documents
from localai.rag.grammars import GRAMMARS, has_grammar
from localai.rag.sources import Definition, Held, Source, read, taken

LONG = "    # padding that makes it long\n" * 25
PYTHON = f'''"""한글 문서."""

import os


# What the kettle is.
@dataclass
class Kettle:
    """한글: Boils."""

    size = 1

    # How it starts.
    @property
    def boil(self):
{LONG}        return "삶다"

    def pour(self):
{LONG}        def inner():
            return 1


def stop(): return 2  # at once
'''
LANGUAGES = {
    ".py": ("def f():\n{0}", "class A:\n  def g(self):\n{0}", "A \u203a g", "f"),
    ".js": ("function f() {{\n{0}}}", "class A {{ g() {{\n{0}}} }}", "A \u203a g", "f"),
    ".jsx": ("const f = () => {{\n{0}}}", "class A {{ g() {{\n{0}}} }}", "A \u203a g", "f"),
    ".ts": (
        "export function f(): void {{\n{0}}}",
        "export abstract class A {{ g(): void {{\n{0}}} }}",
        "A \u203a g",
        "f",
    ),
    ".tsx": (
        "const f = () => {{\n{0}}}",
        "namespace A {{ function g() {{\n{0}}} }}",
        "A \u203a g",
        "f",
    ),
    ".go": ("func f() {{\n{0}}}", "func (a *A[T]) g() {{\n{0}}}", "A.g", "f"),
    ".rs": ("fn f() {{\n{0}}}", "impl B for A {{ fn g() {{\n{0}}} }}", "A \u203a g", "f"),
    ".java": (
        "class F {{ F() {{\n{0}}} }}",
        "class A {{ int g() {{\n{0}}} }}",
        "A \u203a g",
        "F \u203a F",
    ),
    ".c": ("int *f(void) {{\n{0}}}", "struct A {{ int b; }};\nint g() {{\n{0}}}", "g", "f"),
    ".h": ("int f() {{\n{0}}}", "class A {{ int g() {{\n{0}}} }};", "A \u203a g", "f"),
    ".cpp": (
        "template<class T> T *B::f() {{\n{0}}}",
        "namespace A {{ int g() {{\n{0}}} }}",
        "A \u203a g",
        "B::f",
    ),
}


@pytest.fixture(scope="module")
def documents() -> Iterator[Documents]:
    """The reader."""
    made = Documents()
    yield made
    made.close()


def pieces(documents: Documents, path: Path, text: str) -> list[Chunk]:
    """The chunks of a file of that text."""
    path.write_text(text, encoding="utf-8")
    source = read(path, path.parent)
    assert isinstance(source, Source)
    whole = documents.whole(source)
    assert isinstance(whole, Source)
    return cut(whole)


def test_a_chunk_is_a_whole_definition_with_what_stands_above_it(
    documents: Documents, tmp_path: Path
) -> None:
    """Decorators and remarks belong to it, lines are exact, and Korean moves nothing."""
    found = pieces(documents, tmp_path / "a.py", PYTHON)
    assert [(each.title, each.text.split("\n")[0]) for each in found] == [
        ("a.py", '"""한글 문서."""'),
        ("a.py \u203a Kettle", "# What the kettle is."),
        ("a.py \u203a Kettle \u203a boil", "    # How it starts."),
        ("a.py \u203a Kettle \u203a pour", "    def pour(self):"),
        ("a.py \u203a stop", "def stop(): return 2  # at once"),
    ]
    lines = PYTHON.split("\n")
    for each in found:
        assert each.text == "\n".join(lines[each.start_line - 1 : each.end_line])


@pytest.mark.parametrize("suffix", sorted(LANGUAGES))
def test_functions_and_methods_are_told_by_their_names(
    documents: Documents, tmp_path: Path, suffix: str
) -> None:
    """In each language of the extra."""
    function, method, named, plainly = LANGUAGES[suffix]
    body = "".join(f"    call({number});\n" for number in range(90))
    text = f"{function.format(body)}\n\n{method.format(body)}\n"
    titles = {
        each.title.partition(" \u203a ")[2]
        for each in pieces(documents, tmp_path / f"a{suffix}", text)
    }
    assert {named, plainly} <= titles


def test_every_language_has_its_grammar_here() -> None:
    """A test above that is passed by a missing wheel would prove nothing."""
    assert all(map(has_grammar, GRAMMARS))
    assert {GRAMMARS[each].module for each in LANGUAGES} == {
        each.module for each in GRAMMARS.values()
    }


def test_small_neighbours_share_a_chunk_that_is_called_by_all_of_them(
    documents: Documents, tmp_path: Path
) -> None:
    """Methods of different classes are no neighbours."""
    few = "\n".join(f"    def get_{n}(self):\n        return {n}\n" for n in range(3))
    many = "\n".join(f"    def put_{n}(self):\n        return {n}\n" for n in range(40))
    found = pieces(documents, tmp_path / "a.py", f"class A:\n{few}\n\nclass B:\n{many}")
    assert found[0].title == "a.py \u203a A"
    assert found[1].title.startswith("a.py \u203a B \u203a put_0, put_1, put_2")
    assert all("def get" not in each.text for each in found[1:])
    assert max(len(each.text) for each in found) <= MAX_LATIN


def test_code_from_elsewhere_is_cut_by_functions_too(documents: Documents) -> None:
    """Though it is no file here."""
    held = taken("stdin:a.py", "a.py", Held(PYTHON.encode(), ".py"))
    assert isinstance(held, Source)
    whole = documents.whole(held)
    assert isinstance(whole, Source)
    assert "a.py \u203a stop" in [each.title for each in cut(whole)]


def test_without_a_grammar_code_is_cut_at_blank_lines(
    documents: Documents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The extra is not needed to index code."""
    monkeypatch.setattr(reading, "has_grammar", lambda _: False)
    found = pieces(documents, tmp_path / "a.py", PYTHON)
    assert {each.title for each in found} == {"a.py"}


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".py", "(" * 500_000),
        (".py", "class A:" * 100_000),
        (".js", "def f():\n" * 100_000),
        (".cpp", "class A:" * 100_000),
        (".rs", "{" * 500_000),
        (".py", "x = '" + "a" * 1_900_000 + "'"),
        (".py", "def f(): pass\n" * 30_000),
        (".py", "def \udcff(:\n\0"),
        (".go", ""),
    ],
)
def test_hostile_code_is_taken_in_all_the_same(tmp_path: Path, suffix: str, text: str) -> None:
    """A parser that takes minutes or dies of it costs a second, and the text is cut plainly."""
    path = tmp_path / f"a{suffix}"
    path.write_bytes(text.encode(errors="surrogateescape"))
    reader = Documents(longest_s=1)
    outline = reader.outline(path)
    kept = "".join(each.text for each in chunk(text, "code", "a", outline))
    assert "".join(kept.split()) == "".join(text.split())
    assert reader.outline(tmp_path / "gone.py") == ()
    reader.close()


def test_an_outline_without_a_bottom_is_cut_off() -> None:
    """A thousand definitions of the same text are as good as six."""
    text = "def f(): pass\n" * 1000
    outline = [Definition(0, len(text), (name,)) for name in "f" * 1000]
    assert "".join(each.text for each in chunk(text, "code", "a", outline)).count("def") == 1000


TEXTS = st.lists(st.sampled_from(["def f", "\n", "\n\n", "    ", "x" * 700, "가 "]), max_size=30)
PLACES = st.lists(st.tuples(st.integers(-5, 9000), st.integers(-5, 9000)), max_size=12)


@given(TEXTS.map("".join), PLACES)
def test_any_outline_leaves_every_word_in_one_chunk(
    text: str, places: list[tuple[int, int]]
) -> None:
    """It comes from another process: one that makes no sense loses and doubles nothing."""
    outline = [Definition(start, end, ("f",)) for start, end in sorted(places)]
    found = chunk(text, "code", "a", outline)
    assert "".join("".join(each.text for each in found).split()) == "".join(text.split())
    assert all(len(each.text) <= MAX_LATIN for each in found)
