"""Trains the starter: `python training/starter/train.py --out DIR`; run it again to resume.

Muon (Jordan et al., 2024) on the matrices, AdamW on the rest; the loss counts what the assistant
says and nothing else. A checkpoint is written every five minutes.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Two threads beside a busy core would otherwise spin more than they work.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import tokens
import torch
from items import PHRASE, Course
from model import Shape, Starter
from probe import Probe
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

CHECKPOINT_S = 300
LENGTHS = (64, 96, 128, 160, 192, 256, 320, 384, 448, 512, 640, 768)
_WARM_UP = 40
_FLAT = 0.35
_SHORT = 2e6  # so many tokens of short conversations come first
_AHEAD = 0.1  # at 1 it crowded out the rest: no argument of a call began right after 2.4 M tokens


@dataclass(frozen=True)
class Batch:
    """Token ids [batch, length], and flat places in them.

    `places` are where the assistant speaks, `targets` what, `weights` how much it counts. `ends`
    are where something has a topic, `topics` which, `answers` whether it is the answer: NaN for a
    question.
    """

    ids: Tensor
    places: Tensor
    targets: Tensor
    weights: Tensor
    ends: Tensor
    topics: Tensor
    answers: Tensor


class Batches:
    """Conversations in batches of one length each, always the same number of rows for a length."""

    def __init__(self, tokenizer: Tokenizer, seed: int, size: int) -> None:
        self._tokenizer = tokenizer
        self._rows = {length: max(1, size // length) for length in LENGTHS}
        self._course = Course(seed)
        self._waiting: dict[int, list[tokens.Example]] = {n: [] for n in LENGTHS}
        self._pad = tokenizer.token_to_id(tokens.END)

    def next(self, *, is_short: bool) -> Batch:
        """The next batch, of short conversations or of all."""
        while True:
            example = tokens.encode(self._tokenizer, self._course.next(is_short=is_short))
            if example is None:
                continue
            length = next((n for n in LENGTHS if n >= len(example.ids) - 1), None)
            if length is None:
                continue
            rows = self._waiting[length]
            rows.append(example)
            if len(rows) == self._rows[length]:
                self._waiting[length] = []
                return self._batch(rows, length)

    def state(self) -> tuple[object, object]:
        """What it takes to go on from here."""
        return self._course.rng.getstate(), self._waiting

    def resume(self, state: tuple[Any, Any]) -> None:
        """Go on from there."""
        self._course.rng.setstate(state[0])
        self._waiting = state[1]

    def _batch(self, rows: list[tokens.Example], length: int) -> Batch:
        ids = torch.full((len(rows), length), self._pad)
        places, targets, weights = [], [], []
        ends, topics, answers = [], [], []
        for n, row in enumerate(rows):
            ids[n, : len(row.ids) - 1] = torch.tensor(row.ids[:-1])
            spoken = [at for at in range(1, len(row.ids)) if row.weights[at]]
            weights += [row.weights[at] for at in spoken]
            places += [n * length + at - 1 for at in spoken]
            targets += [row.ids[at] for at in spoken]
            ends += [n * length + at for at, _, _ in row.judged]
            topics += [topic for _, topic, _ in row.judged]
            answers += [answer for _, _, answer in row.judged]
        return Batch(
            ids,
            torch.tensor(places),
            torch.tensor(targets),
            torch.tensor(weights),
            torch.tensor(ends, dtype=torch.long),
            torch.tensor(topics, dtype=torch.long),
            torch.tensor(answers),
        )


class Optimisers:
    """Muon for the matrices inside the layers, AdamW for embedding, norms and taps."""

    def __init__(self, model: Starter, rate: float) -> None:
        muon, embedding, small = [], [], []
        for name, weight in model.named_parameters():
            if name == "embedding.weight":
                embedding.append(weight)
            elif weight.ndim == 2 and not name.endswith("conv") and not name.startswith("judge"):
                muon.append(weight)
            else:
                small.append(weight)
        adam = [{"params": embedding, "lr": 0.6 * rate}, {"params": small, "lr": 0.2 * rate}]
        self.all = (
            torch.optim.Muon(muon, lr=rate, momentum=0.95, weight_decay=0.01),
            torch.optim.AdamW(adam, betas=(0.9, 0.95), weight_decay=0.0),
        )
        self._rates = [[group["lr"] for group in each.param_groups] for each in self.all]

    def step(self, factor: float) -> None:
        """One step at that share of the full rates."""
        for each, rates in zip(self.all, self._rates, strict=True):
            for group, rate in zip(each.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            each.step()
            each.zero_grad(set_to_none=True)


def schedule(progress: float, step: int) -> float:
    """The share of the full learning rate: a ramp, a plateau, and down in a straight line."""
    if step < _WARM_UP:
        return (step + 1) / _WARM_UP
    return min(1.0, (1 - progress) / (1 - _FLAT)) * 0.98 + 0.02


class Training:
    """A model on its way: all that a checkpoint holds."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._device = torch.device(options.device)
        torch.set_num_threads(options.threads)
        torch.manual_seed(options.seed)
        self.tokenizer = _tokenizer(options.out / "tokenizer.json", options.seed)
        shape = Shape(
            self.tokenizer.get_vocab_size(),
            layout=options.layout,
            ffn=options.ffn,
            topics=len(PHRASE.topics),
        )
        self.model = Starter(shape).to(self._device)
        self._optimisers = Optimisers(self.model, options.rate)
        self._batches = Batches(self.tokenizer, options.seed + 1, options.batch)
        self._checkpoint = options.out / "checkpoint.pt"
        self.seen, self.steps, self.seconds = 0, 0, 0.0
        if self._checkpoint.exists():
            self._resume(torch.load(self._checkpoint, weights_only=False))

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return self.seen / self._options.tokens

    def step(self) -> float:
        """Learn from one batch; its loss."""
        started = time.monotonic()
        batch = self._batches.next(is_short=self.seen < _SHORT)
        device = self._device
        with torch.autocast(device.type, dtype=torch.bfloat16):
            hidden, ahead = self.model(batch.ids.to(device))
            scores = self.model.logits(hidden.flatten(0, 1)[batch.places.to(device)])
            judged = self.model.judgements(ahead.flatten(0, 1)[batch.ends.to(device)])
        weights = batch.weights.to(device)
        each = functional.cross_entropy(scores.float(), batch.targets.to(device), reduction="none")
        loss = (each * weights).sum() / weights.sum()
        if len(batch.ends):
            loss = loss + _AHEAD * self._judged(judged.float(), batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimisers.step(schedule(self.progress, self.steps))
        self.seen += batch.ids.numel()
        self.steps += 1
        self.seconds += time.monotonic() - started
        return float(loss.item())

    def _judged(self, scores: Tensor, batch: Batch) -> Tensor:
        """What the layers below the last one should know, for it to choose among the sentences."""
        topics, answers = batch.topics.to(self._device), batch.answers.to(self._device)
        is_sentence = ~answers.isnan()
        return functional.cross_entropy(
            scores[:, :-1], topics
        ) + functional.binary_cross_entropy_with_logits(
            scores[is_sentence, -1], answers[is_sentence]
        )

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        kept = {
            "shape": self.model.shape.asdict(),
            "model": self.model.state_dict(),
            "optimisers": [each.state_dict() for each in self._optimisers.all],
            "batches": self._batches.state(),
            "spent": (self.seen, self.steps, self.seconds),
        }
        scratch = self._checkpoint.with_suffix(".part")
        torch.save(kept, scratch)
        scratch.replace(self._checkpoint)

    def _resume(self, kept: dict[str, Any]) -> None:
        self.model.load_state_dict(kept["model"])
        for each, state in zip(self._optimisers.all, kept["optimisers"], strict=True):
            each.load_state_dict(state)
        self._batches.resume(kept["batches"])
        self.seen, self.steps, self.seconds = kept["spent"]


def main() -> None:
    """Train, or go on."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    training = Training(options)
    probe = Probe(training.tokenizer, torch.device(options.device))
    saved = told = time.monotonic()
    losses: list[float] = []
    while training.progress < 1:
        losses.append(training.step())
        if time.monotonic() - told > options.report or training.progress >= 1:
            shown: dict[str, float] = {
                "minutes": round(training.seconds / 60, 1),
                "steps": training.steps,
                "Mtokens": round(training.seen / 1e6, 2),
                "loss": round(sum(losses) / len(losses), 4),
            }
            print(json.dumps(shown | probe.run(training.model)), flush=True)
            losses.clear()
            told = time.monotonic()
        if time.monotonic() - saved > CHECKPOINT_S:
            training.save()
            saved = time.monotonic()
    training.save()


def _tokenizer(file: Path, seed: int) -> Tokenizer:
    if not file.exists():
        tokens.train(seed).save(str(file))
    return Tokenizer.from_file(str(file))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="tokenizer and checkpoint go here")
    parser.add_argument("--tokens", type=float, default=26e6, help="how many to train on")
    parser.add_argument("--batch", type=int, default=4096, help="tokens a step, padding included")
    parser.add_argument("--rate", type=float, default=0.005, help="Muon's learning rate")
    parser.add_argument("--layout", default="cacaca", help="a letter a layer: c or a")
    parser.add_argument("--ffn", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--report", type=float, default=240, help="seconds between reports")
    return parser.parse_args()


if __name__ == "__main__":
    main()
