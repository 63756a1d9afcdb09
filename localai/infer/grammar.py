"""What a model may write, as grammars in GBNF, and from where on; pure."""

from collections.abc import Sequence
from functools import lru_cache

from localai.infer.engine import ToolSpec
from localai.infer.gbnf import Rules, Schema, arguments, described, literal, spelled
from localai.infer.toolcalls import CLOSE, OPEN

# A code span that is not closed in its line is none. So what follows a lone backtick is read as
# both, `span` and `lone`, until the line has shown which it is. An open fence lasts to the end.
_CITATIONS = r"""
root ::= "" | [^`\[] root | "[" bracket | "`" tick
bracket ::= "" | cite root | [^`\[0-9] root | "[" bracket | "`" tick
tick ::= "`" ticks | [^`\n] span | lone
ticks ::= "" | "`" fence | [^`\[] root | "[" bracket
span ::= [^`\n] span | "`" root
lone ::= "" | "\n" root | [^`\[\n] lone | "[" lone-bracket
lone-bracket ::= "" | "\n" root | cite lone | [^`\[0-9\n] lone | "[" lone-bracket
fence ::= "" | [^`] fence | "`" fence-1
fence-1 ::= "" | [^`] fence | "`" fence-2
fence-2 ::= "" | [^`] fence | "`" root
cite ::= number ("," " "? number)* "]"
number ::= """


def tool_calls(tools: Sequence[ToolSpec]) -> str:
    """What may follow the tag that opens a call: calls of `tools` and nothing else."""
    rules = Rules()
    key, colon = literal('"name"'), 's ":" s'
    call = rules.add(" | ".join(_call(tool, rules) for tool in tools))
    one = rules.add(f's "{{" s {key} {colon} {call} "}}" s {literal(CLOSE)} s')
    return f"root ::= {one} ({literal(OPEN)} {one})*\n{rules}"


def answer(passages: int, schema: Schema | None) -> str:
    """What a whole answer may be: JSON of a schema, text with citations, or ("") anything."""
    if schema is not None:
        return json(schema)
    return citations(passages) if passages else ""


def json(schema: Schema) -> str:
    """One JSON value that `schema` describes."""
    rules = Rules()
    return f"root ::= {described(schema, rules)}\n{rules}"


@lru_cache(maxsize=8)
def citations(passages: int) -> str:
    """Text in which a `[` before a digit begins a citation of 1 to `passages`; code is free."""
    return _CITATIONS + " | ".join(_up_to(passages))


class Opening:
    """Notices in a stream where a tool call begins; its pieces may cut the tag anywhere."""

    def __init__(self) -> None:
        self._held = b""
        self._inside = False

    def feed(self, piece: bytes) -> bool:
        """Whether `piece` ends the opening tag of a call, of which it spells nothing more."""
        self._held += piece
        opened = False
        while (tag := (CLOSE if self._inside else OPEN).encode()) in self._held:
            self._held = self._held.partition(tag)[2]
            self._inside = opened = not self._inside
        begins = opened and not self._held.strip()
        self._held = self._held[1 - len(CLOSE) :]
        return begins


def _call(tool: ToolSpec, rules: Rules) -> str:
    key, colon = literal('"arguments"'), 's ":" s'
    return f'{spelled(tool.name)} s "," s {key} {colon} {arguments(tool.parameters, rules)} s'


def _up_to(last: int) -> list[str]:
    """The numbers from 1 to `last`, by their digits."""
    digits = str(last)
    shorter = [f"[1-9]{' [0-9]' * n}" for n in range(len(digits) - 1)]
    below = [
        f'"{digits[:n]}" [{int(n == 0)}-{int(digit) - 1}]{" [0-9]" * (len(digits) - n - 1)}'
        for n, digit in enumerate(digits)
        if int(digit) > int(n == 0)
    ]
    return [*shorter, *below, f'"{digits}"']
