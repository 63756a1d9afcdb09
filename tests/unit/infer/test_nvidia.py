"""NVIDIA's driver, which most machines that run these tests do not have."""

import pynvml
import pytest

from localai.infer import hardware, nvidia


def test_without_the_driver_there_are_no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is asked, and not being there is an answer."""
    found = nvidia.cards()
    assert (found == ()) == (hardware.gpu_present() is None)
    assert all(0 < card.free_bytes <= card.total_bytes for card in found)
    loads = nvidia.loads()
    assert [name for name, _, _ in loads] == [card.name for card in found]
    assert all(0 <= memory <= 1 and (busy is None or 0 <= busy <= 1) for _, memory, busy in loads)

    def fail() -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)

    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", fail)
    assert nvidia.cards() == nvidia.loads() == ()
