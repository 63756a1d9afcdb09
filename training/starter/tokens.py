"""The starter's tokens: a byte-level BPE that llama.cpp reads as its `gpt-2` kind.

Made for copying: a string has the same ids wherever it stands, because spaces, digits and Hangul
syllables are tokens of their own and nothing merges across letters and punctuation.
"""

import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import gguf
from items import FILLER, PHRASE, Conversation, Course
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from localai.infer.engine import Message, ToolSpec
from localai.infer.prompt import ChatTemplate, Specials

TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
END, USER, ASSISTANT, TOOL, TOOLS = "<|end|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tools|>"
MARKS = ("<tool_call>", "</tool_call>")
SENTENCES = tuple(f"<|s{n}|>" for n in range(3))  # as in the template
WORDS = tuple(f"<|s{n}.{at}|>" for n in range(3) for at in range(32))
SHARED = tuple(f"<|f{n}|>" for n in range(9))
CONTROL = (END, USER, ASSISTANT, TOOL, TOOLS, *SENTENCES, *WORDS, *SHARED)
VOCABULARY = 3200
CHOICE, CHOICES = 3.0, 3  # the weight of a turn's first tokens, and how many they are
_SHOWN = re.compile(r"\n(<\|s\d\.0\|>[^\n]*)<\|f\d\|>[^\n]*(<\|s\d\|>)(?=\n)")
_MARK = re.compile(r"<\|s\d\.\d+\|>")
_CITATION = re.compile(r" \[\d+\]$")
_PIECES = Regex(r"[A-Za-z]+|[가-힣]|\p{N}|\n+|\s|[^\sA-Za-z0-9가-힣]+")


def train(seed: int, documents: int = 24_000) -> Tokenizer:
    """Learn the merges from freshly made conversations."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(CONTROL) - len(MARKS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(seed, documents), trainer)
    _dress(tokenizer)
    return tokenizer


def of_gguf(file: Path) -> Tokenizer:
    """The tokenizer of a GGUF file that was written from one of ours."""
    fields = gguf.GGUFReader(file).fields
    spellings = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(pair.split(" ")) for pair in fields["tokenizer.ggml.merges"].contents()]
    vocabulary = {spelling: n for n, spelling in enumerate(spellings)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    _dress(tokenizer)
    return tokenizer


def _dress(tokenizer: Tokenizer) -> None:
    """What was learnt within the pieces is applied as llama.cpp does, within GPT-2's own."""
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in (*CONTROL, *MARKS)])


@cache
def _template() -> ChatTemplate:
    return ChatTemplate(TEMPLATE, Specials())


def render(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    """The prompt as the product renders it, up to where the assistant speaks."""
    return "".join(_template().render(messages, tools))


@dataclass(frozen=True)
class Example:
    """The ids of a conversation and how much each counts: 0 is what the assistant need not say.

    `judged` are places where it is to be known what is spoken about, as places in `PHRASE.topics`,
    and whether that is the answer: where the question ends, where each shown sentence does, and
    where the assistant begins. A question is neither answer nor none: NaN.
    """

    ids: list[int]
    weights: list[float]
    judged: list[tuple[int, int, float]] = field(default_factory=list)


def encode(tokenizer: Tokenizer, conversation: Conversation) -> Example | None:
    """What a conversation teaches; None where its answer is not among the sentences shown.

    Where a turn begins the model chooses, and the rest is mostly copied. An answer from a passage
    names its sentence first and has its marks.
    """
    text = render(conversation.messages, conversation.tools).removesuffix(ASSISTANT)
    said = conversation.messages[-1].content
    shown = [(_MARK.sub("", found[1]), found[2] + found[1]) for found in _SHOWN.finditer(text)]
    if _CITATION.search(said):
        marked = next((each for cited, each in shown if cited == said), "")
        if not marked:
            return None
        text = text[: text.rindex(ASSISTANT)] + ASSISTANT + marked + END
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    start, end = tokenizer.token_to_id(ASSISTANT), tokenizer.token_to_id(END)
    weights: list[float] = []
    place = -1
    for token in ids:
        weights.append(0.0 if place < 0 else CHOICE if place < CHOICES else 1.0)
        if token == start:
            place = 0
        elif place >= 0:
            place = -1 if token == end else place + 1
    example = Example(ids, weights)
    if conversation.topics:
        about = PHRASE.topics.index(conversation.topics[""])
        speaks = ids.index(start)
        first = ids.index(tokenizer.token_to_id(WORDS[0]))
        example.judged.append((first - 1, about, math.nan))
        names = {tokenizer.token_to_id(mark) for mark in SENTENCES}
        ends = [at for at, token in enumerate(ids[:speaks]) if token in names]
        for at, (cited, _) in zip(ends, shown, strict=True):
            topic = conversation.topics.get(_CITATION.sub("", cited), FILLER)
            example.judged.append((at, PHRASE.topics.index(topic), float(cited == said)))
        example.judged.append((speaks, about, math.nan))
    return example


def _corpus(seed: int, documents: int) -> Iterator[str]:
    course = Course(seed)
    for _ in range(documents):
        conversation = course.next()
        text = render(conversation.messages, conversation.tools).removesuffix(ASSISTANT)
        for token in (*CONTROL, *MARKS):
            text = text.replace(token, "\n")
        yield text


def fuzz(seed: int, count: int) -> Iterator[str]:
    """Strings to compare two tokenizers on: conversations and arbitrary characters."""
    rng = random.Random(seed)
    course = Course(seed)
    ranges = [(32, 126), (0xAC00, 0xD7A3), (0x3131, 0x318E), (0xA0, 0x17F), (0x1F300, 0x1F64F)]
    for n in range(count):
        if n % 2:
            conversation = course.next()
            yield render(conversation.messages, conversation.tools)
        else:
            low, high = rng.choice(ranges)
            letters = [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 60))]
            letters += rng.choices([" ", "  ", "\n", "\t", "'s", "12", "가a"], k=8)
            rng.shuffle(letters)
            yield "".join(letters)
