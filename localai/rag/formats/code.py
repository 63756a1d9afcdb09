"""What source code defines, by the grammars of tree-sitter; the one file that imports them.

Only the worker does: a grammar is a program in C that a hostile text can keep busy for minutes, or
kill.
"""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

from tree_sitter import Language, Node, Parser, Query, QueryCursor

from localai.rag.grammars import GRAMMARS
from localai.rag.outline import DEEPEST
from localai.rag.sources import decoded

_LONGEST_NAME: Final = 80
# A definition inside of one of these begins where that does.
_WRAPPERS: Final = frozenset({"decorated_definition", "export_statement", "template_declaration"})
_WRAPPERS_OF_ONE: Final = frozenset({"lexical_declaration", "type_declaration"})
# What is defined inside of these is a part of them.
_BODIES: Final = frozenset(
    {
        "arrow_function",
        "constructor_declaration",
        "function_declaration",
        "function_definition",
        "function_expression",
        "function_item",
        "generator_function_declaration",
        "method_declaration",
        "method_definition",
        "variable_declarator",
    }
)
_REST: Final = re.compile(r"[;,)}\s]*(?:(?:#|//|/\*).*)?")

Outline = list[tuple[int, int, tuple[str, ...]]]


def outline(path: Path) -> Outline:
    """Place and names of each definition, outer ones first; none within functions."""
    grammar = GRAMMARS[path.suffix.lower()]
    language = Language(getattr(import_module(grammar.module), grammar.function)())
    text = decoded(path.read_bytes()) or ""
    tree = Parser(language).parse(text.encode(errors="replace"))
    query = Query(language, f"[{grammar.defining}] @it")
    found = QueryCursor(query).captures(tree.root_node).get("it", [])
    lines = _Lines(text, grammar.remarks)
    return list(_nested(found, lines))


def _nested(found: list[Node], lines: "_Lines") -> Iterator[tuple[int, int, tuple[str, ...]]]:
    around: list[tuple[Node, int, tuple[str, ...]]] = []
    before = 0  # where the last definition ended, or the one around it began
    for node in sorted(found, key=lambda node: (node.start_byte, -node.end_byte)):
        while around and around[-1][0].end_byte <= node.start_byte:
            before = max(before, around.pop()[1])
        if len(around) == DEEPEST or any(each.type in _BODIES for each, _, _ in around):
            continue
        whole = _whole(node)
        start = lines.start(whole.start_point.row, whole.start_byte, before)
        end = lines.end(whole.end_point.row, whole.end_byte)
        names = (*(around[-1][2] if around else ()), _name(node))
        around.append((node, end, names))
        before = start
        yield start, end, names


def _whole(node: Node) -> Node:
    """The definition with its decorators, or what exports it."""
    while (parent := node.parent) is not None:
        is_one = parent.type in _WRAPPERS_OF_ONE and parent.named_child_count == 1
        if parent.type not in _WRAPPERS and not is_one:
            break
        node = parent
    return node


def _name(node: Node) -> str:
    named = node.child_by_field_name("name") or node.child_by_field_name("type")
    if node.type == "function_definition" and node.child_by_field_name("declarator"):
        named = node
        while inner := named.child_by_field_name("declarator"):
            named = inner
    text = (named.text or b"").decode(errors="replace") if named else "?"
    receiver = node.child_by_field_name("receiver")  # a method of Go stands outside of its type
    if receiver is not None:
        of = re.search(
            r"(\w+)(?:\[[^]]*\])?\s*\)$", (receiver.text or b"").decode(errors="replace")
        )
        text = f"{of[1]}.{text}" if of else text
    return " ".join(text.split())[:_LONGEST_NAME]


class _Lines:
    """Places in the text, which count characters, for those of the parser, which count bytes."""

    def __init__(self, text: str, remarks: tuple[str, ...]) -> None:
        self._remarks = remarks
        self._lines = text.split("\n")
        self._starts, self._bytes = [0], [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)
            self._bytes.append(self._bytes[-1] + len(line.encode(errors="replace")) + 1)

    def start(self, row: int, at: int, before: int) -> int:
        """Where a definition begins: with the remarks right above it, behind `before`."""
        place = self._place(row, at)
        if self._text(row)[: place - self._starts[row]].strip():
            return max(place, before)
        while row and self._text(row - 1).lstrip().startswith(self._remarks):
            if self._starts[row - 1] < before:
                break
            row -= 1
        return max(self._starts[row], before)

    def end(self, row: int, at: int) -> int:
        """Where a definition ends: with its line, where nothing else is on it."""
        place = self._place(row, at)
        rest = self._text(row)[place - self._starts[row] :]
        return place + len(rest) if _REST.fullmatch(rest) else place

    def _place(self, row: int, at: int) -> int:
        line = self._text(row).encode(errors="replace")[: at - self._bytes[row]]
        return self._starts[row] + len(line.decode(errors="ignore"))

    def _text(self, row: int) -> str:
        return self._lines[row] if row < len(self._lines) else ""
