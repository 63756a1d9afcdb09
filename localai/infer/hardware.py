"""What this machine offers an engine: physical cores and a graphics card.

Standard library only, so that a check costs nothing.
"""

import os
import platform
import subprocess
from pathlib import Path

REQUIREMENT = "llama-cpp-python==0.3.36"
_SMALL = 50_000_000
_CPUS = Path("/sys/devices/system/cpu")
_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")
_NVIDIA = Path("/proc/driver/nvidia/gpus")
_WSL_NVIDIA = (Path("/dev/dxg"), Path("/usr/lib/wsl/lib/nvidia-smi"))
_AMD = Path("/dev/kfd")


def physical_cores(cpus: Path = _CPUS) -> int:
    """Physical cores this process may use; a second thread on one core only slows decoding."""
    if platform.system() == "Darwin":
        return _sysctl("hw.perflevel0.physicalcpu") or _sysctl("hw.physicalcpu") or 1
    allowed = os.sched_getaffinity(0)
    cores = {_read(cpus / f"cpu{n}/topology/thread_siblings_list") or str(n) for n in allowed}
    return max(1, min(len(cores), _quota() or len(cores)))


def useful_threads(parameters: int) -> int:
    """Threads for a model; in a small one, waiting for a second costs more than it brings."""
    return physical_cores() if parameters >= _SMALL else 1


def gpu_present(nvidia: Path = _NVIDIA) -> str | None:
    """The graphics card that an engine built for it could use, or None."""
    if platform.system() == "Darwin":
        return "Apple Metal" if platform.machine() == "arm64" else None
    for card in sorted(nvidia.glob("*/information")):
        lines = dict(line.partition(":")[::2] for line in _read(card).splitlines())
        return lines.get("Model", "NVIDIA").strip()
    if all(path.exists() for path in _WSL_NVIDIA):
        return "NVIDIA through WSL"
    return "AMD" if _AMD.exists() else None


def gpu_install_command() -> str:
    """What to type for a llama.cpp that uses this machine's card."""
    card = gpu_present() or ""
    flag = {"Apple Metal": "GGML_METAL", "AMD": "GGML_HIP"}.get(card, "GGML_CUDA")
    install = f"pip install --force-reinstall --no-deps --no-cache-dir {REQUIREMENT}"
    return f'CMAKE_ARGS="-D{flag}=on" {install}'


def _quota() -> int | None:
    """Whole processors that the container may use, rounded up; None without a limit."""
    quota, _, period = _read(_CPU_LIMIT).partition(" ")
    return -(-int(quota) // int(period)) if quota.isdigit() and period.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _sysctl(key: str) -> int:
    command = ["/usr/sbin/sysctl", "-n", key]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return int(answer.stdout) if answer.stdout.strip().isdigit() else 0
