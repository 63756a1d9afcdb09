"""Cores and cards."""

import os
import subprocess
from pathlib import Path

import pytest

from localai.infer import hardware


def _cpus(folder: Path, siblings: dict[int, str]) -> Path:
    for cpu, shared in siblings.items():
        (folder / f"cpu{cpu}/topology").mkdir(parents=True)
        (folder / f"cpu{cpu}/topology/thread_siblings_list").write_text(f"{shared}\n")
    return folder


@pytest.fixture
def linux(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four logical processors, no limit."""
    monkeypatch.setattr(hardware.platform, "system", lambda: "Linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(hardware, "_CPU_LIMIT", Path("/nonexistent"))


@pytest.mark.usefixtures("linux")
def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    """A second thread on a core only slows decoding."""
    cpus = _cpus(tmp_path, {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"})
    assert hardware.physical_cores(cpus) == 2


@pytest.mark.usefixtures("linux")
def test_without_a_topology_every_processor_is_a_core(tmp_path: Path) -> None:
    """Some containers hide it."""
    assert hardware.physical_cores(tmp_path) == 4


@pytest.mark.usefixtures("linux")
@pytest.mark.parametrize(("limit", "cores"), [("150000 100000", 2), ("max 100000", 4), ("", 4)])
def test_a_containers_share_is_the_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, cores: int
) -> None:
    """Rounded up; without a limit all cores count."""
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(hardware, "_CPU_LIMIT", tmp_path / "cpu.max")
    assert hardware.physical_cores(tmp_path) == cores


@pytest.mark.parametrize(("said", "cores"), [("8\n", 8), ("", 1)])
def test_a_mac_counts_its_fast_cores(
    monkeypatch: pytest.MonkeyPatch, said: str, cores: int
) -> None:
    """sysctl knows them; at least one core there is."""
    answer = subprocess.CompletedProcess([], 0, stdout=said)
    monkeypatch.setattr(hardware.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(hardware.subprocess, "run", lambda *_, **__: answer)
    assert hardware.physical_cores() == cores


def test_a_small_model_gets_one_thread() -> None:
    """Waiting for a second costs more than it brings."""
    assert hardware.useful_threads(4_000_000) == 1
    assert hardware.useful_threads(500_000_000) == hardware.physical_cores()


def test_an_nvidia_card_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its driver names it."""
    monkeypatch.setattr(hardware.platform, "system", lambda: "Linux")
    (tmp_path / "0000:01:00.0").mkdir()
    information = "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ: 1\n"
    (tmp_path / "0000:01:00.0/information").write_text(information)
    assert hardware.gpu_present(tmp_path) == "NVIDIA GeForce RTX 4090"


def test_other_drivers_are_known_by_their_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AMD's, and Windows' behind WSL."""
    monkeypatch.setattr(hardware.platform, "system", lambda: "Linux")
    monkeypatch.setattr(hardware, "_WSL_NVIDIA", (tmp_path / "dxg", tmp_path / "smi"))
    monkeypatch.setattr(hardware, "_AMD", tmp_path / "kfd")
    assert hardware.gpu_present(tmp_path) is None
    (tmp_path / "kfd").touch()
    assert hardware.gpu_present(tmp_path) == "AMD"
    (tmp_path / "dxg").touch()
    (tmp_path / "smi").touch()
    assert hardware.gpu_present(tmp_path) == "NVIDIA through WSL"


@pytest.mark.parametrize(("machine", "card"), [("arm64", "Apple Metal"), ("x86_64", None)])
def test_a_mac_has_metal(monkeypatch: pytest.MonkeyPatch, machine: str, card: str | None) -> None:
    """On Apple's own chips."""
    monkeypatch.setattr(hardware.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(hardware.platform, "machine", lambda: machine)
    assert hardware.gpu_present() == card


@pytest.mark.parametrize(
    ("card", "flag"),
    [("Apple Metal", "GGML_METAL"), ("AMD", "GGML_HIP"), ("NVIDIA T4", "GGML_CUDA")],
)
def test_the_command_builds_for_the_card(
    monkeypatch: pytest.MonkeyPatch, card: str, flag: str
) -> None:
    """The pinned version, built anew."""
    monkeypatch.setattr(hardware, "gpu_present", lambda: card)
    assert f'CMAKE_ARGS="-D{flag}=on" pip install' in hardware.gpu_install_command()
    assert hardware.REQUIREMENT in hardware.gpu_install_command()
