"""Models of this machine: how each fits it, and loading them so."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import psutil

from localai.core import log
from localai.infer import hardware, llamacpp
from localai.infer.fit import Card, Plan, Wish, plan
from localai.infer.library import Library, ModelInfo
from localai.infer.parking import Parking


@dataclass(frozen=True)
class Local:
    """The models of a library on this machine's processor and cards.

    `wish` is what the operator asked for; `threads` None takes one a core; `unused_cards` are those
    that this build of llama.cpp knows nothing of.
    """

    library: Library
    wish: Wish
    threads: int | None
    parking: Parking
    unused_cards: Callable[[], Sequence[Card]]

    def info(self, actor: object, name: str) -> ModelInfo:
        """A model in full, and how it would be loaded now."""
        found = self.library.info(actor, name)
        unused = () if llamacpp.gpu_offload_supported() else self.unused_cards()
        with_card = self._plan(actor, name, unused) if unused else None
        return replace(found, plan=self._plan(actor, name, llamacpp.cards()), with_card=with_card)

    def load(self, actor: object, name: str, warn: Callable[[str], None]) -> llamacpp.LlamaCpp:
        """The model, ready to answer; `warn` hears what falls short on this machine."""
        self.parking.trim()
        file = self.library.file(actor, name)
        for line in _unused_card():
            warn(line)
        fit = self._plan(actor, name, llamacpp.cards())
        if fit and not fit.in_memory.fits:
            needed, free = (size / 1e9 for size in (fit.in_memory.needed, fit.in_memory.free))
            warn(f"{name} needs {needed:.1f} GB of memory, {free:.1f} GB are free: it will be slow")
        asked = self.wish.gpu_layers
        engine = llamacpp.load(
            file,
            name=name,
            context=fit.context if fit else self.wish.context,
            threads=self.threads,
            gpu_layers=fit.gpu_layers if fit else -1 if asked is None else asked,
            kv_type=fit.kv_type if fit else self.wish.kv_type or "f16",
            flash_attention=fit.flash_attention if fit else self.wish.flash_attention,
            digest=partial(self.library.digest, actor, name),
            parking=self.parking,
            tell=warn,
        )
        layers = fit.gpu_layers if fit else None
        log.write("model.loaded", model=name, context=engine.context, gpu_layers=layers)
        return engine

    def _plan(self, actor: object, name: str, cards: Sequence[Card]) -> Plan | None:
        """How the model fits; None where its header does not say enough."""
        header = self.library.header(actor, name)
        if header.shape is None or not header.context:
            return None
        return plan(
            header.shape, self.wish, header.context, cards, int(psutil.virtual_memory().available)
        )


def _unused_card() -> tuple[str, ...]:
    """What to say, and how to mend it, where a card is there that this llama.cpp cannot use."""
    card = hardware.gpu_present()
    if card is None or llamacpp.gpu_offload_supported():
        return ()
    return (
        f"{card} is not used: this llama.cpp was built for the processor alone",
        f"hint: {hardware.gpu_install_command()}",
    )
