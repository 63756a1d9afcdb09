"""The graphics cards that NVIDIA's driver knows, asked through its management library."""

import pynvml

from localai.infer.fit import Card


def cards() -> tuple[Card, ...]:
    """All cards and what is free on them, whoever may use them; none without the driver.

    A llama.cpp that was built for them knows better which of them it uses.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_card(number) for number in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:  # a driver that is being replaced, or a card that fell off its bus
        return ()
    finally:
        pynvml.nvmlShutdown()


def loads() -> tuple[tuple[str, float, float | None], ...]:
    """Of each card its name, and the shares of its memory and of its time that are in use.

    Some cards do not tell how busy they are: None.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_load(number) for number in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _load(number: int) -> tuple[str, float, float | None]:
    card, device = _card(number), pynvml.nvmlDeviceGetHandleByIndex(number)
    try:
        busy = pynvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
    except pynvml.NVMLError:
        busy = None
    return card.name, 1 - card.free_bytes / card.total_bytes, busy


def _card(number: int) -> Card:
    device = pynvml.nvmlDeviceGetHandleByIndex(number)
    memory = pynvml.nvmlDeviceGetMemoryInfo(device)
    return Card(str(pynvml.nvmlDeviceGetName(device)), int(memory.total), int(memory.free))
