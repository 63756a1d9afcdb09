"""What this machine offers an engine: physical cores and a graphics card.

Standard library only, so that a check costs nothing.
"""

import os
import platform
import subprocess
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def physical_cores(cpus: Path = _CPUS) -> int:
    """Physical cores this process may use; a second thread on one core only slows decoding."""
    if platform.system() == "Darwin":
        return _sysctl("hw.perflevel0.physicalcpu") or _sysctl("hw.physicalcpu") or 1
    allowed = os.sched_getaffinity(0)
    cores = {_read(cpus / f"cpu{n}/topology/thread_siblings_list") or str(n) for n in allowed}
    return max(1, min(len(cores), _quota() or len(cores)))


def gpu_present(nvidia: Path = _NVIDIA) -> str | None:
    """The graphics card that an engine built for it could use, or None."""
    if platform.system() == "Darwin":
        return "Apple Metal" if platform.machine() == "arm64" else None
    for card in sorted(nvidia.glob("*/information")):
        lines = dict(line.partition(":")[::2] for line in _read(card).splitlines())
        return lines.get("Model", "NVIDIA").strip()
    # WSL shows its card through /dev/dxg, AMD's compute driver through /dev/kfd.
    if Path("/dev/dxg").exists() and Path("/usr/lib/wsl/lib/nvidia-smi").exists():
        return "NVIDIA through WSL"
    return "AMD" if Path("/dev/kfd").exists() else None


def _quota(limit: Path = Path("/sys/fs/cgroup/cpu.max")) -> int | None:
    """Whole processors that the container may use, rounded up; None without a limit."""
    quota, _, period = _read(limit).partition(" ")
    return -(-int(quota) // int(period)) if quota.isdigit() and period.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _sysctl(key: str) -> int:
    answer = subprocess.run(
        ["/usr/sbin/sysctl", "-n", key], capture_output=True, text=True, check=False
    )
    return int(answer.stdout) if answer.stdout.strip().isdigit() else 0
