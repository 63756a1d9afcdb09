"""Files that want to break who reads them, and what is to become of each."""

import io
import json
import os
import socket
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import docx
import openpyxl
import pptx
import pypdf

INDEXED = "indexed"
SAID = "The heron stands in the reed and waits."
Make = Callable[[Path], object]

_CASES: dict[str, tuple[Make, str]] = {}


def cases() -> dict[str, tuple[Make, str]]:
    """By file name: how it is made, and why it is skipped (a pattern) or that it is indexed."""
    return _CASES


def _case(name: str, said: str) -> Callable[[Make], Make]:
    def enter(make: Make) -> Make:
        assert name not in _CASES, name
        _CASES[name] = (make, said)
        return make

    return enter


def _bytes(name: str, said: str, data: bytes | str | Callable[[], bytes]) -> None:
    def make(path: Path) -> None:
        content = data() if callable(data) else data
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    _case(name, said)(make)


# PDF


def _pdf(bodies: Iterable[bytes | str], trailer: str = "") -> bytes:
    """A PDF of these objects, the first its catalogue."""
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        written = body.encode("latin-1") if isinstance(body, str) else body
        out += f"{number} 0 obj\n".encode() + written + b"\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(places) + 1
    end = f"trailer << /Size {size} /Root 1 0 R {trailer} >>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode()


def _stream(data: bytes, extra: str = "", length: int | None = None) -> bytes:
    size = len(data) if length is None else length
    return f"<< /Length {size} {extra} >>\nstream\n".encode() + data + b"\nendstream"


CATALOGUE = "<< /Type /Catalog /Pages 2 0 R >>"
PAGES = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
FONT = "/Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"
SHOWN = f"BT /F1 12 Tf 72 720 Td ({SAID}) Tj ET".encode()


def _page(extra: str = "", box: str = "0 0 612 792", more: str = "") -> str:
    resources = f"/Resources << {FONT} {more} >>"
    return f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] {resources} /Contents 4 0 R {extra} >>"


def _one(content: bytes, *more: bytes | str, page: str = "", catalogue: str = CATALOGUE) -> bytes:
    return _pdf([catalogue, PAGES, page or _page(), content, *more])


