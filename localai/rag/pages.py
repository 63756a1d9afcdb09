"""Fetched pages as documents: what kind of file a page would be."""

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from localai.rag.documents import Documents
from localai.rag.sources import Held, Refused, is_document, is_known, taken

if TYPE_CHECKING:
    from localai.core.web import Fetched

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_SUFFIXES: Final = {
    "application/epub+zip": ".epub",
    "application/hwp+zip": ".hwpx",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/x-ipynb+json": ".ipynb",
    "application/xhtml+xml": ".xhtml",
    "application/xml": ".xml",
    f"{_OFFICE}presentationml.presentation": ".pptx",
    f"{_OFFICE}spreadsheetml.sheet": ".xlsx",
    f"{_OFFICE}wordprocessingml.document": ".docx",
    "text/asciidoc": ".adoc",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
    "text/tab-separated-values": ".tsv",
    "text/x-rst": ".rst",
    "text/xml": ".xml",
}
# What servers say of everything that they do not know.
_VAGUE: Final = frozenset({"", "text/plain", "application/octet-stream", "binary/octet-stream"})
# Python knows encodings that are programs, or take quadratic time.
_CHARSET: Final = re.compile(
    r"(?:iso-?8859-?\d+|windows-?\d+|cp\d+|utf-?(?:8|16|16le|16be)|us-ascii|koi8-r"
    r"|euc-kr|ks_c_5601-1987|shift_jis|euc-jp|gbk|gb2312|gb18030|big5)",
    re.IGNORECASE,
)


def held(page: "Fetched") -> Held | str:
    """The page as a document; a text says why it cannot be one."""
    suffix = _suffix(page)
    if suffix is None:
        return f"not a document: {page.content_type[:60]}"
    return Held(page.data if is_document(suffix) else _recoded(page), suffix)


def text_of(page: "Fetched", documents: Documents) -> str | Refused:
    """All that the page says; Refused says why it cannot be read."""
    document = held(page)
    if isinstance(document, str):
        return Refused(page.url, document)
    source = taken(page.url, page.url, document)
    whole = source if isinstance(source, Refused) else documents.whole(source)
    if isinstance(whole, Refused):
        return whole
    if not whole.parts:
        return whole.text
    is_one = len(whole.parts) == 1
    return "\n\n".join(
        part.text if is_one else f"[{part.place}]\n{part.text}" for part in whole.parts
    )


def _suffix(page: "Fetched") -> str | None:
    """By what the server says, and by the end of the address where that says little."""
    kind = page.content_type
    if kind in _SUFFIXES:
        return _SUFFIXES[kind]
    end = PurePosixPath(unquote(urlsplit(page.url).path)).suffix.lower()
    if kind in _VAGUE or kind.startswith("text/"):
        return end if is_known(end) else ".txt"
    return end if is_known(end) and kind.startswith("application/") else None


def _recoded(page: "Fetched") -> bytes:
    """The text in UTF-8, where the server names another encoding that is true."""
    if not page.charset or not _CHARSET.fullmatch(page.charset):
        return page.data
    try:
        return page.data.decode(page.charset).encode()
    except (LookupError, ValueError):
        return page.data
