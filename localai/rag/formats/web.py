"""HTML, and EPUB books, which are archives of it."""

import posixpath
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import trafilatura

from localai.rag.formats.archive import Unreadable, opened, xml
from localai.rag.sources import Part

_MOST_CHAPTERS = 2000
_MOST_UNREADABLE = 0.05  # of the letters of a page


def html(path: Path) -> Iterator[Part]:
    """What a page says, without its navigation."""
    if text := _text(path.read_bytes()):
        yield Part("page", text, "markdown")


def epub(path: Path) -> Iterator[Part]:
    """A book, chapter by chapter in the order of reading."""
    with opened(path) as archive:
        try:
            container = xml(archive.read("META-INF/container.xml"))
            root = str(container.xpath("string(//*[local-name()='rootfile']/@full-path)"))
            package = xml(archive.read(root))
        except KeyError as error:
            raise Unreadable("broken: a book without a table of contents") from error
        files = {
            str(item.get("id")): str(item.get("href"))
            for item in package.xpath("//*[local-name()='manifest']/*[local-name()='item']")
        }
        order = package.xpath("//*[local-name()='spine']/*[local-name()='itemref']/@idref")
        names = set(archive.namelist())
        for number, reference in enumerate(order[:_MOST_CHAPTERS], 1):
            name = posixpath.join(posixpath.dirname(root), unquote(files.get(str(reference), "")))
            if posixpath.normpath(name) not in names:
                continue
            if text := _text(archive.read(posixpath.normpath(name))):
                yield Part(f"chapter {number}", text, "markdown")


def _text(page: bytes) -> str:
    """The text of a page in whatever encoding; empty where it has none, or is no page at all."""
    found = trafilatura.extract(
        page, output_format="markdown", favor_recall=True, include_comments=False
    )
    text = str(found or trafilatura.baseline(page)[1])
    # Noise is read in some encoding, too: what of it is no letter there becomes U+FFFD.
    return "" if text.count("\ufffd") > len(text) * _MOST_UNREADABLE else text
