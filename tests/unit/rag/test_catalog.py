"""What the database knows of collections and files."""

import pytest
import sqlalchemy as sa

from localai.core.db import Database
from localai.core.errors import Conflict, NotFound
from localai.rag.catalog import Catalog, Entry, File
from localai.rag.tables import files

ENTRY = Entry("notes", "0011", "edge", "a/model", 192, is_multilingual=False, tokenizer_version=1)
FILE = File("/docs/a.md", "/docs", "a.md", "5e", 3)


@pytest.fixture
def catalog(database: Database, clock: object) -> Catalog:
    made = Catalog(database, clock)  # type: ignore[arg-type]
    made.add(ENTRY)
    return made


def test_a_collection_is_found_as_it_was_entered(catalog: Catalog) -> None:
    """Every column comes back as what it was."""
    assert catalog.find("notes") == catalog.get("notes") == ENTRY


@pytest.mark.parametrize(
    ("name", "hint"), [("default", "ai rag index PATH"), ("x", "ai rag index PATH -C x")]
)
def test_a_collection_that_is_not_there_says_how_to_make_it(
    catalog: Catalog, name: str, hint: str
) -> None:
    """The hint is the command to type."""
    assert catalog.find(name) is None
    with pytest.raises(NotFound) as caught:
        catalog.get(name)
    assert caught.value.hint == hint


def test_the_first_to_enter_a_name_keeps_it(catalog: Catalog) -> None:
    """Two processes may begin one collection at once; both then use the same."""
    other = Entry("notes", "ffff", "local", "b/m", 4, is_multilingual=True, tokenizer_version=1)
    assert catalog.add(other) == ENTRY


def test_entering_a_file_again_replaces_what_was_known(catalog: Catalog) -> None:
    """A file has one row, and the average moves with it."""
    catalog.enter("notes", [File("/docs/a.md", "/docs", "a.md")], average_terms=1.0)
    catalog.enter("notes", [FILE], average_terms=7.5)
    assert catalog.files("notes") == {"/docs/a.md": FILE}
    assert catalog.get("notes").average_terms == 7.5


def test_dropping_leaves_other_files(catalog: Catalog) -> None:
    """Only what is named goes."""
    other = File("/docs/b.md", "/docs", "b.md", "6f", 1)
    catalog.enter("notes", [FILE, other], average_terms=1.0)
    catalog.drop("notes", ["/docs/a.md"])
    assert list(catalog.files("notes")) == ["/docs/b.md"]


def test_removing_a_collection_removes_its_files(catalog: Catalog, database: Database) -> None:
    """No row stays behind."""
    catalog.enter("notes", [FILE], average_terms=1.0)
    catalog.remove("notes")
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(files)) == 0


def test_a_file_of_a_removed_collection_cannot_be_entered(catalog: Catalog) -> None:
    """An index run learns in time that its collection was removed under it."""
    catalog.remove("notes")
    with pytest.raises(Conflict):
        catalog.enter("notes", [FILE], average_terms=1.0)


def test_the_summary_counts_finished_files_and_names_every_root(catalog: Catalog) -> None:
    """A file that was begun and not finished has no passages to show yet."""
    begun = File("/more/b.md", "/more", "b.md")
    catalog.enter("notes", [FILE, begun], average_terms=1.0)
    [found] = catalog.summary(len)
    assert (found.files, found.chunks, found.roots) == (1, 3, ("/docs", "/more"))
    assert found.created_at == found.updated_at == "2025-10-09T08:53:20.000Z"


def test_an_empty_collection_is_in_the_summary(catalog: Catalog) -> None:
    """It exists, with nothing in it."""
    [found] = catalog.summary(len)
    assert (found.name, found.files, found.chunks, found.roots) == ("notes", 0, 0, ())
