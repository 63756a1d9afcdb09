"""PDF, page by page."""

import logging
from collections.abc import Iterator
from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from localai.rag.formats.archive import Unreadable
from localai.rag.sources import Part

_MOST_PAGES = 5000


def pdf(path: Path) -> Iterator[Part]:
    """The text of each page; what was scanned has none."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted")
        for number, page in enumerate(reader.pages, 1):
            if number > _MOST_PAGES:
                raise Unreadable(f"more than {_MOST_PAGES:,} pages")
            if text := page.extract_text().strip():
                yield Part(f"p. {number}", text)
    except PyPdfError as error:
        raise Unreadable("broken: not a whole PDF") from error
