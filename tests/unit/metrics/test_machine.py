"""What the machine has left."""

from pathlib import Path

import psutil
import pytest

from localai.metrics.machine import Machine


def test_shares_are_those_of_this_machine(tmp_path: Path) -> None:
    """Of the disk on which the folder will lie, even where it is not there yet."""
    machine = Machine(tmp_path / "not" / "yet", lambda: ())
    for _ in range(2):
        found = {each.labels[0]: each.value for each in machine.readings()}
        assert found.keys() == {"cpu", "memory", "disk"}
        assert all(0 <= share <= 1 for share in found.values() if isinstance(share, float))
    disk = psutil.disk_usage(str(tmp_path)).percent / 100
    assert found["disk"] == pytest.approx(disk, abs=0.05)


def test_cards_are_told_apart(tmp_path: Path) -> None:
    """Two of one make are two series; what a card does not tell is not made up."""
    cards = [("RTX 3060", 0.9, 0.5), ("RTX 3060", 0.1, None)]
    found = {
        (each.metric.name, *each.labels): each.value
        for each in Machine(tmp_path, lambda: cards).readings()
        if "gpu" in each.metric.name
    }
    assert found == {
        ("localai_gpu_memory_used_ratio", "0 RTX 3060"): 0.9,
        ("localai_gpu_utilization_ratio", "0 RTX 3060"): 0.5,
        ("localai_gpu_memory_used_ratio", "1 RTX 3060"): 0.1,
    }
