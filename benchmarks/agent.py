"""What one call of a tool costs through everything, against the bare program, in the same run.

The contestants run the same program, `true`, in turns that alternate, so that a slow minute slows
all of them:

    python benchmarks/agent.py [--rounds N]

The last ones are a whole call: role, rate, policy, the program's digest, sandbox and audit, each
decision with synchronous=FULL. Where bubblewrap does not work, the tier of this machine does.
Exits 1 where a limit is missed.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import perf_counter

from contest import held
from governance import Limit, sync_ms

from localai.agent.sandbox import bubblewrap
from localai.agent.sandbox.tiers import Command
from localai.app import App
from localai.approvals.gate import Gate
from localai.approvals.records import Approval, Reply
from localai.core.files import write_private
from localai.rbac.permissions import Actor

ROUNDS = 100
MOST_MS = 40
PROGRAM = "true"
ARGUMENTS = f'{{"argv": ["{PROGRAM}"]}}'
FLAGS = {"rate_limits.calls": "9999/1s"}
RULE = f"""
[[rule]]
name = "measured"
effect = "allow"
why = "it does nothing"
tools = ["run_command"]
arguments.argv = {{program = "{PROGRAM}"}}
match = [{{arguments = {{argv = ["{PROGRAM}"]}}}}]
no_match = [{{arguments = {{argv = ["ls"]}}}}]
"""
BARE, WRAPPED, SANDBOXED = "bare subprocess", "bubblewrap alone", "Sandbox.run"
ALLOWED, APPROVED = "a call that a rule allows", "a call that is approved"


def timed(run: Callable[[], object]) -> Callable[[], float]:
    """A measure of the milliseconds that it takes."""

    def measure() -> float:
        started = perf_counter()
        run()
        return (perf_counter() - started) * 1000

    return measure


def home(folder: Path, name: str) -> App:
    """A home with a workspace of its own."""
    workspace = folder / f"{name}-workspace"
    workspace.mkdir()
    app = App(folder / name, workspace=workspace, flags=FLAGS)
    app.initialise()
    return app


def contestants(allowing: App, asking: App) -> dict[str, Callable[[], float]]:
    """Each way to run the program; those that the machine lacks are left out."""
    program = os.path.realpath(shutil.which(PROGRAM) or f"/usr/bin/{PROGRAM}")
    known = {"PATH": "/usr/bin:/bin"}
    workspace = allowing.workspace
    command = Command(program, program, (PROGRAM,), str(workspace), known)
    sandbox = allowing.sandbox

    def bare() -> None:
        subprocess.run([program], cwd=workspace, env=known, capture_output=True, check=True)

    def sandboxed() -> None:
        assert sandbox.run(command, workspace, allowing.directories.all).is_ok

    turns = {BARE: timed(bare)}
    if sandbox.tier == "full":
        turns[WRAPPED] = timed(lambda: _wrapped(allowing, command))
    turns[SANDBOXED] = timed(sandboxed)
    agent = allowing.actor.agent("aaaa0001")
    turns[ALLOWED] = timed(lambda: _called(allowing, agent, allowing.gate(allowing.actor)))
    person = asking.gate(asking.actor, _yes)
    turns[APPROVED] = timed(lambda: _called(asking, asking.actor.agent("bbbb0001"), person))
    return turns


def _yes(_: Approval) -> Reply:
    return Reply(is_yes=True)


def _called(app: App, agent: Actor, gate: Gate) -> None:
    assert app.runner.run(agent, "run_command", ARGUMENTS, gate).result.ok


def _wrapped(app: App, command: Command) -> None:
    """What it takes with the very arguments that we give it, and nobody who watches."""
    ends = [*os.pipe(), *os.pipe(), *os.pipe()]
    rules, fills, hears, tells, waits, goes = ends
    os.write(fills, app.sandbox._rules(has_sockets=True))  # noqa: SLF001 - the same filter
    os.close(fills)
    os.write(goes, b"+")
    seen = app.sandbox.view(app.workspace, app.directories.all)
    options = bubblewrap.options(seen, command.cwd, rules=rules, told=tells, go=waits)
    words = [shutil.which("bwrap") or "bwrap", *options, "--", command.found]
    try:
        subprocess.run(
            words, env=command.environment, capture_output=True, check=True,
            pass_fds=(rules, tells, waits),
        )  # fmt: skip
    finally:
        for end in (rules, hears, tells, waits, goes):
            os.close(end)


def told(found: dict[str, list[float]], tier: str, syncs: list[float]) -> list[Limit]:
    """Print the table; the limits."""
    print(f"sandbox: {tier}; a sync takes {statistics.median(syncs):.2f} ms")
    print(f"\n{'milliseconds':28}{'median':>9}{'P95':>9}{'over bare':>11}")
    base = found[BARE]
    for name, took in found.items():
        p95 = statistics.quantiles(took, n=20)[-1]
        print(f"{name:28}{statistics.median(took):>9.1f}{p95:>9.1f}{_over(took, base):>11.1f}")
    if WRAPPED not in found:
        print(f"{WRAPPED:28} does not work here")
    return [Limit(f"{ALLOWED}, ms over bare", _over(found[ALLOWED], base), "<=", MOST_MS)]


def _over(took: list[float], base: list[float]) -> float:
    """The median of the rounds: what else the machine does moves both of a round alike."""
    return statistics.median(ours - bare for ours, bare in zip(took, base, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds: int = parser.parse_args().rounds
    # What a person has set is no part of it.
    for name in [name for name in os.environ if name.startswith("LOCALAI_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="localai-agent-") as scratch:
        folder = Path(scratch)
        with (
            closing(home(folder, "allowing")) as allowing,
            closing(home(folder, "asking")) as asking,
        ):
            policy = allowing.directories.config_file.with_name("policy.toml")
            write_private(policy, RULE.encode())
            syncs = [sync_ms(folder)]
            found = held(contestants(allowing, asking), rounds)
            syncs.append(sync_ms(folder))
            assert allowing.audit.verify().is_whole, "the chain of the audit is broken"
            limits = told(found, allowing.sandbox.tier, syncs)
    for each in limits:
        missed = "" if each.is_kept else "  missed"
        print(f"\n{each.what}: {each.found:.1f}, {each.sign} {each.bound:g}{missed}")
    return 0 if all(each.is_kept for each in limits) else 1


if __name__ == "__main__":
    sys.exit(main())
