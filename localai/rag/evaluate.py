"""How well a collection answers questions whose sources are known; pure but for reading the file.

nDCG and recall are of the first ten files, each counted where its best passage stands; nDCG with
linear gains, as trec_eval has it (Järvelin and Kekäläinen, 2002). MRR is one over the place of the
first right file. Intervals are of 95%, by resampling questions (Efron, 1979).
"""

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

from localai.core.errors import Invalid, NotFound
from localai.rag.language import is_korean

CUT: Final = 10
_RESAMPLES: Final = 1000
_LINE: Final = 'a line is {"id": "1", "question": "...", "relevant": {"notes.md": 1}}'
_METRICS: Final = ("ndcg", "recall", "mrr")


@dataclass(frozen=True)
class Question:
    """A question, and how relevant each file is to it: 1 or more."""

    id: str
    text: str
    relevant: Mapping[Path, int]

    @property
    def language(self) -> str:
        """`ko` or `en`."""
        return "ko" if is_korean(self.text) else "en"


@dataclass(frozen=True)
class Score:
    """How one question was answered."""

    id: str
    language: str
    ndcg: float
    recall: float
    mrr: float


@dataclass(frozen=True)
class Figure:
    """A mean over questions, and the interval it is likely to be in."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Scores:
    """Means over some questions."""

    questions: int
    ndcg: Figure
    recall: Figure
    mrr: Figure


@dataclass(frozen=True)
class Evaluation:
    """All questions, those of each language, and how nDCG has changed since the last time.

    `change` is None where the same questions were not asked before.
    """

    overall: Scores
    by_language: Mapping[str, Scores]
    change: Figure | None


def read(file: Path) -> list[Question]:
    """The questions of a file of JSON Lines; Invalid names the first line that is none.

    A line is `{"id", "question", "relevant": {"SOURCE": GRADE}}`, SOURCE relative to the file.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {file}", hint="ai rag eval FILE") from error
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} cannot be read as text") from error
    folder = file.absolute().parent
    found = [_question(line, n, folder) for n, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise Invalid(
            f"{file} holds no question", hint='{"id": .., "question": .., "relevant": ..}'
        )
    if len({question.id for question in found}) < len(found):
        raise Invalid(f"{file} has two questions of the same id")
    return found


def score(question: Question, ranking: Sequence[Path]) -> Score:
    """How good it is that these files were found for the question, best first."""
    gains = [question.relevant.get(path, 0) for path in ranking]
    ideal = sorted(question.relevant.values(), reverse=True)
    places = [place for place, gain in enumerate(gains, 1) if gain]
    return Score(
        question.id,
        question.language,
        ndcg=_gained(gains[:CUT]) / _gained(ideal[:CUT]),
        recall=sum(map(bool, gains[:CUT])) / len(ideal),
        mrr=1 / places[0] if places else 0.0,
    )


def evaluation(scores: Sequence[Score], before: Mapping[str, float]) -> Evaluation:
    """The scores as figures; `before` is what nDCG the same questions had the last time."""
    languages = sorted({each.language for each in scores})
    changes = [each.ndcg - before[each.id] for each in scores if each.id in before]
    return Evaluation(
        _scores(scores),
        {name: _scores([each for each in scores if each.language == name]) for name in languages},
        _figure(changes) if len(changes) == len(scores) else None,
    )


def _scores(scores: Sequence[Score]) -> Scores:
    figures = (_figure([getattr(each, metric) for each in scores]) for metric in _METRICS)
    return Scores(len(scores), *figures)


def _figure(values: Sequence[float]) -> Figure:
    # Seeded, so that the same scores have the same interval.
    draw = random.Random(len(values)).choices  # noqa: S311 - no secret
    means = sorted(fmean(draw(values, k=len(values))) for _ in range(_RESAMPLES))
    edge = _RESAMPLES // 40
    return Figure(fmean(values), means[edge], means[-edge - 1])


def _gained(gains: Iterable[int]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, 1))


def _question(line: str, number: int, folder: Path) -> Question:
    try:
        found = json.loads(line)
        relevant = {
            (folder / source).resolve(): int(grade)
            for source, grade in found["relevant"].items()
            if int(grade) > 0
        }
        question = Question(str(found["id"]), str(found["question"]), relevant)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Invalid(f"line {number} is no question", hint=_LINE) from error
    if not relevant or not question.text.strip():
        raise Invalid(f"line {number} has no question, or nothing that answers it")
    return question
