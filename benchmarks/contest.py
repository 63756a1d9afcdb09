"""Contestants that take turns in one run: a slow minute slows all of them."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Measure = Callable[[], float]


@dataclass(frozen=True)
class Target:
    """`ours` must reach `share` of `theirs`; where `is_limit`, it must not exceed it."""

    ours: str
    theirs: str
    share: float
    is_limit: bool = False


def held(turns: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """What each contestant reached, round by round; the first warms caches and is not counted."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name in sorted(turns, reverse=bool(number % 2)):
            figure = turns[name]()
            if number:
                found[name].append(figure)
    return found


def report(unit: str, found: Mapping[str, list[float]], targets: Sequence[Target]) -> bool:
    """Print medians and ratios; whether every target is met."""
    print(f"\n{'contestant':<28}{f'median {unit}':>16}{'min':>10}{'max':>10}")
    for name, figures in found.items():
        median = statistics.median(figures)
        print(f"{name:<28}{median:>16.2f}{min(figures):>10.2f}{max(figures):>10.2f}")
    met = True
    print(f"\n{'median ratio of the rounds':<48}{'found':>8}{'target':>10}")
    for target in targets:
        # Round by round: what else the machine does moves both contestants of a round alike.
        pairs = zip(found[target.ours], found[target.theirs], strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        is_met = ratio <= target.share if target.is_limit else ratio >= target.share
        met = met and is_met
        wanted = f"{'<=' if target.is_limit else '>='} {target.share:.2f}"
        missed = "" if is_met else "  missed"
        print(f"{f'{target.ours} / {target.theirs}':<48}{ratio:>8.3f}{wanted:>10}{missed}")
    return met
