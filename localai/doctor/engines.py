"""Checks of the engines: a model generates, documents are found; all in a scratch home."""

import tempfile
from pathlib import Path

from localai.app import App
from localai.core import settings as keys
from localai.core.counters import counted
from localai.core.files import private_dir
from localai.core.metrics import FAILOVERS
from localai.doctor.report import Check, failed, ok, warning
from localai.infer import hardware, llamacpp
from localai.infer.engine import Message, Sampling
from localai.infer.library import STARTER

PROBE = Path(__file__).with_name("probe.gguf")
_REPLY = "ready"
_FACT = "The kettle in the blue kitchen is repaired by Sumin every second Tuesday."
_OTHER = "Trains to the coast leave from platform nine in the morning."


def engine(_: App) -> Check:
    """llama.cpp loads a model and computes the answer that its weights spell."""
    model = llamacpp.load(PROBE, context=256, gpu_layers=0)
    try:
        greedy = Sampling(temperature=0, max_tokens=16)
        deltas = model.stream([Message("user", "Are you there?")], sampling=greedy)
        text = "".join(delta.text for delta in deltas).strip()
    finally:
        model.close()
    if text != _REPLY:
        message = f"the probe model answers {text!r} instead of {_REPLY!r}"
        return failed("engine", message, f"pip install --force-reinstall {llamacpp.REQUIREMENT}")
    return ok("engine", "llama.cpp loads a model and generates what its weights say")


def gpu(_: App) -> Check:
    """A graphics card that is there is used: never a silent fall-back to the processor."""
    card = hardware.gpu_present()
    if card is None:
        return ok("gpu", "no graphics card found; models run on the processor")
    if not llamacpp.gpu_offload_supported():
        message = f"{card} is here, but this llama.cpp was built for the processor alone"
        return warning("gpu", message, hardware.gpu_install_command())
    room = [
        f"{each.free_bytes / 1e9:.1f} of {each.total_bytes / 1e9:.1f} GB free"
        for each in llamacpp.cards()
    ]
    return ok("gpu", f"{card}, and llama.cpp can use it: {'; '.join(room)}")


def server(app: App) -> Check:
    """The inference server, where one is to answer, has the models that were chosen."""
    if app.server is None:
        return ok("server", "none is configured; models run in this process")
    names = app.server.models()
    chosen = filter(None, (app.settings[keys.MODELS_CHAT], app.settings[keys.MODELS_CODE]))
    if lost := [name for name in chosen if name not in names]:
        message = f"{app.server.url} has no model {lost[0]}; it has {', '.join(names)}"
        return failed("server", message, "ai models use NAME")
    if app.server.is_overheard:
        message = f"{app.server.url} is not encrypted: others on the way can read what is said"
        return warning("server", message, "an https address, or a server on this machine")
    return ok("server", f"{app.server.url} answers, with {', '.join(names)}")


def qdrant(app: App) -> Check:
    """The Qdrant server, where one is to hold what is indexed, can search as we do."""
    if not app.settings[keys.RAG_QDRANT_URL]:
        return ok("qdrant", "no server is configured; documents are indexed in this process")
    told = f"{app.qdrant.url} runs Qdrant {app.qdrant.check()}"
    if app.qdrant.is_overheard:
        message = f"{told}, and is not encrypted: others on the way can read your documents"
        return warning("qdrant", message, "an https address, or a server on this machine")
    return ok("qdrant", told)


def models(app: App) -> Check:
    """A chat model is there, and its file too."""
    found = app.models.page(app.actor).items
    if [model.name for model in found] == [STARTER] and app.server is None:
        return warning("models", "only the starter, a tiny model", "ai models pull NAME")
    lost = [model.name for model in found if not Path(model.file).exists()]
    if lost:
        return failed("models", f"the file is gone: {', '.join(lost)}", f"ai models rm {lost[0]}")
    told = ", ".join(model.name for model in found)
    for labels, times in counted(app.database, FAILOVERS):
        told += f"; {labels['model']} did not answer, and another one did: {times}"
    return ok("models", told)


def documents(app: App) -> Check:
    """Text is embedded, indexed in Qdrant and found again."""
    with tempfile.TemporaryDirectory(prefix="localai-doctor-") as scratch:
        folder = Path(scratch)
        (folder / "kettle.txt").write_text(_FACT, encoding="utf-8")
        (folder / "trains.txt").write_text(_OTHER, encoding="utf-8")
        chosen = app.settings.show(keys.RAG_MODEL.name).value
        # A server is looked at by a check of its own: nothing of this one stays anywhere.
        flags = {keys.RAG_MODEL.name: chosen, keys.RAG_QDRANT_URL.name: ""}
        inner = App(folder / "home", flags=flags)
        private_dir(inner.embeddings_dir.parent)
        inner.embeddings_dir.symlink_to(app.embeddings_dir)  # what is here need not come again
        try:
            inner.rag.index(inner.actor, [folder / "kettle.txt", folder / "trains.txt"])
            found = inner.rag.query(inner.actor, "Who repairs the kettle?", k=1)
            engine_name = inner.rag.engine
        finally:
            inner.close()
    if not found.passages or found.passages[0].source != "kettle.txt":
        return failed("documents", "an indexed sentence was not found", "ai config get rag.model")
    return ok("documents", f"{found.model} and {engine_name} index and find")
