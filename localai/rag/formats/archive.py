"""What the formats share: archives and XML that cannot explode, tables as text."""

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lxml import etree

from localai.rag.sources import Part

MOST_UNPACKED = 200_000_000
MOST_ENTRIES = 20_000
ROWS = 40
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


class Unreadable(Exception):
    """A document that is refused; the message says why, in a few words."""


def opened(path: Path) -> zipfile.ZipFile:
    """The archive that the document is, if what it unpacks to is bounded."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise Unreadable(_otherwise(path)) from error
    entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise Unreadable(f"holds more than {MOST_ENTRIES:,} files")
    if sum(each.file_size for each in entries) > MOST_UNPACKED:
        raise Unreadable(f"unpacks to more than {MOST_UNPACKED // 1_000_000} MB")
    if any(each.flag_bits & 1 for each in entries):
        raise Unreadable("encrypted")
    return archive


def _otherwise(path: Path) -> str:
    """What a file is that is no archive: Office encrypts into the container of its old formats."""
    data = path.read_bytes()
    if not data.startswith(_OLD_OFFICE):
        return "broken: not an archive, as this format is"
    if _ENCRYPTED in data:
        return "encrypted"
    return "broken: an Office file of before 2007"


def xml(data: bytes) -> "etree._Element":
    """The tree; no entity is expanded, nothing is fetched."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    return etree.fromstring(data, parser)


def rows(sheet: str, table: Iterable[Sequence[str]]) -> Iterator[Part]:
    """A table as parts of so many rows, the first row before each as its header."""
    header: Sequence[str] = ()
    block: list[str] = []
    first = width = 0
    for number, cells in enumerate(table, 1):
        if not any(cells):
            continue
        if not header:
            header, width = cells, len(cells)
            continue
        first = first or number
        width = max(width, len(cells))
        block.append(_line(cells))
        if len(block) == ROWS:
            yield _block(sheet, first, number, width, header, block)
            block, first = [], 0
    if block or header:
        last = number if block else 1
        yield _block(sheet, first or 1, last, width, header, block)


def _block(  # noqa: PLR0913 - a piece of a table and where it is
    sheet: str, first: int, last: int, width: int, header: Sequence[str], block: Sequence[str]
) -> Part:
    place = f"{sheet}A{first}:{_column(width)}{last}"
    return Part(place, "\n".join([_line(header), *block]))


def _line(cells: Sequence[str]) -> str:
    return " | ".join(cell.strip().replace("\n", " ") for cell in cells)


def _column(number: int) -> str:
    """A for 1, Z for 26, AA for 27."""
    name = ""
    while number:
        number, rest = divmod(number - 1, 26)
        name = chr(65 + rest) + name
    return name or "A"