WHOLE = _one(_stream(SHOWN))
FLATE = "/Filter /FlateDecode"
_bytes("pdf-whole.pdf", INDEXED, WHOLE)
_bytes("pdf-kids-cycle.pdf", "broken", WHOLE.replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]"))
_bytes("pdf-page-is-its-parent.pdf", INDEXED, WHOLE.replace(b"/Parent 2 0 R", b"/Parent 3 0 R"))
_bytes(
    "pdf-outline-cycle.pdf",
    INDEXED,
    _one(
        _stream(SHOWN),
        "<< /First 6 0 R /Last 6 0 R /Count 1 >>",
        "<< /Title (x) /Parent 5 0 R /Next 6 0 R /First 5 0 R >>",
        catalogue="<< /Type /Catalog /Pages 2 0 R /Outlines 5 0 R >>",
    ),
)
_bytes(
    "pdf-xref-loop.pdf",
    INDEXED,
    _pdf([CATALOGUE, PAGES, _page(), _stream(SHOWN)], f"/Prev {WHOLE.index(b'xref')}"),
)
_bytes("pdf-million-pages-claimed.pdf", INDEXED, WHOLE.replace(b"/Count 1", b"/Count 999999999"))
_bytes(
    "pdf-huge-page.pdf", f"{INDEXED}|no text", _one(_stream(SHOWN), page=_page(box="0 0 1e38 1e38"))
)
_bytes("pdf-huge-length.pdf", f"{INDEXED}|broken", _one(_stream(SHOWN, length=2**40)))
_bytes("pdf-negative-length.pdf", f"{INDEXED}|broken|no text", _one(_stream(SHOWN, length=-5)))
_bytes(
    "pdf-flate-bomb.pdf",
    "broken|no text",
    lambda: _one(_stream(zlib.compress(bytes(100_000_000)), FLATE)),
)
_bytes(
    "pdf-filters.pdf",
    f"{INDEXED}|broken|no text",
    _one(_stream(SHOWN, "/Filter [" + "/ASCIIHexDecode " * 5000 + "]")),
)
_bytes("pdf-unknown-filter.pdf", "broken|no text", _one(_stream(SHOWN, "/Filter /TotallyUnknown")))
_bytes(
    "pdf-lzw-rubbish.pdf",
    "broken|no text",
    _one(_stream(os.urandom(50_000), "/Filter /LZWDecode")),
)
_bytes(
    "pdf-form-draws-itself.pdf",
    f"{INDEXED}|broken|no text",
    _one(
        _stream(b"/X Do " + SHOWN),
        _stream(b"/X Do", "/Type /XObject /Subtype /Form /Resources << /XObject << /X 5 0 R >> >>"),
        page=_page(more="/XObject << /X 5 0 R >>"),
    ),
)
_bytes("pdf-contents-cycle.pdf", "broken|no text", _one(b"[4 0 R 4 0 R]"))
_bytes("pdf-nested-arrays.pdf", "broken|no text", _one(b"[" * 100_000 + b"]" * 100_000))
_bytes("pdf-half.pdf", "broken|no text|indexed", WHOLE[: len(WHOLE) // 2])
_bytes("pdf-header-alone.pdf", "broken|no text", b"%PDF-1.7\n")
_bytes("pdf-is-text.pdf", "broken|no text", SAID)
_bytes(
    "pdf-object-stream-in-itself.pdf",
    "broken|no text",
    _one(_stream(b"4 0 << >>", "/Type /ObjStm /N 1 /First 4 /Extends 4 0 R")),
)


@_case("pdf-deep-tree.pdf", "broken|no text")
def _deep_tree(path: Path) -> None:
    inner = [f"<< /Type /Pages /Kids [{n + 1} 0 R] /Count 1 >>" for n in range(2, 5000)]
    path.write_bytes(_pdf([CATALOGUE, *inner, _page(), _stream(SHOWN)]))


@_case("pdf-unicode-map-bomb.pdf", f"{INDEXED}|broken|no text")
def _unicode_map(path: Path) -> None:
    ranges = b"100 beginbfrange\n" + b"<0000> <FFFF> <0041>\n" * 100 + b"endbfrange\n"
    font = "<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /ToUnicode 5 0 R >>"
    page = _page().replace(FONT, f"/Font << /F1 {font} >>")
    path.write_bytes(_one(_stream(SHOWN), _stream(ranges), page=page))


@_case("pdf-password.pdf", "encrypted")
def _password(path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(WHOLE))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(path)


# Archives that office documents and books are


def _zip(files: dict[str, str | bytes], *, is_small: bool = True) -> bytes:
    out = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if is_small else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def _word() -> bytes:
    made, out = docx.Document(), io.BytesIO()
    made.add_paragraph(SAID)
    made.save(out)
    return out.getvalue()


def _with(whole: bytes, name: str, content: str | bytes) -> bytes:
    """The archive with one of its files replaced."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        files: dict[str, str | bytes] = {each: archive.read(each) for each in archive.namelist()}
    return _zip(files | {name: content})


WORD = _word()
BODY = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
END = "</w:body></w:document>"
PARAGRAPH = f"<w:p><w:r><w:t>{SAID}</w:t></w:r></w:p>"
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BOMB = f'<!DOCTYPE s [<!ENTITY l0 "ha">{LAUGHS}]>'
STRANGER = '<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
NESTED = 3000

_bytes("docx-whole.docx", INDEXED, WORD)
_bytes("docx-half.docx", "broken", WORD[: len(WORD) // 2])
_bytes(
    "docx-bomb.docx",
    "unpacks to more",
    lambda: _zip({f"{n}": bytes(20_000_000) for n in range(11)}),
)
_bytes("docx-zip-in-zip.docx", "broken", lambda: _zip({"a.zip": _zip({"b": bytes(50_000_000)})}))
_bytes(
    "docx-many-entries.docx", "more than 20,000", lambda: _zip({str(n): "" for n in range(20_001)})
)
_bytes("docx-no-body.docx", "broken", _zip({"[Content_Types].xml": "<x/>"}))
_bytes(
    "docx-entities.docx",
    "broken|no text",
    _with(
        WORD,
        "word/document.xml",
        BOMB + BODY + "<w:p><w:r><w:t>&l9;</w:t></w:r></w:p>" + END,
    ),
)
_bytes(
    "docx-stranger.docx",
    "broken|no text",
    _with(
        WORD,
        "word/document.xml",
        STRANGER + BODY + "<w:p><w:r><w:t>&x;</w:t></w:r></w:p>" + END,
    ),
)
_bytes(
    "docx-nested-tables.docx",
    "broken|no text",
    _with(
        WORD,
        "word/document.xml",
        BODY + "<w:tbl><w:tr><w:tc>" * NESTED + PARAGRAPH + "</w:tc></w:tr></w:tbl>" * NESTED + END,
    ),
)
_bytes(
    "docx-nested-runs.docx",
    f"broken|no text|{INDEXED}",
    _with(WORD, "word/document.xml", BODY + "<w:p>" * 200 + PARAGRAPH + "</w:p>" * 200 + END),
)


@_case("docx-overlapping.docx", "broken|unpacks to more")
def _overlapping(path: Path) -> None:
    """A thousand entries that share one body of a megabyte."""
    data = _zip({"a": bytes(1_000_000)})
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entries = data[start:end] * 1000
    tail = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1000, 1000, len(entries), start, 0)
    path.write_bytes(data[:start] + entries + tail)


@_case("docx-locked-entry.docx", "encrypted")
def _locked_entry(path: Path) -> None:
    data = bytearray(WORD)
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)


@_case("hwpx-lying-size.hwpx", "broken")
def _lying(path: Path) -> None:
    data = bytearray(_zip({"Contents/section0.xml": b"<s>" + bytes(60_000_000)}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(mark) + offset
        data[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)


LOCKED_OFFICE = (
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000) + "EncryptedPackage".encode("utf-16-le")
)
for _kind in ("docx", "xlsx", "pptx"):
    _bytes(f"{_kind}-password.{_kind}", "encrypted", LOCKED_OFFICE)
_bytes("docx-old-format.docx", "broken: an Office file of before 2007", LOCKED_OFFICE[:600])


def _slides() -> bytes:
    made, out = pptx.Presentation(), io.BytesIO()
    made.save(out)
    return out.getvalue()


SLIDES = _slides()
_bytes("pptx-no-slides.pptx", "no text", SLIDES)
_bytes("pptx-half.pptx", "broken", SLIDES[: len(SLIDES) // 2])
_bytes("pptx-is-word.pptx", "broken", WORD)


def _sheet(rows: Iterable[Iterable[object]] = ((SAID,), (1,))) -> bytes:
    made, out = openpyxl.Workbook(), io.BytesIO()
    sheet = made.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    made.save(out)
    return out.getvalue()


SHEET = _sheet()
GRID = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</worksheet>'


def _grid(inner: str) -> bytes:
    return _with(SHEET, "xl/worksheets/sheet1.xml", GRID.format(inner))


ROW = '<row r="{}">{}</row>'
ROW = '<row r="{}">{}</row>'
CELL = '<c r="{}" t="inlineStr"><is><t>x</t></is></c>'
_bytes("xlsx-whole.xlsx", INDEXED, SHEET)
_bytes("xlsx-half.xlsx", "broken", SHEET[: len(SHEET) // 2])
_bytes("xlsx-formulas.xlsx", "no text", _sheet([["=1+1", "=A1"]]))
_bytes(
    "xlsx-rows-declared.xlsx",
    INDEXED,
    _grid(
        f'<dimension ref="A1:XFD1048576"/><sheetData>{ROW.format(1, CELL.format("A1"))}</sheetData>'
    ),
)
_bytes(
    "xlsx-last-cell.xlsx",
    INDEXED,
    _grid(f'<sheetData><row r="1048576">{CELL.format("XFD1048576")}</row></sheetData>'),
)
_bytes(
    "xlsx-far-rows.xlsx",
    "no text",
    _grid(f'<sheetData><row r="999999999">{CELL.format("A999999999")}</row></sheetData>'),
)
_bytes("xlsx-cell-nowhere.xlsx", "broken|no text", _grid("<sheetData><row><c/></row></sheetData>"))
_bytes(
    "xlsx-shared-strings.xlsx",
    "broken|more than|no text|indexed",
    lambda: _with(
        SHEET,
        "xl/sharedStrings.xml",
        '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        + "<si><t>x</t></si>" * 200_000
        + "</sst>",
    ),
)

# Books, Hangul documents, notebooks, pages, tables

CONTAINER = '<c><rootfiles><rootfile full-path="{}"/></rootfiles></c>'
PACKAGE = "<p><manifest>{}</manifest><spine>{}</spine></p>"
CHAPTER = f"<html><body><h1>Birds</h1><p>{SAID} It is a grey bird with long legs.</p></body></html>"


def _book(items: str, order: str, root: str = "b/c.opf", **more: str) -> bytes:
    files: dict[str, str | bytes] = {
        "META-INF/container.xml": CONTAINER.format(root),
        "b/c.opf": PACKAGE.format(items, order),
        "b/1.xhtml": CHAPTER,
    }
    return _zip(files | more)


ITEM, NEXT = '<item id="a" href="1.xhtml"/>', '<itemref idref="a"/>'
BOOK = _book(ITEM, NEXT)
_bytes("epub-whole.epub", INDEXED, BOOK)
_bytes("epub-half.epub", "broken", BOOK[: len(BOOK) // 2])
_bytes(
    "epub-outside.epub",
    "no text",
    _book(ITEM.replace("1.xhtml", "../../../../../etc/passwd"), NEXT),
)
_bytes("epub-same-chapter.epub", INDEXED, _book(ITEM, NEXT * 30))
_bytes("epub-root-is-itself.epub", "broken|no text", _book(ITEM, NEXT, "META-INF/container.xml"))
_bytes("epub-no-root.epub", "broken", _book(ITEM, NEXT, "../../nowhere"))
_bytes(
    "epub-entities.epub", "broken|no text", _zip({"META-INF/container.xml": BOMB + "<c>&l9;</c>"})
)

SECTION = f'<s xmlns:hp="p"><hp:p><hp:t>{SAID}</hp:t></hp:p></s>'
DEEP = "<hp:p>" * 5000 + f"<hp:t>{SAID}</hp:t>" + "</hp:p>" * 5000
_bytes("hwpx-whole.hwpx", INDEXED, _zip({"Contents/section0.xml": SECTION}))
_bytes("hwpx-deep.hwpx", "broken", _zip({"Contents/section0.xml": f'<s xmlns:hp="p">{DEEP}</s>'}))
_bytes("hwpx-no-section.hwpx", "no text", _zip({"Contents/header.xml": SECTION}))
_bytes("hwpx-odd-sections.hwpx", INDEXED, _zip({"Contents/section99999999999.xml": SECTION}))
_bytes("hwpx-not-xml.hwpx", "broken", _zip({"Contents/section0.xml": "\0\1\2"}))
_bytes(
    "hwpx-entities.hwpx",
    "broken|no text",
    _zip({"Contents/section0.xml": BOMB + SECTION.replace(SAID, "&l9;")}),
)
_bytes(
    "hwpx-stranger.hwpx",
    "no text",
    _zip({"Contents/section0.xml": STRANGER + SECTION.replace(SAID, "&x;")}),
)
_bytes("hwpx-old-format.hwpx", "broken", b"HWP Document File V3.00" + bytes(2000))


def _notebook(*cells: object) -> str:
    return json.dumps({"cells": list(cells)})


CODE = {"cell_type": "code", "source": SAID}
_bytes("ipynb-whole.ipynb", INDEXED, _notebook(CODE))
_bytes("ipynb-half.ipynb", "broken", _notebook(CODE)[:40])
_bytes("ipynb-cells-are-a-number.ipynb", "broken", '{"cells": 7}')
_bytes("ipynb-source-is-a-number.ipynb", "broken", _notebook({"cell_type": "code", "source": 7}))
_bytes("ipynb-source-of-numbers.ipynb", "broken", _notebook({"cell_type": "x", "source": [1, 2]}))
_bytes("ipynb-deep.ipynb", "broken", '{"cells": ' + "[" * 200_000 + "]" * 200_000 + "}")
_bytes(
    "ipynb-huge-output.ipynb",
    INDEXED,
    _notebook(CODE | {"outputs": [{"text": "x" * 5_000_000}]}),
)
_bytes("ipynb-half-a-character.ipynb", INDEXED, _notebook(CODE | {"source": f"\ud800 {SAID}"}))
_bytes("ipynb-huge-number.ipynb", "broken", '{"cells": ' + "9" * 100_000 + "}")

_bytes("html-whole.html", INDEXED, CHAPTER)
_bytes("html-half.html", INDEXED, CHAPTER[:100])
_bytes("html-nested.html", f"broken|no text|{INDEXED}", "<div>" * 100_000 + SAID)
_bytes("html-tables.html", f"broken|no text|{INDEXED}", "<table><tr><td>" * 2000 + SAID)
_bytes(
    "html-attributes.html",
    "no text",
    "<p " + " ".join(f"a{n}=b" for n in range(5000)) + f">{SAID} {SAID}</p>",
)
_bytes("html-entities.html", f"{INDEXED}|no text|broken", "&lt;" * 200_000)
_bytes("html-script-alone.html", "no text", "<script>" + "x" * 100_000 + "</script>")
_bytes(
    "html-wrong-charset.html",
    INDEXED,
    f'<meta charset="utf-7">{CHAPTER}'.encode("utf-16-le"),
)
_bytes("html-nul.html", f"{INDEXED}|no text", CHAPTER.replace("heron", "her\0on"))

_bytes("csv-million-columns.csv", f"{INDEXED}|more than", "a," * 1_000_000 + "\nb," * 3)
_bytes("csv-open-quote.csv", f"{INDEXED}|broken|no text", 'a,b\n"' + "x\n" * 100_000)
_bytes("csv-huge-field.csv", "broken", "a,b\n1," + "x" * 200_000)
_bytes("csv-nul.csv", "no text", b"a,b\n\0,\0\n")
_bytes("tsv-rubbish.tsv", "no text|indexed|broken", os.urandom(20_000))

# Texts

_bytes("text-utf-16-without-mark.txt", "not text", SAID.encode("utf-16-le"))
_bytes("text-utf-16-odd.txt", "not text", b"\xff\xfe" + SAID.encode("utf-16-le") + b"x")
_bytes("text-utf-32.txt", "not text", SAID.encode("utf-32"))
_bytes("text-nul.txt", "not text", SAID + "\0")
_bytes("text-rubbish.md", "not text", b"\x80\xff\xfe\x00" * 500)
_bytes("text-cp949.txt", INDEXED, "왜가리는 갈대 사이에 서 있다.".encode("cp949"))
_bytes("text-is-pdf.txt", "not text", WHOLE)
_bytes("text-one-line.txt", INDEXED, "x" * 1_999_999)
_bytes("text-one-line-of-words.md", INDEXED, ("# " + "word " * 100_000)[:450_000])
_bytes("text-escapes.txt", INDEXED, f"\x1b[2J\x1b]0;owned\x07 {SAID} \u202e\u2066")
_bytes("text-combining.txt", INDEXED, "e" + "\u0301" * 20_000)
_bytes("text-headings.md", INDEXED, "\n".join("#" * (n % 6 + 1) + f" h{n}" for n in range(3000)))
_bytes("text-open-fence.md", INDEXED, "```\n" + "# no heading\n" * 2000)


@_case("text-gigabyte.txt", "larger than 2 MB")
@_case("pdf-gigabyte.pdf", "larger than 100 MB")
def _gigabyte(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


# What is no file, and names

_case("link-to-itself.md", "a symbolic link")(lambda path: path.symlink_to(path))
_case("link-outside.md", "a symbolic link")(lambda path: path.symlink_to("/etc/passwd"))
_case("link-to-nowhere.pdf", "a symbolic link")(lambda path: path.symlink_to("nowhere"))
_case("pipe.pdf", "not a regular file")(os.mkfifo)
_bytes("-rf", INDEXED, SAID)
_bytes(" leading and trailing ", INDEXED, SAID)
_bytes("line\nbreak.md", INDEXED, SAID)
_bytes("line\nbreak.ipynb", INDEXED, _notebook(CODE))
_bytes("\x1b[31mred\x07.txt", INDEXED, SAID)
_bytes("\u202etxt.exe", INDEXED, SAID)
_bytes("왜" * 83 + ".txt", INDEXED, SAID)
_bytes("%s{0}$(touch x)`;'\".txt", INDEXED, SAID)


@_case("socket.md", "not a regular file")
def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path has at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


if sys.platform == "linux":
    _bytes("not-\udcff-utf-8.md", "a name that is not UTF-8", SAID)
