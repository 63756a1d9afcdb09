"""A quick look at a model in training: the share of held-out answers that it would say exactly.

Teacher-forced: an answer counts where every token of it is the likeliest, which is when greedy
decoding says just that.
"""

import random

import tokens
import torch
from items import SPECS, Conversation, Exchange, Maker
from model import Starter
from tokenizers import Tokenizer

_COUNT = 32
_LANGS = ("en", "ko")


class Probe:
    """A fixed set of held-out exchanges."""

    def __init__(self, tokenizer: Tokenizer, device: torch.device, seed: int = 99) -> None:
        self._tokenizer, self._device = tokenizer, device
        self._start = tokenizer.token_to_id(tokens.ASSISTANT)
        rng = random.Random(seed)
        self._sets: dict[str, list[tokens.Example]] = {}
        for lang in _LANGS:
            make = Maker(rng, lang, held=True)
            made = {
                "tool": [make.tool(rng.choice(SPECS).name) for _ in range(_COUNT)],
                "passages": [make.documents(is_absent=False) for _ in range(_COUNT)],
                "absent": [make.documents(is_absent=True) for _ in range(_COUNT)],
                "no_tool": [make.no_tool(SPECS) for _ in range(_COUNT)],
                "talk": [make.talk() for _ in range(_COUNT)],
                "unknown": [make.unknown() for _ in range(_COUNT)],
            }
            for skill, exchanges in made.items():
                conversations = [_conversation(each) for each in exchanges]
                examples = [tokens.encode(tokenizer, each) for each in conversations]
                self._sets[f"{skill}.{lang}"] = [each for each in examples if each]

    @torch.no_grad()
    def run(self, model: Starter) -> dict[str, float]:
        """Shares by skill and language; a tool's are its name, its call and its sentence."""
        found: dict[str, float] = {}
        for name, examples in self._sets.items():
            is_tool = name.startswith("tool")
            rights = [self._right(model, each) for each in examples]
            if is_tool:
                rights = [[all(call[:7]), all(call), all(said)] for call, said in rights]
                lang = name[-2:]
                parts = ("name", "call", "sentence")
                for part, column in zip(parts, zip(*rights, strict=True), strict=True):
                    found[f"{part}.{lang}"] = round(sum(column) / len(column), 2)
            else:
                found[name] = round(sum(all(each[-1]) for each in rights) / len(rights), 2)
        return found

    def _right(self, model: Starter, example: tokens.Example) -> list[list[bool]]:
        """Whether each token of each turn of the assistant is right."""
        ids, weights = example.ids, example.weights
        row = torch.tensor([ids], device=self._device)
        with torch.autocast(self._device.type, dtype=torch.bfloat16):
            guesses = model.logits(model(row[:, :-1])[0]).argmax(-1)[0].tolist()
        turns: list[list[bool]] = []
        for at in range(1, len(ids)):
            if ids[at - 1] == self._start:
                turns.append([])
            if weights[at] >= 1:
                turns[-1].append(guesses[at - 1] == ids[at])
        return turns


def _conversation(exchange: Exchange) -> Conversation:
    tools = () if exchange.skill in {"passages", "absent"} else SPECS
    return Conversation(tools, exchange.messages, exchange.topics)
