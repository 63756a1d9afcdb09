"""What is approved is what runs: no changed action claims the grant of another."""

import copy
import os
import random
from typing import Any

import pytest
from approvals_home import Home, action

from localai.approvals import rows
from localai.approvals.action import Action, Facts, FileFact, Program

COUNT = 100_000 if os.environ.get("PROVE") == "1" else 3_000
APPROVED = action(
    arguments={
        "argv": ["git", "log", "--oneline", "-n", "5"],
        "path": "notes/a.md",
        "content": "first line\nsecond line\n",
        "deep": {"list": [1, 2, 3], "flag": True, "none": None, "ratio": 0.5},
    },
    facts=Facts(
        Program("/usr/bin/git", "2049", "1234567", "ab" * 32),
        "cd" * 32,
        (FileFact("/work/notes/a.md", True, "2049", "99", 23, "ef" * 32),),
    ),
)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key in value for leaf in _leaves(value[key], (*path, key))] or [path]
    if isinstance(value, list):
        inner = [leaf for n, each in enumerate(value) for leaf in _leaves(each, (*path, n))]
        return inner or [path]
    return [path]


def _changed(value: Any, dice: random.Random) -> Any:
    """Another value, as close to this one as an attacker would choose it."""
    if isinstance(value, str) and value:
        at = dice.randrange(len(value))
        new = dice.choice(
            [
                chr((ord(value[at]) + dice.choice((1, -1, 32))) % 0xD800),
                value[at] + value[at],
                value[at] + "\u200b",
                "",
                value[at].swapcase() + " ",
            ]
        )
        return value[:at] + new + value[at + 1 :]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return dice.choice([value + 1, -value - 1, str(value), value + 0.25])
    return dice.choice([[], {}, "", 0, False])


def _mutant(dice: random.Random) -> Action:
    whole: dict[str, Any] = copy.deepcopy(dict(APPROVED.arguments))
    kind = dice.random()
    if kind < 0.6:
        path = dice.choice(_leaves(whole))
        place: Any = whole
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = _changed(place[path[-1]], dice)
    elif kind < 0.7:
        whole["argv"].insert(dice.randrange(6), dice.choice(["", "-c", "--exec=sh", "push"]))
    elif kind < 0.8:
        whole[dice.choice(["Path", "path ", "pаth", "cwd", "\u202epath"])] = "x"
    elif kind < 0.9:
        del whole[dice.choice(list(whole))]
    else:
        field = dice.choice(["tool", "tool_schema_sha256", "cwd", "sandbox"])
        return action(
            **{**_fields(whole), field: _changed(getattr(APPROVED, field), dice)},
        )
    return action(**_fields(whole))


def _fields(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"arguments": arguments, "facts": APPROVED.facts}


@pytest.mark.counted
def test_no_mutated_action_claims_the_grant(home: Home) -> None:
    """The statement that claims is tried with every one of them, and changes no row."""
    approved = home.approve(home.open(arguments=APPROVED.arguments, facts=APPROVED.facts))
    assert approved.action_sha256 == APPROVED.sha256
    dice = random.Random(20_261_121)
    values = {"lease": "x 1 1", "at": home.clock.now_us(), "to_state": "executing"}
    values |= {"of_id": approved.id, "of_version": 2, **rows.clocks(home.clock)}
    claimed = equal = 0
    with home.database.transaction() as connection:
        for _ in range(COUNT):
            mutant = _mutant(dice)
            if mutant == APPROVED:
                equal += 1
                continue
            seen = mutant.sha256
            claimed += connection.execute(rows.CLAIM, {**values, "seen": seen}).rowcount
    assert claimed == 0
    assert equal < COUNT // 100
    assert home.approvals.claim(home.operator, approved.id, APPROVED).action == APPROVED
