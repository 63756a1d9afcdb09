"""Who may import what, and what a command pays for when it starts."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from typer.main import get_command

from localai.cli.main import NOUNS

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "localai"
BIN = Path(sys.executable).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

# What a command that only reads the database never loads.
HEAVY = {
    "alembic",
    "apprise",
    "fastapi",
    "fastembed",
    "gguf",
    "httpcore",
    "jinja2",
    "json_repair",
    "keyring",
    "llama_cpp",
    "lxml",
    "mcp",
    "mcp_types",
    "numpy",
    "onnxruntime",
    "playwright",
    "prometheus_client",
    "pynvml",
    "re2",
    "qdrant_client",
    "qdrant_edge",
    "sqlalchemy.orm",
    "starlette",
    "tree_sitter",
    "tokenizers",
    "uvicorn",
    "watchfiles",
}
# What a command that reads nothing does not load either.
HEAVIER_THAN_HELP = {"cryptography", "psutil", "pysqlite3", "sqlalchemy", "sqlite3"}

# Each foreign library and the file, the files or the folder that wrap it.
WRAPPED = {
    "alembic": {"migrations"},
    "anyio": {
        *(f"agent/mcp/{name}.py" for name in ("client", "connections", "http", "pipe")),
        *("agent/mcp/server.py", "agent/mcp/stdio.py", "core/serving.py", "core/stop.py", "api"),
    },
    "apprise": {"notify/apprise_urls.py"},
    "cryptography": {"core/vault.py"},
    "fastapi": {"api"},
    "fastembed": {"rag/embed.py", "rag/rerank.py"},
    "gguf": {"infer/gguf_file.py"},
    "jinja2": {"infer/prompt.py", "notify/message.py"},
    "json_repair": {"agent/repair.py"},
    "keyring": {"core/keychain.py"},
    "docx": {"rag/formats/office.py"},
    "lxml": {"rag/formats/archive.py"},
    "openpyxl": {"rag/formats/office.py"},
    "httpcore": {"core/web.py"},
    "httpx2": {"agent/mcp/client.py", "agent/mcp/meter.py"},
    "idna": {"core/address.py"},
    "pathspec": {"rag/walk.py"},
    "playwright": {"agent/builtin/browser.py"},
    "pptx": {"rag/formats/office.py"},
    "re2": {"agent/builtin/pattern.py"},
    "pypdf": {"rag/formats/pdf.py"},
    "trafilatura": {"rag/formats/web.py"},
    "llama_cpp": {"infer/llamacpp.py", "infer/sampler.py"},
    "mcp": {f"agent/mcp/{name}.py" for name in ("client", "http", "server", "shelf", "stdio")},
    "mcp_types": {"agent/mcp/client.py"},
    "mmh3": {"rag/sparse.py"},
    "msgspec": {"core/line/frames.py"},
    "pynvml": {"infer/nvidia.py"},
    "pysqlite3": {"core/db.py"},
    "qdrant_client": {"rag/client.py"},
    "qdrant_edge": {"rag/edge.py"},
    "rfc8785": {"core/canonical.py"},
    "sqlite3": {"core/db.py"},
    "starlette": {"agent/mcp/http.py", "api"},
    "tomlkit": {"core/config_file.py"},
    "tree_sitter": {"rag/formats/code.py"},
    "prometheus_client": {"metrics/prometheus.py"},
    "uvicorn": {"core/serving.py"},
    "watchfiles": {"rag/changes.py"},
}

# Imports inside of functions, each with its reason.
DEFERRED = {
    "app/agents.py": "builds each room on first touch",
    "app/base.py": "builds each room on first touch",
    "app/documents.py": "builds each room on first touch",
    "app/governance.py": "builds each room on first touch",
    "app/models.py": "builds each room on first touch",
    "cli/answer.py": "Markdown is rendered on terminals alone, and few models think",
    "cli/chat.py": "a person is asked, or given lines to write, at terminals alone",
    "cli/console.py": "tables are drawn where there are any",
    "cli/approvals.py": "what redraws the screen is loaded when somebody watches",
    "cli/demo.py": "the demo's room is loaded when the demo runs",
    "cli/doctor.py": "the checks are loaded when the doctor runs",
    "cli/metrics.py": "what redraws the screen is loaded when somebody watches",
    "cli/serve.py": "the server is loaded when it serves",
    "cli/main.py": "the version is read when it is asked for",
    "core/db.py": "the migrations are loaded when the schema is old",
    "core/secrets.py": "a keyring or a vault is loaded by homes that use it",
    "notify/channels.py": "Apprise is an extra, loaded where it is used",
    "rag/store.py": "the client is loaded where a server holds the collection",
    "rag/index.py": "one of two Qdrant engines is loaded, the one that is there",
}


def _name(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def _imported(tree: ast.AST) -> set[str]:
    """The modules that the import statements of a tree name."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def _functions(file: Path) -> Iterator[ast.AST]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def _unmeasured() -> dict[str, str]:
    # Measuring coverage in the subprocess would load libraries of its own.
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}


