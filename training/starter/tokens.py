"""The starter's tokens: a byte-level BPE that llama.cpp reads as its `gpt-2` kind.

Made for copying: a string has the same ids wherever it stands, because spaces, digits and Hangul
syllables are tokens of their own and nothing merges across letters and punctuation.
"""

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
SENTENCES = tuple(f"<|s{n}|>" for n in range(4))  # as in the template
SHARED = tuple(f"<|f{n}|>" for n in range(9))
CONTROL = (END, USER, ASSISTANT, TOOL, TOOLS, *SENTENCES, *SHARED)
VOCABULARY = 3072
CHOICE, CHOICES = 3.0, 3  # the weight of a turn's first tokens, and how many they are
_SHOWN = re.compile(r"(<\|s\d\|>)([^\n]*) \[\d+\]<\|f\d\|>\1")
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

    `topics` are the places where a shown sentence ends and where the assistant begins to answer,
    and what the sentence and the question are about, as places in `PHRASE.topics`; `answers` says
    which of the sentences is the answer.
    """

    ids: list[int]
    weights: list[float]
    topics: list[tuple[int, int]] = field(default_factory=list)
    answers: list[bool] = field(default_factory=list)


def encode(tokenizer: Tokenizer, conversation: Conversation) -> Example | None:
    """What a conversation teaches; None where its answer is not among the sentences shown.

    Where a turn begins the model chooses, and the rest is mostly copied. An answer from a passage
    has the marks of its sentence.
    """
    text = render(conversation.messages, conversation.tools).removesuffix(ASSISTANT)
    said = conversation.messages[-1].content
    mark = ""
    if re.search(r"\[\d+\]$", said):
        marked = {each: each + said.replace(" ", f"{each} ") for each in SENTENCES}
        mark = next((each for each in SENTENCES if f"{marked[each]}<|f" in text), "")
        if not mark:
            return None
        text = text[: text.rindex(ASSISTANT)] + ASSISTANT + marked[mark] + END
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
        shared = {tokenizer.token_to_id(token) for token in SHARED}
        ends = [at + 1 for at, token in enumerate(ids) if token in shared]
        shown = [found[2].replace(found[1], "") for found in _SHOWN.finditer(text)]
        said_of = [conversation.topics.get(sentence, FILLER) for sentence in shown]
        topics = [*said_of, conversation.topics[""]]
        places = [*ends, ids.index(start)]
        numbers = [PHRASE.topics.index(topic) for topic in topics]
        example.topics.extend(zip(places, numbers, strict=True))
        example.answers.extend(f"{SENTENCES[n]}" == mark for n in range(len(shown)))
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
