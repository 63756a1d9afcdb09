"""The model that ships: there without a download, honest about itself, as good as its card says."""

import hashlib
import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import gguf_models
import pytest
import tokens
from evaluate import Examination, examined
from terminal import Ai

from localai.demo.show import NOTES, QUESTIONS
from localai.infer import llamacpp
from localai.infer.library import SHIPPED, STARTER

FILE = SHIPPED[STARTER]
CARD = FILE.with_name("README.md")
ROW = re.compile(r"^\| (?P<name>[^|]+) \| (?P<share>[\d.]+)% \| \d+ \|$", re.MULTILINE)
IS_FULL = os.environ.get("PROVE") == "1"
COUNT = 100 if IS_FULL else 16


def test_the_first_answer_needs_no_download(fresh: Ai) -> None:
    """It says what it is, and what brings a real model."""
    asked = fresh("chat", "How do I approve a request?")
    assert asked.code == 0
    assert "ai approve" in asked.out
    assert "a tiny one that knows a few skills" in asked.err
    assert "ai models pull qwen2.5-3b" in asked.err


@pytest.mark.prove
def test_it_gives_way_to_a_model_of_yours(ai: Ai, with_model: Callable[..., str]) -> None:
    """And is there again when that one goes."""
    with_model(default="I am yours.")
    asked = ai("chat", "hello")
    assert asked.out == "I am yours.\n"
    assert "starter" not in asked.err
    assert ai("chat", "-m", STARTER, "hello").out != "I am yours.\n"
    ai("models", "rm", "scripted", "-y")
    assert "starter" in ai("chat", "hello").err


def test_it_is_listed_and_cannot_be_taken_away(ai: Ai, tmp_path: Path) -> None:
    """Its name is taken, too."""
    (listed,) = ai("models", "list", "--json").json["items"]
    assert (listed["name"], listed["file"]) == (STARTER, str(FILE))
    assert ai("models", "rm", STARTER, "-y").code == 5
    assert FILE.exists()
    other = gguf_models.random_llama(tmp_path / "starter.gguf")
    assert ai("models", "add", other).code == 5


@pytest.mark.prove
def test_it_writes_a_file_only_when_a_person_agrees(ai: Ai) -> None:
    """From the request to the sentence afterwards."""
    asked = ai("chat", "Write 'buy milk' to shopping.txt", "--json")
    assert asked.code == 7
    (waiting,) = asked.json["pending"]
    assert not (ai.workspace / "shopping.txt").exists()
    assert ai("approve", waiting, "-y").code == 0
    assert "shopping.txt" in ai("chat", "-c").out
    assert (ai.workspace / "shopping.txt").read_text() == "buy milk"


@pytest.mark.prove
def test_it_answers_from_documents_with_a_citation(ai: Ai) -> None:
    """In both languages; the marks that it is guided by are nobody's to see."""
    for name, text in NOTES.items():
        (ai.workspace / name).write_text(text, encoding="utf-8")
    ai("rag", "index", ".")
    for question in QUESTIONS:
        asked = ai("rag", "query", question, "--json")
        cited = re.fullmatch(r"(.+) \[(\d)\]", asked.json["answer"])
        assert cited is not None
        source = asked.json["passages"][int(cited[2]) - 1]
        assert cited[1] in source["text"]
        assert "<|" not in ai("rag", "query", question).out
    assert ai("rag", "query", "--no-answer", QUESTIONS[0], "--json").json["answer"] is None


def test_the_card_is_about_this_file() -> None:
    """By its digest and its size."""
    card = CARD.read_text(encoding="utf-8")
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() in card
    assert f"{FILE.stat().st_size:,} bytes" in card
    assert FILE.stat().st_size <= 8_000_000


def test_its_tokens_are_the_trainers() -> None:
    """Not one id of a thousand texts differs between llama.cpp and the library it was made with."""
    trainers = tokens.of_gguf(FILE)
    engine = llamacpp.load(FILE)
    try:
        differ = [
            text
            for text in tokens.fuzz(seed=5, count=1000)
            if trainers.encode(text, add_special_tokens=False).ids
            != engine._vocabulary.tokenize([text])
        ]
    finally:
        engine.close()
    assert differ == []


@pytest.mark.prove
@pytest.mark.counted
@pytest.mark.timeout(1500)
def test_it_is_as_good_as_its_card_says() -> None:
    """On words and phrasings that it was never trained on; three standard errors are luck."""
    card = CARD.read_text(encoding="utf-8")
    claimed = {row["name"]: float(row["share"]) / 100 for row in ROW.finditer(card)}
    with examined(None) as (app, engine):
        rows = list(Examination(app, engine, seed=11).rows(COUNT))
    assert {row.name for row in rows} == claimed.keys()
    for row in rows:
        share = claimed[row.name]
        luck = 3 * math.sqrt(max(share * (1 - share), 0.01) / row.asked)
        is_worse = row.share > share + luck if "false" in row.name else row.share < share - luck
        assert not is_worse, f"{row.name}: {row.share:.0%}, the card says {share:.0%}"
