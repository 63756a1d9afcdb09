"""Small jobs from request to commit: the real engine, loop, approvals, sandbox and audit.

Each transcript is compared with the one that is checked in; UPDATE_GOLDEN=1 writes them anew.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import jobs
import pytest
from jobs import Job, Play
from transcripts import Transcript

from localai.agent.sandbox.process import Limits
from localai.agent.sandbox.tiers import Sandbox
from localai.app import App

JOBS = jobs.jobs()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home made once."""
    home = tmp_path_factory.mktemp("made") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOGNAME", jobs.WHO)
        app = App(home)
        app.initialise()
        app.close()
    return home


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mina's own home and environment; nothing of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "LC_", "XDG_"))]:
        monkeypatch.delenv(name)
    for name, value in jobs.environment(tmp_path / "mina").items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def play(
    request: pytest.FixtureRequest, made: Path, person: None, tmp_path: Path
) -> Iterator[Play]:
    """A job's home, repository and model."""
    job: Job = request.param
    workspace = tmp_path / "repository"
    jobs.repository(workspace, job.data)
    app = App(jobs.copied(made, tmp_path / "home"), workspace=workspace)
    yield Play(job, app, Transcript(workspace, tmp_path / "mina"), models=tmp_path)
    app.close()


@pytest.mark.parametrize("play", JOBS, ids=lambda job: str(job.name), indirect=True)
def test_a_job_goes_as_its_transcript_says(play: Play) -> None:
    """And what must be true afterwards is; nothing runs any more, and the audit is whole."""
    assert play.app.sandbox.is_confined, "the jobs need bubblewrap or Landlock"
    play.run()
    _hold(play)
    if os.environ.get("UPDATE_GOLDEN") == "1":
        play.job.golden.write_text(play.transcript.text, encoding="utf-8")
    assert play.transcript.text == play.job.golden.read_text(encoding="utf-8")


@pytest.mark.prove
@pytest.mark.parametrize("play", JOBS, ids=lambda job: str(job.name), indirect=True)
def test_a_job_goes_the_same_way_without_bubblewrap(play: Play) -> None:
    """Where Landlock alone confines programs a person reads so, and all else is the same."""
    play.app.__dict__["sandbox"] = Sandbox(
        hidden=play.app.directories.all, limits=Limits(), tier="reduced"
    )
    assert play.app.sandbox.tier == "reduced"
    play.run()
    _hold(play)
    assert play.transcript.text == play.job.golden.read_text(encoding="utf-8")


def _hold(play: Play) -> None:
    """Check what the job says must be true."""
    after, workspace = play.after, play.app.workspace
    found = {
        "exit": play.exit,
        "requests": play.requests,
        "commits": play.commits,
        "absent": [name for name in after.get("absent", ()) if not (workspace / name).exists()],
        "files": {
            name: text
            for name, text in after.get("files", {}).items()
            if text in (workspace / name).read_text(encoding="utf-8")
        },
    }
    usual = {"exit": 0, "requests": [], "commits": ["Begin"], "absent": [], "files": {}}
    assert found == usual | {name: after[name] for name in after if name != "says"}
    assert after.get("says", "") in play.said
    assert jobs.running(workspace) == []
    assert play.app.audit.verify().is_whole


def test_every_transcript_belongs_to_a_job() -> None:
    """A job that is renamed takes its transcript along."""
    transcripts = {each.stem for each in jobs.FOLDER.glob("*.md")} - {"README"}
    assert transcripts == {job.name for job in JOBS}
