"""Regular expressions that take a time proportional to the text; the one file that imports re2.

A model may write any expression, and a stranger's page may have told it which. RE2 never goes back
in the text, so none makes it hang; in return it knows no back references and no look-around.
"""

from collections.abc import Callable

from localai.core.errors import Invalid

LONGEST = 1_000
_MOST_MEMORY = 1 << 20

# Where a line matches, from and to; None where it does not.
Find = Callable[[str], tuple[int, int] | None]


def find(pattern: str, *, ignore_case: bool) -> Find:
    """What finds the first match in a line; Invalid where it is no such expression."""
    import re2  # noqa: PLC0415 - 7 ms that only a search pays

    if not pattern or len(pattern) > LONGEST:
        raise Invalid(f"pattern is empty or longer than {LONGEST} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    options.case_sensitive = not ignore_case
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace")
        message = f"pattern is no regular expression of RE2: {why}"
        hint = r"write \ before a sign that is meant as itself: foo\("
        raise Invalid(message, hint=hint) from None  # its own text is bytes

    def first(line: str) -> tuple[int, int] | None:
        found = compiled.search(line)
        return found.span() if found else None

    return first