def _loaded(*arguments: str, home: Path) -> set[str]:
    """The modules that a command has loaded when it ends well."""
    script = (
        "import sys\n"
        "from localai.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as done:\n"
        "    assert not done.code, done.code\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**_unmeasured(), "LOCALAI_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ended.stderr.split())


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after `ai init`."""
    home = tmp_path_factory.mktemp("house") / "home"
    environment = {**os.environ, "LOCALAI_HOME": str(home)}
    subprocess.run([BIN / "ai", "init"], env=environment, check=True, capture_output=True)
    return home


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_loads_nothing_heavy(option: str, tmp_path: Path) -> None:
    """No database, no engine, no keyring: and no home is made."""
    loaded = _loaded(option, home=tmp_path / "home")
    assert "localai.cli.main" in loaded
    assert loaded & (HEAVY | HEAVIER_THAN_HELP) == set()
    assert not (tmp_path / "home").exists()


def test_help_of_the_root_loads_no_nouns_file(tmp_path: Path) -> None:
    """Each costs what it imports, and the list of them is written in one place."""
    loaded = _loaded("--help", home=tmp_path / "home")
    assert {"localai.cli.chat", "localai.cli.rag", "rich.markdown"} & loaded == set()


def test_the_root_helps_with_each_nouns_own_words() -> None:
    """The list in main.py is a copy, and stays one."""
    own = {noun: get_command(import_module(f"localai.cli.{noun}").app).help for noun in NOUNS}
    assert dict(NOUNS) == {noun: (text or "").splitlines()[0] for noun, text in own.items()}


@pytest.mark.parametrize("noun", ["audit", "approvals", "sessions"])
def test_a_list_loads_the_database_and_nothing_heavier(noun: str, initialised: Path) -> None:
    """SQLAlchemy's Core, without its ORM, and no library of another room."""
    loaded = _loaded(noun, "list", home=initialised)
    assert "sqlalchemy" in loaded
    assert loaded & HEAVY == set()


def test_a_room_that_tells_people_loads_nothing_that_sends(initialised: Path) -> None:
    """A decision writes a row; whoever sends it pays for mail, templates and the web."""
    mail = ("--set", "notify.smtp.host=127.0.0.1", "--set", "notify.smtp.to=you@example.org")
    loaded = _loaded(*mail, "approvals", "list", home=initialised)
    assert "localai.notify.announcer" in loaded
    assert loaded & (HEAVY | {"smtplib", "localai.notify.outbox", "localai.core.web"}) == set()


def test_a_list_does_not_load_pydantic(initialised: Path) -> None:
    """Typer would load it, for a quarter of the whole start, to read one number."""
    assert "pydantic" not in _loaded("approvals", "list", home=initialised)


def test_an_answer_in_a_pipe_loads_neither_pydantic_nor_rich(initialised: Path) -> None:
    """Neither does anything for it, and each costs as much as reading a short question."""
    loaded = _loaded("chat", "--temperature", "0", "--max-tokens", "1", "hi", home=initialised)
    assert loaded & {"pydantic", "rich", "pynvml"} == set()


def test_an_answer_without_tools_loads_none(initialised: Path) -> None:
    """Nor what asks about their calls, nor what looks things up in documents."""
    loaded = _loaded("chat", "--no-tools", "--max-tokens", "1", "hi", home=initialised)
    rooms = ("agent.builtin", "agent.runner", "agent.grounding", "approvals.service", "rag.records")
    assert "localai.agent.loop" in loaded
    assert loaded & {f"localai.{room}" for room in rooms} == set()


def test_what_was_loaded_is_not_looked_through_for_garbage_at_the_end(initialised: Path) -> None:
    """It costs more than a list does, and the system takes everything back anyway."""
    script = (
        "import atexit, gc\n"
        "def told() -> None:\n"
        "    print(gc.get_freeze_count(), len(gc.get_objects()))\n"
        "atexit.register(told)\n"  # what is registered first is called last
        "from localai.cli.main import main\n"
        "main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script, "approvals", "list"],
        env={**_unmeasured(), "LOCALAI_HOME": str(initialised)},
        capture_output=True,
        text=True,
        check=True,
    )
    *_, kept, looked_through = ended.stdout.split()
    assert int(looked_through) < int(kept) / 100


@pytest.mark.parametrize("library", WRAPPED)
def test_each_library_has_one_file_that_imports_it(library: str) -> None:
    """Replacing the library rewrites that file only."""
    importing = set()
    for file in SOURCES:
        modules = _imported(ast.parse(file.read_text(encoding="utf-8")))
        if library in {module.split(".")[0] for module in modules}:
            room = _name(file).partition("/")[0]
            importing.add(room if room in WRAPPED[library] else _name(file))
    assert importing == WRAPPED[library]


def test_our_own_rooms_are_imported_at_the_top_except_where_it_is_explained() -> None:
    """A deferred import hides who needs whom."""
    deferring = set()
    for file in SOURCES:
        modules = set().union(*(_imported(function) for function in _functions(file)))
        if any(module.split(".")[0] == "localai" for module in modules):
            deferring.add(_name(file))
    assert deferring == DEFERRED.keys()


def test_imports_point_down() -> None:
    """The import-linter contract of pyproject.toml is kept."""
    ended = subprocess.run(
        [BIN / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
    assert "1 kept, 0 broken" in ended.stdout
