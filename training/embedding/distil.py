"""Make the bundled embedding model: a static table that imitates all-MiniLM-L6-v2.

The teacher reads random bags of words from its own vocabulary, so no third-party text enters.
Everything is seeded; on one machine the same command writes the same bytes.
"""

import argparse
import hashlib
from pathlib import Path
from time import perf_counter

import numpy as np
import student
from teacher import Teacher

SEED = 1
BAGS = 60_000
WORDS = 10
PULL = 0.01
STEPS = 12
TINY = np.float32(1e-20)
COMPONENTS = 8
SIF = 5e-5
WIDTH = 192


def _kept(vocabulary: dict[str, int]) -> list[tuple[int, str]]:
    """Ids and tokens in the teacher's order of frequency, ASCII only, without [marks]."""
    ranked = sorted((i, token) for token, i in vocabulary.items())
    return [(i, t) for i, t in ranked if t.isascii() and not (t[0] == "[" and t[-1] == "]" != t)]


class _Bags:
    """Random bags over `size` words as the sparse matrix X of word shares, applied by gathers."""

    def __init__(self, size: int) -> None:
        # Halfway between uniform and Zipf's law: every word is met, frequent ones more often.
        shares = np.arange(1, size + 1) ** -0.5
        draw = np.random.default_rng(SEED)
        self.rows = draw.choice(size, (BAGS, WORDS), p=shares / shares.sum())
        flat = self.rows.ravel()
        self._order = np.argsort(flat, kind="stable") // WORDS
        self._present, self._starts = np.unique(np.sort(flat), return_index=True)
        self._size = size

    def of(self, table: np.ndarray) -> np.ndarray:
        """X @ table: the mean of each bag's rows."""
        return sum(table[column] for column in self.rows.T) / np.float32(WORDS)

    def back(self, means: np.ndarray) -> np.ndarray:
        """X.T @ means: what each bag owes to its words, summed over bags."""
        sums = np.zeros((self._size, means.shape[1]), np.float32)
        sums[self._present] = np.add.reduceat(means[self._order], self._starts, axis=0)
        return sums / np.float32(WORDS)


def _fit(bags: _Bags, targets: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The table E with least |XE - targets|^2 + PULL |E - prior|^2, by conjugate gradients."""
    table = prior.copy()
    residual = bags.back(targets - bags.of(table))
    direction = residual.copy()
    energy = (residual**2).sum(0)
    for _ in range(STEPS):
        image = bags.back(bags.of(direction)) + PULL * direction
        # The teacher leaves one dimension at zero throughout: nothing to fit there.
        step = energy / np.maximum((direction * image).sum(0), TINY)
        table += step * direction
        residual -= step * image
        before, energy = energy, (residual**2).sum(0)
        direction = residual + energy / np.maximum(before, TINY) * direction
    return table


def _axes(table: np.ndarray) -> np.ndarray:
    """Principal axes as columns, the strongest first, each with its largest entry positive."""
    axes = np.linalg.eigh(table.T @ table)[1][:, ::-1]
    return axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(len(axes))])


def _shape(table: np.ndarray) -> np.ndarray:
    """Drop what all words share, weigh frequent words down (SIF), keep WIDTH dimensions."""
    table = table - table.mean(0)
    common = _axes(table)[:, :COMPONENTS]
    table -= table @ common @ common.T
    # The vocabulary is in order of frequency, so Zipf's law stands in for counted frequencies.
    zipf = 1 / np.arange(2, len(table) + 2)
    table *= (SIF / (SIF + zipf / zipf.sum()))[:, None]
    return table @ _axes(table)[:, :WIDTH]


def main() -> None:
    """Write the model's files into --out and print their digests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    start = perf_counter()
    teacher = Teacher(args.threads)
    ids, tokens = zip(*_kept(teacher.tokenizer.get_vocab()), strict=True)
    kept = np.array(ids)
    prior = teacher.of_ids(kept[:, None])
    bags = _Bags(len(kept))
    table = _fit(bags, teacher.of_ids(kept[bags.rows]), prior)
    student.write(args.out, teacher.tokenizer, list(tokens), _shape(table))
    for path in sorted(args.out.glob("*.[jo]*")):
        print(hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size, path.name)
    print(f"{len(tokens)} tokens, {perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
