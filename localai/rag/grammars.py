"""Which languages' code is cut by its functions, and what counts as one; pure.

The grammars themselves are wheels of the extra `code`.
"""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Final


@dataclass(frozen=True)
class Grammar:
    """A language: its wheel, what it defines, and how a line begins that describes it."""

    module: str
    defining: str
    remarks: tuple[str, ...] = ("//", "/*", "*", "@", "#[")
    function: str = "language"


_STRUCTURES: Final = "(struct_specifier body: (_)) (union_specifier body: (_))"
_OF_SCRIPTS: Final = (
    "(class_declaration) (variable_declarator value: [(arrow_function) (function_expression)])"
    " (function_declaration) (generator_function_declaration) (method_definition)"
)
_TYPES: Final = (
    " (abstract_class_declaration) (interface_declaration) (enum_declaration) (internal_module)"
)

_C: Final = Grammar("tree_sitter_c", f"(function_definition) {_STRUCTURES}")
_CPP: Final = Grammar(
    "tree_sitter_cpp",
    f"(function_definition) (class_specifier body: (_)) (namespace_definition) {_STRUCTURES}",
)
_SCRIPT: Final = Grammar("tree_sitter_javascript", _OF_SCRIPTS)
_TYPED: Final = Grammar(
    "tree_sitter_typescript", _OF_SCRIPTS + _TYPES, function="language_typescript"
)
_TYPED_VIEW: Final = Grammar(
    "tree_sitter_typescript", _OF_SCRIPTS + _TYPES, function="language_tsx"
)
_GO: Final = Grammar(
    "tree_sitter_go", "(function_declaration) (method_declaration) (type_spec)", ("//",)
)
_JAVA: Final = Grammar(
    "tree_sitter_java",
    "(class_declaration) (interface_declaration) (enum_declaration) (record_declaration)"
    " (annotation_type_declaration) (method_declaration) (constructor_declaration)",
)
_PYTHON: Final = Grammar(
    "tree_sitter_python", "(function_definition) (class_definition)", ("#", "@")
)
_RUST: Final = Grammar(
    "tree_sitter_rust",
    "(function_item) (impl_item) (trait_item) (mod_item body: (_)) (struct_item) (enum_item)"
    " (union_item) (macro_definition)",
)
GRAMMARS: Final = {
    ".c": _C,
    ".cc": _CPP,
    ".cpp": _CPP,
    ".go": _GO,
    ".h": _CPP,
    ".hpp": _CPP,
    ".java": _JAVA,
    ".js": _SCRIPT,
    ".jsx": _SCRIPT,
    ".py": _PYTHON,
    ".pyi": _PYTHON,
    ".rs": _RUST,
    ".ts": _TYPED,
    ".tsx": _TYPED_VIEW,
}


@cache
def has_grammar(suffix: str) -> bool:
    """Whether the grammar for code of this suffix is installed."""
    grammar = GRAMMARS.get(suffix.lower())
    return grammar is not None and all(map(find_spec, ("tree_sitter", grammar.module)))
