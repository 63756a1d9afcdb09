"""The starter's tokens: a byte-level BPE that llama.cpp reads as its `gpt-2` kind.

Made for copying: a string has the same ids wherever it stands, because spaces, digits and Hangul
syllables are tokens of their own and nothing merges across letters and punctuation.
"""

import random
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import gguf
from items import Conversation, Course
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from localai.infer.engine import Message, ToolSpec
from localai.infer.prompt import ChatTemplate, Specials

TEMPLATE = (Path(__file__).parent / "chat_template.jinja").read_text(encoding="utf-8")
END, USER, ASSISTANT, TOOL, TOOLS = "<|end|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tools|>"
MARKS = ("<tool_call>", "</tool_call>")
SENTENCES = tuple(f"<|s{n}|>" for n in range(32))  # as in the template
CONTROL = (END, USER, ASSISTANT, TOOL, TOOLS, *SENTENCES)
VOCABULARY = 3072
CHOICE, CHOICES = 3.0, 3  # the weight of a turn's first tokens, and how many they are
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


def encode(tokenizer: Tokenizer, conversation: Conversation) -> tuple[list[int], list[float]]:
    """The ids of a conversation, and how much each counts: 0 is what the assistant need not say.

    Where a turn begins the model chooses, and the rest is mostly copied. An answer from a passage
    begins with the mark of its sentence.
    """
    text = render(conversation.messages, conversation.tools).removesuffix(ASSISTANT)
    answer = re.escape(conversation.messages[-1].content)
    if found := re.search(rf"(<\|s\d+\|>){answer}\1", text):
        start = text.rindex(ASSISTANT) + len(ASSISTANT)
        text = text[:start] + found[1] + text[start:]
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
    return ids, weights


def _corpus(seed: int, documents: int) -> Iterator[str]:
    course = Course(seed)
    for _ in range(documents):
        conversation = course.next(1.0)
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
            conversation = course.next(1.0)
            yield render(conversation.messages, conversation.tools)
        else:
            low, high = rng.choice(ranges)
            letters = [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 60))]
            letters += rng.choices([" ", "  ", "\n", "\t", "'s", "12", "가a"], k=8)
            rng.shuffle(letters)
            yield "".join(letters)
