"""Writing config.toml: the operator's comments and order stay as they are."""

from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from localai.core.errors import Invalid, Unavailable
from localai.core.files import write_private
from localai.core.settings import KEYS, named


def write_setting(path: Path, name: str, text: str) -> None:
    """Set one value; Invalid if the value or the file is wrong, and nothing is changed."""
    named(name).parse(text)
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else None
        document = tomlkit.document() if document is None else document
        *tables, leaf = name.split(".")
        table = document
        for part in tables:
            table = table.setdefault(part, tomlkit.table())
        table[leaf] = text
    except (TOMLKitError, TypeError, AttributeError, UnicodeDecodeError) as error:
        message = f"{path} cannot be changed"
        raise Invalid(message, hint="mend it by hand, or: ai config sample") from error
    try:
        write_private(path, tomlkit.dumps(document).encode())
    except OSError as error:
        raise Unavailable(f"{path} cannot be written", hint="ai doctor") from error


def sample() -> str:
    """A config.toml with every setting, commented out, at its default."""
    lines = ["# localai: settings. Uncomment what you change."]
    section = ""
    for key in KEYS.values():
        table, _, leaf = key.name.rpartition(".")
        if table != section:
            lines += ["", f"[{table}]"]
            section = table
        lines += [f"# {key.help}", f"# {leaf} = {tomlkit.item(key.default).as_string()}"]
    return "\n".join(lines) + "\n"
