"""What documentation and hints quote exists: commands, options, settings, variables, files."""

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from localai.app import App
from localai.approvals import rules
from localai.cli.main import app
from localai.core.secrets import NAMES
from localai.core.settings import KEYS, OTHER_VARIABLES, PREFIX, SECRET_PREFIX
from localai.infer import hardware
from localai.notify import routes
from localai.rag.records import COMPANION_MODEL, SHIPPED_MODEL

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "localai" / "guide"
GENERATED = ROOT / "docs" / "cli.md"
PAGES = sorted(
    {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *GUIDE.rglob("*.md")}.union(
        {ROOT / "dashboards" / "README.md"}
    ).difference({GENERATED})
)
SOURCES = sorted((ROOT / "localai").rglob("*.py"))
SAYINGS = ROOT / "training" / "starter" / "phrases"
MAX_README = 150

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
_VARIABLE = re.compile(r"\bLOCALAI_[A-Z_]*")
_DOTTED = re.compile(r"([a-z_]+\.[a-z_.]+)(?:=.*)?")
# A command in a hint ends where the sentence goes on.
_HINTED = re.compile(
    r"(?:^|: |, |; |\bor |\bthen |  )(ai [^:;,]+?)(?=$|  |:|,|;| or | then | and | says | takes )"
)
_FILE = re.compile(r"(?:localai|tests|scripts|docs|benchmarks|training)/[\w./-]+")
_DEPENDENCY = re.compile(r"[\w-]+")
_TABLES = {name.partition(".")[0] for name in KEYS if "." in name}
_VARIABLES = {
    *(key.variable for key in KEYS.values()),
    *(SECRET_PREFIX + name.upper().replace("-", "_") for name in NAMES),
    *OTHER_VARIABLES,
    PREFIX,
    SECRET_PREFIX,
}


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


each_page = pytest.mark.parametrize("page", PAGES, ids=_name)


@each_page
def test_quoted_commands_exist(page: Path) -> None:
    """Every `ai ...` in a fence or in inline code names a command and options that exist."""
    assert _wrong_commands(page.read_text(encoding="utf-8")) == []


def test_the_starters_answers_name_commands_that_exist() -> None:
    """A model that ships is documentation, too."""
    talk = tomllib.loads((SAYINGS / "talk.toml").read_text(encoding="utf-8"))
    told = [*talk["intent"], talk["unknown"], talk["notool"]]
    answers = [each[lang]["answer"] for each in told for lang in ("en", "ko")]
    assert any("`ai approve ID`" in answer for answer in answers)
    assert _wrong_commands("\n\n".join(answers)) == []


@each_page
def test_settings_and_variables_exist(page: Path) -> None:
    """Every setting key and LOCALAI_ variable that is mentioned is one that is read."""
    assert _wrong_settings(page.read_text(encoding="utf-8")) == []


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there."""
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@each_page
def test_named_files_exist(page: Path) -> None:
    """Every file of the repository that is named in inline code is there."""
    inline = set(_inline(page.read_text(encoding="utf-8"))) - {SHIPPED_MODEL, COMPANION_MODEL}
    named = filter(_FILE.fullmatch, sorted(inline))
    assert [each for each in named if not (ROOT / each).exists()] == []


@pytest.mark.parametrize("name", ["docs/why.md", "THIRD_PARTY_NOTICES.md"])
def test_every_dependency_is_accounted_for(name: str) -> None:
    """Each runtime dependency has its reason and its licence written down."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = (ROOT / name).read_text(encoding="utf-8").lower()
    needed = [_DEPENDENCY.match(each) for each in project["dependencies"]]
    assert [each[0] for each in needed if each and f"| {each[0]} " not in told] == []


@each_page
def test_engine_is_the_one_that_is_pinned(page: Path) -> None:
    """A page that installs llama-cpp-python names the version that localai needs."""
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"llama-cpp-python==[\d.]+", text)) <= {hardware.REQUIREMENT}


@pytest.mark.parametrize("name", ["README.md", "README.ko.md"])
def test_readme_is_short(name: str) -> None:
    """A README is read in one sitting: fewer than 150 lines."""
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) < MAX_README


def test_korean_readme_types_the_same() -> None:
    """Both READMEs tell a reader to type the same lines."""
    english, korean = (ROOT / name for name in ("README.md", "README.ko.md"))
    assert _typed(korean) == _typed(english)


