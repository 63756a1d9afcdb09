"""Word, PowerPoint and Excel files, and Hangul's HWPX."""

import csv
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import docx
import openpyxl
import pptx
from docx.table import Table
from docx.text.paragraph import Paragraph

from localai.rag.formats.archive import opened, rows, xml
from localai.rag.sources import Part, decoded

_PARAGRAPHS = 40
_MOST_ROWS = 1 << 20  # Excel's own limit; a file may claim more


def word(path: Path) -> Iterator[Part]:
    """A document, its headings as Markdown's; the place counts paragraphs."""
    opened(path).close()
    lines: list[str] = []
    first = number = 0
    for number, block in enumerate(docx.Document(str(path)).iter_inner_content(), 1):
        is_heading = isinstance(block, Paragraph) and _level(block) > 0
        if lines and (is_heading or len(lines) >= _PARAGRAPHS):
            yield Part(f"\u00b6{first}-\u00b6{number - 1}", "\n\n".join(lines), "markdown")
            lines = []
        if text := _written(block):
            first = first if lines else number
            lines.append(text)
    if lines:
        yield Part(f"\u00b6{first}-\u00b6{number}", "\n\n".join(lines), "markdown")


def slides(path: Path) -> Iterator[Part]:
    """A presentation, slide by slide, notes included."""
    opened(path).close()
    for number, slide in enumerate(pptx.Presentation(str(path)).slides, 1):
        texts = [shape.text_frame.text for shape in slide.shapes if shape.has_text_frame]
        for shape in slide.shapes:
            if shape.has_table:
                texts += [" | ".join(cell.text for cell in row.cells) for row in shape.table.rows]
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame:
            texts.append(slide.notes_slide.notes_text_frame.text)
        if text := "\n\n".join(filter(None, (each.strip() for each in texts))):
            yield Part(f"slide {number}", text)


def sheets(path: Path) -> Iterator[Part]:
    """A workbook, some rows at a time: what formulas came to, not the formulas."""
    opened(path).close()
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    for sheet in book.worksheets:
        sheet.reset_dimensions()  # a file may claim a million columns
        found = sheet.iter_rows(max_row=_MOST_ROWS, values_only=True)
        table = ([_cell(cell) for cell in row] for row in found)
        yield from rows(f"{sheet.title}!", table)


def separated(path: Path) -> Iterator[Part]:
    """Values separated by commas, semicolons or tabs."""
    text = decoded(path.read_bytes()) or ""
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:10_000], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    yield from rows("", csv.reader(text.splitlines(), dialect))


def hwpx(path: Path) -> Iterator[Part]:
    """A document of Hangul, section by section, as KS X 6101 has it."""
    with opened(path) as archive:
        names = sorted(name for name in archive.namelist() if _is_section(name))
        for number, name in enumerate(names, 1):
            tree = xml(archive.read(name))
            found = (
                "".join(text for text in paragraph.xpath(".//*[local-name()='t']/text()"))
                for paragraph in tree.xpath("//*[local-name()='p']")
            )
            lines = [line for line, _ in groupby(filter(None, map(str.strip, found)))]
            if lines:
                yield Part(f"section {number}", "\n\n".join(lines))


def _is_section(name: str) -> bool:
    return name.startswith("Contents/section") and name.endswith(".xml")


def _level(paragraph: Paragraph) -> int:
    """1 for the highest heading; 0 for what is none."""
    style = paragraph.style.name if paragraph.style is not None else ""
    if style == "Title":
        return 1
    number = (style or "").removeprefix("Heading ")
    return int(number) if (style or "").startswith("Heading ") and number.isdecimal() else 0


def _written(block: Paragraph | Table) -> str:
    if isinstance(block, Table):
        lines = (" | ".join(cell.text.strip() for cell in row.cells) for row in block.rows)
        return "\n".join(filter(None, lines))
    text = block.text.strip()
    level = _level(block)
    return f"{'#' * min(level, 6)} {text}" if level and text else text


def _cell(value: object) -> str:
    return "" if value is None else str(value)
