"""Documents of every format, and what a hostile one may cost."""

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docx
import openpyxl
import pptx
import pypdf
import pytest
from rag_home import WRITER, Room

from localai.rag.documents import Documents
from localai.rag.formats import worker
from localai.rag.sources import MAX_DOCUMENT_BYTES, Part, Refused, read

SECTION = '<s xmlns:hp="p"><hp:p><hp:t>한글 </hp:t><hp:t>문서</hp:t></hp:p><hp:p/></s>'
CONTAINER = '<c><rootfiles><rootfile full-path="b/c.opf"/></rootfiles></c>'
PACKAGE = (
    '<p><manifest><item id="two" href="2.xhtml"/><item id="one" href="a%20b.xhtml"/></manifest>'
    '<spine><itemref idref="one"/><itemref idref="gone"/><itemref idref="two"/></spine></p>'
)


@pytest.fixture(scope="module")
def documents() -> Iterator[Documents]:
    """The reader."""
    made = Documents()
    yield made
    made.close()


def _pdf(path: Path, *pages: str) -> Path:
    font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    kids = " ".join(f"{3 + 2 * n} 0 R" for n in range(len(pages)))
    bodies = ["<< /Type /Catalog /Pages 2 0 R >>"]
    bodies += [f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>"]
    for n, text in enumerate(pages):
        shown = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
        resources = f"<< /Font << /F1 {font} >> >>"
        box = f"/MediaBox [0 0 612 792] /Resources {resources} /Contents {4 + 2 * n} 0 R"
        bodies += [f"<< /Type /Page /Parent 2 0 R {box} >>"]
        bodies += [f"<< /Length {len(shown)} >>\nstream\n{shown}\nendstream"]
    out, places = b"%PDF-1.4\n", []
    for n, body in enumerate(bodies, 1):
        places.append(len(out))
        out += f"{n} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(bodies) + 1
    end = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    path.write_bytes(out + f"xref\n0 {size}\n0000000000 65535 f \n{table}{end}".encode())
    return path


def _zip(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/").replace("_xml", ".xml"), text)
    return path


def _word(path: Path) -> Path:
    made = docx.Document()
    made.add_heading("House rules", 1)
    made.add_paragraph("The rent is due on Monday.")
    made.add_heading("여권", 2)
    row = made.add_table(1, 2).rows[0]
    row.cells[0].text, row.cells[1].text = "Kettle", "vinegar"
    made.save(str(path))
    return path


def _slides(path: Path) -> Path:
    made = pptx.Presentation()
    for title, body in (("Plan", "Buy a boat"), ("End", "")):
        slide = made.slides.add_slide(made.slide_layouts[1])
        slide.shapes.title.text = title  # type: ignore[union-attr]
        slide.placeholders[1].text = body  # type: ignore[attr-defined]
    slide.notes_slide.notes_text_frame.text = "say thanks"  # type: ignore[union-attr]
    made.save(str(path))
    return path


def _sheet(path: Path, rows: int = 50) -> Path:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    sheet.title = "Costs"
    for row in (["item", "price"], *([f"thing {n}", n] for n in range(rows))):
        sheet.append(row)
    made.save(path)
    return path


def _book(path: Path) -> Path:
    page = "<html><body><h1>{0}</h1><p>{0} is a chapter that says what it says.</p></body></html>"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
        archive.writestr("b/c.opf", PACKAGE)
        archive.writestr("b/a b.xhtml", page.format("One"))
        archive.writestr("b/2.xhtml", page.format("Two"))
    return path


def _parts(documents: Documents, path: Path) -> tuple[Part, ...]:
    """What the worker reads, which is what it would read in this process."""
    found = documents.read(path)
    assert not isinstance(found, Refused), found
    here = worker._answer(path)["parts"]
    assert here == [[part.place, part.kind, part.text] for part in found]
    return found


def test_word_by_its_headings(documents: Documents, tmp_path: Path) -> None:
    """With tables, and paragraphs counted."""
    assert _parts(documents, _word(tmp_path / "a.docx")) == (
        Part("\u00b61-\u00b62", "# House rules\n\nThe rent is due on Monday.", "markdown"),
        Part("\u00b63-\u00b64", "## 여권\n\nKettle | vinegar", "markdown"),
    )


def test_powerpoint_slide_by_slide(documents: Documents, tmp_path: Path) -> None:
    """Notes too."""
    assert _parts(documents, _slides(tmp_path / "a.pptx")) == (
        Part("slide 1", "Plan\n\nBuy a boat"),
        Part("slide 2", "End\n\nsay thanks"),
    )


def test_excel_some_rows_at_a_time(documents: Documents, tmp_path: Path) -> None:
    """Each under the header, with the cells it is from."""
    first, second = _parts(documents, _sheet(tmp_path / "a.xlsx"))
    assert (first.place, second.place) == ("Costs!A2:B41", "Costs!A42:B51")
    assert second.text.splitlines()[:2] == ["item | price", "thing 40 | 40"]


@pytest.mark.parametrize("encoding", ["utf-8", "cp949", "utf-16"])
def test_separated_values(documents: Documents, tmp_path: Path, encoding: str) -> None:
    """In any encoding, with the separator that the file has."""
    file = tmp_path / "a.csv"
    file.write_text('이름;나이\n"가; 나";1\n\n다;2\n', encoding=encoding)
    assert _parts(documents, file) == (Part("A2:B4", "이름 | 나이\n가; 나 | 1\n다 | 2"),)


def test_pdf_page_by_page(documents: Documents, tmp_path: Path) -> None:
    """One without text has no part."""
    file = _pdf(tmp_path / "a.pdf", "About kettles.", "", "About trains.")
    assert _parts(documents, file) == (
        Part("p. 1", "About kettles."),
        Part("p. 3", "About trains."),
    )


def test_html_without_its_navigation(documents: Documents, tmp_path: Path) -> None:
    """Headings stay headings."""
    file = tmp_path / "a.html"
    said = "A boat floats on the water because it displaces as much as it weighs."
    file.write_text(f"<body><nav>Home</nav><article><h1>Boats</h1><p>{said}</p></article></body>")
    (part,) = _parts(documents, file)
    assert (part.text, part.kind) == (f"# Boats\n\n{said}", "markdown")


def test_epub_in_the_order_of_reading(documents: Documents, tmp_path: Path) -> None:
    """A chapter that is missing is passed over."""
    first, second = _parts(documents, _book(tmp_path / "a.epub"))
    assert (first.place, second.place) == ("chapter 1", "chapter 3")
    assert "One is a chapter" in first.text
    assert "Two is a chapter" in second.text


def test_hwpx_section_by_section(documents: Documents, tmp_path: Path) -> None:
    """A word may be cut into runs."""
    file = _zip(tmp_path / "a.hwpx", Contents__section0_xml=SECTION, other_xml="<x/>")
    assert _parts(documents, file) == (Part("section 1", "한글 문서"),)


def test_notebooks_cell_by_cell(documents: Documents, tmp_path: Path) -> None:
    """What code printed is left out."""
    file = tmp_path / "a.ipynb"
    code = {"cell_type": "code", "source": "x = 1", "outputs": [{"text": "printed"}]}
    cells = [{"cell_type": "markdown", "source": ["# T\n", "text"]}, code]
    file.write_text(json.dumps({"cells": cells}))
    assert _parts(documents, file) == (
        Part("cell 1", "# T\ntext", "markdown"),
        Part("cell 2", "x = 1", "code"),
    )


def _locked_pdf(path: Path) -> Path:
    writer = pypdf.PdfWriter(clone_from=_pdf(path, "secret"))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(path)
    return path


def _cyclic_pdf(path: Path) -> Path:
    whole = _pdf(path, "x").read_bytes()
    path.write_bytes(whole.replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]"))
    return path


def _bomb(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(11):
            archive.writestr(f"word/{n}.xml", bytes(20_000_000))
    return path


def _lying_bomb(path: Path) -> Path:
    """It says that it unpacks to little."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("Contents/section0.xml", b"<s>" + bytes(60_000_000))
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(mark) + offset
        data[place : place + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    return path


def _entities(path: Path) -> Path:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    body = '<s xmlns:hp="p"><hp:p><hp:t>&l9;</hp:t></hp:p></s>'
    bomb = f'<!DOCTYPE s [<!ENTITY l0 "ha">{laughs}]>{body}'
    return _zip(path, Contents__section0_xml=bomb)


def _stranger(path: Path) -> Path:
    """It wants a file of this machine."""
    entity = '<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    text = f'{entity}<s xmlns:hp="p"><hp:p><hp:t>&x;</hp:t></hp:p></s>'
    return _zip(path, Contents__section0_xml=text)


def _rubbish(path: Path) -> Path:
    path.write_bytes(os.urandom(5000))
    return path


def _deep(path: Path) -> Path:
    path.write_text('{"cells": ' + "[" * 200_000 + "]" * 200_000 + "}")
    return path


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _long_line(path: Path) -> Path:
    path.write_text("a,b\n" + "x" * 30_000_000)
    return path


KINDS = ("pdf", "docx", "pptx", "xlsx", "epub", "hwpx", "ipynb", "html", "csv")
HOSTILE: list[tuple[Callable[[Path], Path], str, str]] = [
    (_locked_pdf, "pdf", "encrypted"),
    (_cyclic_pdf, "pdf", "broken"),
    (_bomb, "docx", "unpacks to more than 200 MB"),
    (_lying_bomb, "hwpx", "broken"),
    (_entities, "hwpx", "broken"),
    (_stranger, "hwpx", "holds no text"),
    (_deep, "ipynb", "broken: not a notebook"),
    (_long_line, "csv", "broken|more than|no text"),
    *((_rubbish, kind, "broken|no text") for kind in KINDS if kind != "csv"),
    *((_empty, kind, "broken|no text") for kind in KINDS),
]


@pytest.mark.parametrize(("make", "kind", "reason"), HOSTILE)
def test_a_hostile_document_is_refused_by_name_and_the_next_is_read(
    documents: Documents, tmp_path: Path, make: Callable[[Path], Path], kind: str, reason: str
) -> None:
    """Whatever it does to the one that reads it."""
    found = documents.read(make(tmp_path / f"bad.{kind}"))
    assert isinstance(found, Refused), found
    assert any(each in found.reason for each in reason.split("|")), found
    assert worker._answer(tmp_path / f"bad.{kind}") == {"reason": found.reason}
    assert _parts(documents, _pdf(tmp_path / "good.pdf", "Still here."))


def test_one_that_takes_too_long_is_left(tmp_path: Path) -> None:
    """The next one gets a worker of its own."""
    impatient = Documents(longest_s=0.001)
    file = _sheet(tmp_path / "a.xlsx", rows=2000)
    slow = Refused(str(file), "not read within 0 seconds", is_error=True)
    assert impatient.read(file) == slow
    impatient.close()
    patient = Documents()
    patient._running().kill()
    patient._running().wait()
    assert _parts(patient, file)
    patient.close()


def test_a_document_learns_nothing_of_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No secret is in the worker's environment."""
    monkeypatch.setenv("LOCALAI_SECRET_SMTP_PASSWORD", "hunter2")
    reader = Documents()
    running = reader._running()
    if (environment := Path(f"/proc/{running.pid}/environ")).exists():
        assert b"hunter2" not in environment.read_bytes()
    reader.close()
    assert running.poll() is not None


def test_a_document_that_is_too_large_is_not_even_read(tmp_path: Path) -> None:
    """A hundred megabytes."""
    file = tmp_path / "a.pdf"
    with file.open("wb") as large:
        large.truncate(MAX_DOCUMENT_BYTES + 1)
    found = read(file, tmp_path)
    assert isinstance(found, Refused)
    assert found.reason == "larger than 100 MB"


def test_passages_of_documents_say_where_they_are(here: Room, tmp_path: Path) -> None:
    """Read once; a broken one is named, and gone when it replaces a whole one."""
    folder = tmp_path / "papers"
    folder.mkdir()
    _pdf(folder / "a.pdf", "About kettles and vinegar.", "About trains and platforms.")
    _word(folder / "b.docx")
    _rubbish(folder / "c.pptx")
    report = here.rag.index(WRITER, [folder])
    assert (report.added, [each.source for each in report.skipped]) == (2, ["c.pptx"])
    found = here.rag.query(WRITER, "platforms of trains", k=1).passages[0]
    assert (found.source, found.location) == ("a.pdf", "p. 2")
    assert here.rag.query(WRITER, "rent on Monday", k=1).passages[0].location == "\u00b61-\u00b62"
    again = here.rag.index(WRITER, [folder])
    assert (again.unchanged, again.chunks) == (2, 0)
    _rubbish(folder / "a.pdf")
    worse = here.rag.index(WRITER, [folder])
    assert worse.removed == 1
    assert [each.source for each in worse.skipped] == ["a.pdf", "c.pptx"]