def test_guide_says_the_same_in_both_languages() -> None:
    """The guide has the same pages in English and Korean, with the same lines to type."""
    english = {page.name: _typed(page) for page in (GUIDE / "en").glob("*.md")}
    korean = {page.name: _typed(page) for page in (GUIDE / "ko").glob("*.md")}
    assert english
    assert korean == english


@pytest.mark.parametrize("source", SOURCES, ids=_name)
def test_hints_name_commands_that_exist(source: Path) -> None:
    """What an error tells a person to type next is a command line that exists."""
    hints = _hints(ast.parse(source.read_text(encoding="utf-8")))
    commands = [each for hint in hints for each in _HINTED.findall(hint)]
    assert [f"{each}: {wrong}" for each in commands if (wrong := _wrong(each))] == []


def test_wrong_hint_is_noticed() -> None:
    """The check above fails on a hint that names no command, plain or with values in it."""
    tree = ast.parse(
        'E(hint=f"take care, or: ai approvals lisst {x}"); failed("", "", "ai docter")'
    )
    wrong = [_wrong(each) for hint in _hints(tree) for each in _HINTED.findall(hint)]
    assert wrong == ["ai approvals has no command lisst", "ai has no command docter"]


def test_policies_that_are_quoted_can_be_read(tmp_path: Path) -> None:
    """Their examples included."""
    tools = {tool.name: list(tool.schema["properties"]) for tool in App(tmp_path).tools.all()}
    fences = [
        body
        for page in PAGES
        for kind, body in _FENCE.findall(page.read_text(encoding="utf-8"))
        if kind == "toml" and "[[rule]]" in body
    ]
    assert fences
    assert all(rules.read(body, tools) for body in fences)


def test_routes_that_are_quoted_can_be_read(tmp_path: Path) -> None:
    """Their events, risks and channels exist."""
    fences = [
        body
        for page in PAGES
        for kind, body in _FENCE.findall(page.read_text(encoding="utf-8"))
        if kind == "toml" and "[[route]]" in body
    ]
    assert fences
    for body in fences:
        (tmp_path / "notifications.toml").write_text(body, encoding="utf-8")
        assert routes.read(tmp_path / "notifications.toml")


def test_every_list_takes_the_same_options() -> None:
    """A script that knows one of them knows all."""
    sections = GENERATED.read_text(encoding="utf-8").split("\n## ")
    lists = [each for each in sections if re.match("`ai [a-z ]+ list ", each)]
    assert len(lists) > 10
    for each in lists:
        options = set(re.findall(r"(?<=[` ])--?[a-z]+", each))
        assert options >= {"--limit", "--cursor", "--json", "--quiet", "-q"}, each


def test_command_reference_is_generated() -> None:
    """docs/cli.md is what the code says now; scripts/generate-cli-docs writes it."""
    script = ROOT / "scripts" / "generate-cli-docs"
    made = subprocess.run(
        [sys.executable, script], capture_output=True, check=True, encoding="utf-8"
    )
    assert GENERATED.read_text(encoding="utf-8") == made.stdout


@pytest.mark.parametrize(
    "command",
    [
        "ai aproove 3f2a",
        "ai approvals lisst",
        "ai approve 3f2a --reasn no",
        "ai -z doctor",
        "ai models add one.gguf two.gguf",
        "ai config set approvals.timeoutt 5m",
        "ai --set rag.modle=x doctor",
        'ai chat "open',
    ],
)
def test_wrong_command_is_noticed(command: str) -> None:
    """The checks above fail on a command line that does not exist."""
    assert len(_wrong_commands(f"Type `{command}` now.")) == 1
    assert len(_wrong_commands(f"```sh\n$ LOCALAI_HOME=x {command}\n```\n")) == 1


@pytest.mark.parametrize(
    "text",
    ["Set `LOCALAI_HOEM`.", "Set `approvals.timeoutt`.", "```toml\n[rag]\nmodle = 'x'\n```\n"],
)
def test_wrong_setting_is_noticed(text: str) -> None:
    """The checks above fail on a setting or a variable that nobody reads."""
    assert len(_wrong_settings(text)) == 1


def _wrong_commands(text: str) -> list[str]:
    found = (f"{line}: {wrong}" for line in _lines(text) if (wrong := _wrong(line)))
    return list(found)


def _lines(text: str) -> Iterator[str]:
    """Every quoted line that may hold a command: of fences, and inline."""
    for _, body in _FENCE.findall(text):
        lines = body.replace("\\\n", " ").splitlines()
        yield from (line.removeprefix("$ ") for line in lines)
    yield from (each for each in _inline(text) if each.startswith("ai "))


def _inline(text: str) -> list[str]:
    """What stands in inline code."""
    return _INLINE.findall(_FENCE.sub("", text))


def _wrong(line: str) -> str | None:
    is_command = re.match(r"(?:[A-Z_]+=\S+ )*ai |.*\| ai ", line)
    if not is_command:
        return None
    try:
        parts = shlex.shlex(line, posix=True, punctuation_chars=True)
        parts.whitespace_split = True
        words = list(parts)
    except ValueError as error:
        return str(error)
    return next(filter(None, map(_resolve, _segments(words))), None)


def _segments(words: list[str]) -> list[list[str]]:
    """The words between the shell's operators, of commands of ours alone."""
    segments: list[list[str]] = [[]]
    for word in words:
        if re.fullmatch(r"[|&;<>()]+", word):
            segments.append([])
        elif segments[-1] or not re.fullmatch(r"[A-Z_]+=\S*", word):
            segments[-1].append(word)
    return [segment[1:] for segment in segments if segment[:1] == ["ai"]]


def _resolve(words: list[str]) -> str | None:
    """What is wrong with the words after `ai`, or None."""
    command: Any = get_command(app)
    context = command.make_context("ai", [], resilient_parsing=True)
    given: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":  # what follows is another program's
            break
        if word.startswith("-") and word != "-":
            name, equals, value = word.partition("=")
            option = _option(command, context, name)
            if option is None:
                return f"{context.command_path} has no {name}"
            if not option.is_flag:
                value = value if equals else next(rest, "")
            if name == "--set" and (wrong := _unknown_key(value.partition("=")[0])):
                return wrong
        elif word == "...":
            return None
        elif hasattr(command, "list_commands"):
            command = command.get_command(context, word)
            if command is None:
                return f"{context.command_path} has no command {word}"
            context = type(context)(command, info_name=word, parent=context)
        else:
            given.append(word)
    return _too_many(command, context, given) or _config_key(context, given)


def _option(command: Any, context: Any, name: str) -> Any:
    for each in command.get_params(context):
        is_argument = each.param_type_name == "argument"
        if not is_argument and name in {*each.opts, *each.secondary_opts}:
            return each
    return None


def _hints(tree: ast.AST) -> Iterator[str]:
    """The text of every hint in the code, KEY standing for values that are filled in."""
    for node in ast.walk(tree):
        found: list[ast.expr] = []
        if isinstance(node, ast.Call):
            found = [each.value for each in node.keywords if each.arg == "hint"]
            is_check = isinstance(node.func, ast.Name) and node.func.id in {"failed", "warning"}
            found += node.args[2:3] if is_check else []
        elif isinstance(node, ast.Assign):
            names = {each.id for each in node.targets if isinstance(each, ast.Name)}
            found = [node.value] if "hint" in names else []
        yield from filter(None, map(_literal, (each for node in found for each in _choices(node))))


def _choices(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BoolOp):
        return node.values
    return [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]


def _literal(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(_literal(each) or "KEY" for each in node.values)
    return str(node.value) if isinstance(node, ast.Constant) else ""


def _too_many(command: Any, context: Any, given: list[str]) -> str | None:
    counts = [
        each.nargs for each in command.get_params(context) if each.param_type_name == "argument"
    ]
    if -1 in counts or len(given) <= sum(counts):
        return None
    return f"{context.command_path} takes {sum(counts)} arguments, not {len(given)}"


def _config_key(context: Any, given: list[str]) -> str | None:
    is_named = context.command_path in {"ai config get", "ai config set"} and given
    return _unknown_key(given[0]) if is_named else None


def _unknown_key(key: str) -> str | None:
    return None if key in KEYS or key == "KEY" else f"no setting {key}"


def _wrong_settings(text: str) -> list[str]:
    variables = [name for name in _VARIABLE.findall(text) if name not in _VARIABLES]
    dotted = [found[1] for each in _inline(text) if (found := _DOTTED.fullmatch(each))]
    keys = [key for key in dotted if key.partition(".")[0] in _TABLES and key not in KEYS]
    written = [
        f"{table}.{leaf}"
        for kind, body in _FENCE.findall(text)
        if kind == "toml"
        for table, values in tomllib.loads(body).items()
        if table not in {"rule", "route"}
        for leaf in values
    ]
    return [*variables, *keys, *(key for key in written if key not in KEYS)]


def _typed(page: Path) -> list[str]:
    """The lines of a page's fences, without comments."""
    bodies = (body for _, body in _FENCE.findall(page.read_text(encoding="utf-8")))
    lines = (line.partition(" # ")[0].rstrip() for body in bodies for line in body.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
