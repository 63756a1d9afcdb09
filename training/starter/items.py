"""What the starter learns and is examined on: conversations in the product's own messages.

An exchange is a user's message and all that follows up to the assistant's last word on it.
Training strings several together; the evaluation asks one at a time, with the held-out halves
of the phrases and of the words.
"""

import json
import random
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from words import EN, KO, Words, fill

from localai.agent.builtin import registry
from localai.infer.engine import Message, ToolCall, ToolSpec
from localai.infer.library import STARTER_TOOLS
from localai.rag.prompt import prompt
from localai.rag.records import Passage

PHRASES = Path(__file__).parent / "phrases"
SPECS = tuple(registry().get(name).spec for name in STARTER_TOOLS)
_CHOICE = re.compile(r"\(([^()]*)\)")
_OPEN_END = re.compile(r"\{(content|command)\}$")
LANGS = (EN, KO)
MADE_UP, FILLER = "made_up", "filler"


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it; `skill` names the row of the evaluation.

    `topics` tells which fact each sentence of the passages states, and the question's under "".
    """

    skill: str
    lang: str
    messages: tuple[Message, ...]
    topics: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Conversation:
    """A whole document: the tools that are listed, and messages that end with the assistant."""

    tools: tuple[ToolSpec, ...]
    messages: tuple[Message, ...]
    topics: dict[str, str] = field(default_factory=dict)


class Phrases:
    """The phrase files, read once."""

    @cached_property
    def tools(self) -> dict[str, Any]:
        """How people ask for a tool."""
        return _read("tools")

    @cached_property
    def talk(self) -> dict[str, Any]:
        """Small talk, questions about localai, and what cannot be answered or done."""
        return _read("talk")

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Sentences of passages and questions about them."""
        return _read("facts")

    @cached_property
    def topics(self) -> list[str]:
        """What a sentence can be about."""
        return [*(fact["name"] for fact in self.facts["fact"]), MADE_UP, FILLER]

    @cached_property
    def facts_by_subject(self) -> dict[str, list[dict[str, Any]]]:
        """The facts that each kind of subject has."""
        found: dict[str, list[dict[str, Any]]] = {}
        for fact in self.facts["fact"]:
            found.setdefault(fact["subject"], []).append(fact)
        return found


PHRASE = Phrases()


class Maker:
    """Makes exchanges of one language and one side (trained on, or held out)."""

    def __init__(self, rng: random.Random, lang: str, *, held: bool = False) -> None:
        self.rng, self.lang, self.held = rng, lang, held
        self.words = Words(rng, held)
        self._side = "held" if held else "train"
        self._topics: dict[str, str] = {}

    # -- tools ---------------------------------------------------------------------------

    def tool(self, name: str) -> Exchange:
        """A request that a tool fits, the call, its result, and a sentence about it."""
        text, arguments = self.request(name)
        call = ToolCall("call_1", name, json.dumps(arguments, ensure_ascii=False))
        told, sentence = self.outcome(name, arguments)
        return Exchange(
            "tool",
            self.lang,
            (
                Message("user", text),
                Message("assistant", "", (call,)),
                Message("tool", told, tool_call_id=call.id, name=name),
                Message("assistant", sentence),
            ),
        )

    def request(self, name: str) -> tuple[str, dict[str, Any]]:
        """What somebody says to have the tool called, and the arguments that it means."""
        words, lang = self.words, self.lang
        if name == "read_file":
            values = {"file": words.file(lang)}
            return self._asked("read_file", values), {"path": values["file"]}
        if name == "list_files":
            if words.chance(0.2):
                return self._asked("list_here", {}), {}
            values = {"folder": words.folder(lang)}
            return self._asked("list_files", values), {"path": values["folder"]}
        if name == "write_file":
            values = {"file": words.file(lang), "content": ""}
            template = self._template("write_file")
            values["content"] = self._content(template)
            arguments = {"path": values["file"], "content": values["content"]}
            return self._said(template, values), arguments
        line, argv = words.command(lang)
        values = {"command": line, "folder": words.folder(lang)}
        if words.chance(0.2):
            return self._asked("run_in", values), {"argv": argv, "cwd": values["folder"]}
        return self._asked("run_command", values), {"argv": argv}

    def _content(self, template: str) -> str:
        """Content that the template's own quotes and words leave readable."""
        while True:
            content = self.words.content(self.lang)
            if '"{content' in template and '"' in content:
                continue
            if "'{content" in template and "'" in content:
                continue
            if "{content} " in template and re.search(r" (to|in|into|as|at) ", content):
                continue
            return content

    def outcome(self, name: str, arguments: dict[str, Any]) -> tuple[str, str]:
        """What a tool gives back, as the product words it, and the sentence to say then."""
        kind = self.rng.random()
        if kind < 0.14:
            return self._refused(name)
        if kind < 0.30:
            return self._failed(name, arguments)
        did: tuple[str, str] = getattr(self, f"_did_{name}")(arguments)
        return did

    def _refused(self, name: str) -> tuple[str, str]:
        who = self.words.person(self.lang).split()[0].lower()
        verb = self.words.pick(["rejected", "rejected", "rejected", "cancelled"])
        kind = self.rng.random()
        if kind < 0.2:
            approval = f"{self.rng.getrandbits(64):016x}"
            month, day, hour = (
                self.rng.randint(1, 9),
                self.rng.randint(0, 9),
                self.rng.randint(0, 9),
            )
            at = f"2026-0{month}-1{day}T0{hour}:12:00Z"
            told = f"expired: {approval} expired at {at}: nobody decided in time"
            return told, self._lang(
                "Nobody decided in time, so nothing was done.",
                "제때 결정되지 않아 아무것도 하지 않았습니다.",
            )
        if kind < 0.4:
            told = f"rejected: {who} {verb} {name}"
            return told, self._lang(f"{who} refused it.", f"{who} 님이 거절했습니다.")
        why = self.words.phrase(self.words.pick([self.lang, self.lang, EN]), 6)
        told = f"rejected: {who} {verb} {name}: {why}"
        return told, self._lang(f"{who} refused it: {why}", f"{who} 님이 거절했습니다: {why}")

    def _failed(self, name: str, arguments: dict[str, Any]) -> tuple[str, str]:
        words = self.words
        path = str(arguments.get("path", "."))
        kind = self.rng.random()
        if name == "run_command" and kind < 0.75:
            code = self.rng.randint(1, 130)
            if words.chance(0.25):
                told = f"exit code {code}\n"
                return told, self._lang(
                    f"It failed with exit code {code}.", f"종료 코드 {code}로 실패했습니다."
                )
            line = self._complaint(arguments["argv"][0])
            more = f"\n{self._line()}" if words.chance(0.3) else ""
            told = f"exit code {code}\n{line}{more}\n"
            return told, self._lang(
                f"It failed with exit code {code}: {line}",
                f"종료 코드 {code}로 실패했습니다: {line}",
            )
        why = f"{path}: {words.error()}"
        if name == "run_command":
            why = words.pick([f"no program {arguments['argv'][0]}", words.error()])
        kind = self.rng.random()
        if kind < 0.2:
            why = words.own(lambda: f"{path} is not text: {words.number()} bytes")
        elif kind < 0.3:
            why = f"{path} changed while it was being written"
        elif kind < 0.4:
            why = f"{path} leads out of the workspace"
        told = words.pick(["", "", "failed: ", "invalid: ", "not_found: ", "denied: "]) + why
        return told, self._lang(f"It failed: {why}", f"실패했습니다: {why}")

    def _complaint(self, program: str) -> str:
        words = self.words
        return words.pick(
            [
                f"{program}: {words.file(self.lang)}: {words.error()}",
                f"{program}: {words.phrase(EN, 5)}",
                f"error: {words.phrase(self.lang, 5)}",
                f"{words.name(EN)}Error: {words.phrase(EN, 4)}",
                self._line(),
            ]
        )

    def _line(self) -> str:
        words = self.words
        return words.pick(
            [
                words.phrase(self.lang, 8),
                words.phrase(EN, 8),
                f"{words.file(EN)}:{words.number()}",
                f"{words.number()} {words.word(self.lang)}",
                f"{words.name(EN)} {words.number()} {words.file(EN)}",
                f"{words.word(EN)}: {words.phrase(self.lang, 4)}",
            ]
        )

    def _did_read_file(self, arguments: dict[str, Any]) -> tuple[str, str]:
        path = arguments["path"]
        if self.words.chance(0.06):
            return "", self._lang(f"{path} is empty.", f"{path} 파일은 비어 있습니다.")
        first = self._line()
        rest = "\n".join(self._line() for _ in range(self.rng.choice([0, 0, 1, 2, 3])))
        told = f"{first}\n{rest}".strip("\n") + self.words.pick(["", "\n"])
        return told, self._lang(f"{path} begins: {first}", f"{path} 첫 줄: {first}")

    def _did_list_files(self, _: dict[str, Any]) -> tuple[str, str]:
        words = self.words
        if words.chance(0.06):
            return "(empty)", self._lang("The folder is empty.", "폴더가 비어 있습니다.")
        names = sorted(
            {
                words.file(self.lang).rsplit("/", 1)[-1]
                if words.chance(0.7)
                else words.folder(self.lang).split("/", 1)[0] + "/"
                for _ in range(self.rng.randint(1, 8))
            }
        )
        told = "\n".join(
            name if name.endswith("/") else f"{name}  {words.number()} bytes" for name in names
        )
        shown = ", ".join(names[:3])
        if len(names) <= 3:
            return told, self._lang(f"Found: {shown}", f"목록: {shown}")
        return told, self._lang(f"Found: {shown} and more", f"목록: {shown} 등")

    def _did_write_file(self, arguments: dict[str, Any]) -> tuple[str, str]:
        path, size = arguments["path"], len(arguments["content"].encode())
        told = self.words.pick(["", "succeeded: "]) + f"wrote {size} bytes to {path}"
        return told, self._lang(
            f"Done: wrote {size} bytes to {path}", f"완료: {path}에 {size}바이트를 썼습니다."
        )

    def _did_run_command(self, _: dict[str, Any]) -> tuple[str, str]:
        prefix = self.words.pick(["", "", "succeeded: "])
        if prefix or self.words.chance(0.2):
            told = f"{prefix}exit code 0" + ("" if prefix else "\n")
            return told, self._lang("Done: exit code 0", "완료: 종료 코드 0")
        lines = [self._line() for _ in range(self.rng.choice([1, 1, 1, 2, 3]))]
        told = "exit code 0\n" + "\n".join(lines) + self.words.pick(["", "\n"])
        return told, self._lang(f"It printed: {lines[0]}", f"출력: {lines[0]}")

    # -- talk ----------------------------------------------------------------------------

    def talk(self) -> Exchange:
        """Small talk or a question about localai, and its answer."""
        chosen = self.words.pick(PHRASE.talk["intent"])[self.lang]
        text = self._dressed(self.words.pick(chosen[self._side]))
        return self._answered("talk", text, chosen["answer"])

    def unknown(self) -> Exchange:
        """A question that a tiny model cannot answer."""
        chosen = PHRASE.talk["unknown"][self.lang]
        text = self._dressed(self._filled(self.words.pick(chosen[self._side])))
        return self._answered("unknown", text, chosen["answer"])

    def no_tool(self, listed: Sequence[ToolSpec]) -> Exchange:
        """A request that no listed tool fits."""
        chosen = PHRASE.talk["notool"][self.lang]
        missing = [spec.name for spec in SPECS if spec not in listed]
        if missing and self.words.chance(0.5):
            text, _ = self.request(self.words.pick(missing))
        else:
            text = self._dressed(self._filled(self.words.pick(chosen[self._side])))
        return self._answered("no_tool", text, chosen["answer"])

    def _answered(self, skill: str, text: str, answer: str) -> Exchange:
        return Exchange(skill, self.lang, (Message("user", text), Message("assistant", answer)))

    def _filled(self, template: str) -> str:
        words, lang = self.words, self.lang
        values = {
            "person": words.person(lang),
            "place": words.name(lang),
            "thing": words.word(lang),
            "number": words.number(),
            "year": str(self.rng.randint(1500, 2030)),
        }
        return fill(template, values, self.rng)

    # -- passages ------------------------------------------------------------------------

    def documents(self, *, is_absent: bool) -> Exchange:
        """A question over numbered passages; the answer is one of their sentences, or none."""
        words, rng = self.words, self.rng
        self._topics = {}
        question, target, near, others = (self._made_up if words.chance(0.3) else self._factual)()
        count = rng.choice([3, 3, 3, 4, 4, 5])
        sentences = near + others[: rng.randint(0, count)]
        groups: list[list[str]] = [[] for _ in range(count)]
        home = rng.randrange(count)
        if not is_absent:
            groups[home].append(target)
        for sentence in sentences:
            groups[rng.randrange(count)].append(sentence)
        for group in groups:
            while not group or (len(group) < 4 and words.chance(0.25)):
                group.append(self._filler())
            rng.shuffle(group)
        passages = [self._passage(n, group) for n, group in enumerate(groups, 1)]
        messages = [Message(role, text) for role, text in prompt(passages, question)]
        if is_absent:
            answer = PHRASE.facts["absent"][self.lang]["answer"]
        else:
            answer = f"{target} [{home + 1}]"
        skill = "absent" if is_absent else "passages"
        told = (*messages, Message("assistant", answer))
        return Exchange(skill, self.lang, told, self._topics)

    def _factual(self) -> tuple[str, str, list[str], list[str]]:
        """Question, its sentence, near misses and other sentences, from the fact templates."""
        words = self.words
        kind = words.pick(list(PHRASE.facts_by_subject))
        facts = PHRASE.facts_by_subject[kind]
        fact = words.pick(facts)
        subject = words.subject(kind, self.lang)
        asks = fact[self.lang]["ask_held" if self.held else "ask"]
        question = self._mark(fill(words.pick(asks), {"s": subject}, self.rng))
        self._topics[""] = fact["name"]
        target = self._sentence(fact, subject)
        rest = [each for each in facts if each is not fact]
        rivals = [words.subject(kind, self.lang) for _ in range(2)]
        if kind not in {"person", "company"} and words.chance(0.4):
            first = subject.split()[0]
            other = words.pick(
                [
                    each
                    for each in PHRASE.facts_by_subject
                    if each not in {"person", "company", kind}
                ]
            )
            twin = f"{first} {words.subject(other, self.lang).split(maxsplit=1)[1]}"
            rivals.append(twin)
            near = [self._sentence(words.pick(PHRASE.facts_by_subject[other]), twin)]
        else:
            near = []
        near.append(self._sentence(fact, rivals[0]))
        near += [self._sentence(each, subject) for each in self._sample(rest, 2)]
        if words.chance(0.5):
            near.append(self._sentence(fact, rivals[1]))
        others = [self._sentence(words.pick(facts), rival) for rival in rivals[:2]]
        for _ in range(3):
            kind = words.pick(list(PHRASE.facts_by_subject))
            other = words.pick(PHRASE.facts_by_subject[kind])
            others.append(self._sentence(other, words.subject(kind, self.lang)))
        self.rng.shuffle(near)
        self.rng.shuffle(others)
        return question, target, near, others

    def _sentence(self, fact: dict[str, Any], subject: str) -> str:
        words = self.words
        side = "held" if self.held and words.chance(0.8) else "train"
        value = words.value(fact["value"], self.lang)
        template = words.pick(fact[self.lang][side])
        text = fill(template, {"s": subject, "v": value}, self.rng)
        self._topics[text] = fact["name"]
        return text

    def _made_up(self) -> tuple[str, str, list[str], list[str]]:
        """As `_factual`, about attributes that nobody has heard of: words alone must match."""
        words, lang = self.words, self.lang
        attributes = [words.word(lang).lower() for _ in range(4)]
        kinds = [kind for kind in PHRASE.facts_by_subject if kind not in {"person", "company"}]
        subjects = [words.subject(words.pick(kinds), lang) for _ in range(3)]
        frames = PHRASE.facts["made_up"][lang]
        asks = frames["ask_held" if self.held else "ask"]

        def state(attribute: str, subject: str) -> str:
            value = words.phrase(lang, 3)
            text = fill(
                words.pick(frames[self._side]), {"a": attribute, "s": subject, "v": value}, self.rng
            )
            self._topics[text] = MADE_UP
            return text

        self._topics[""] = MADE_UP
        question = fill(words.pick(asks), {"a": attributes[0], "s": subjects[0]}, self.rng)
        target = state(attributes[0], subjects[0])
        near = [state(attributes[0], subjects[1]), state(attributes[1], subjects[0])]
        others = [state(words.pick(attributes), subjects[2]), state(attributes[2], subjects[1])]
        others += [state(attributes[3], subjects[0])]
        return self._mark(question), target, near, others

    def _filler(self) -> str:
        kind = self.words.pick(["free", "thing", "person"])
        template = self.words.pick(PHRASE.facts["filler"][self.lang][kind])
        about = "person" if kind == "person" else self.words.pick(["device", "project", "room"])
        return fill(template, {"s": self.words.subject(about, self.lang)}, self.rng)

    def _passage(self, n: int, sentences: list[str]) -> Passage:
        words = self.words
        start = words.pick([1, 1, 1, self.rng.randint(1, 400)])
        text = words.pick([" ", " ", "\n"]).join(sentences)
        if words.chance(0.15):
            text = f"# {words.phrase(self.lang, 3).capitalize()}\n\n{text}"
        end = start + text.count("\n")
        source = words.file(self.lang).rsplit("/", 1)[-1]
        return Passage(n, source, "", f"L{start}-L{end}", 0.0, text)

    # -- wording -------------------------------------------------------------------------

    def _lang(self, english: str, korean: str) -> str:
        return korean if self.lang == KO else english

    def _sample(self, options: list[Any], count: int) -> list[Any]:
        return self.rng.sample(options, min(count, len(options)))

    def _template(self, kind: str) -> str:
        return self._expand(self.words.pick(PHRASE.tools[kind][self.lang][self._side]))

    def _expand(self, template: str) -> str:
        while found := _CHOICE.search(template):
            chosen = self.words.pick(found[1].split("|"))
            template = template[: found.start()] + chosen + template[found.end() :]
        return template

    def _asked(self, kind: str, values: dict[str, str]) -> str:
        return self._said(self._template(kind), values)

    def _said(self, template: str, values: dict[str, str]) -> str:
        is_open = _OPEN_END.search(template) is not None
        return self._dressed(fill(template, values, self.rng), is_open=is_open)

    def _dressed(self, text: str, *, is_open: bool = False) -> str:
        """With what people put before and after, and their punctuation."""
        around = PHRASE.tools["around"][self.lang]
        words = self.words
        if words.chance(0.2) and not text.startswith(("$", '"')):
            text = words.pick(around["before"]) + text
        if self.lang == EN and words.chance(0.6):
            text = text[:1].upper() + text[1:]
        if is_open or text.endswith("?"):
            return text
        if words.chance(0.1):
            text += words.pick(around["after"])
        return self._mark(text)

    def _mark(self, text: str) -> str:
        if text.endswith(("?", ".", "!")):
            return text[:-1] if self.words.chance(0.15) and text.endswith("?") else text
        return text + self.words.pick(["", "", "", "?", "."])


class Course:
    """An endless course of conversations."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def next(self, *, is_short: bool = False) -> Conversation:
        """One more conversation; a short one has a single exchange."""
        rng = self.rng
        maker = Maker(rng, rng.choice(LANGS))
        if rng.random() < 0.3:
            said = maker.documents(is_absent=rng.random() < 0.25)
            return Conversation((), said.messages, said.topics)
        tools = self._tools()
        count = 1 if is_short else rng.choice([1, 1, 2, 3])
        told: list[Message] = []
        for _ in range(count):
            told += self._exchange(maker, tools).messages
            if rng.random() < 0.1:
                maker = Maker(rng, rng.choice(LANGS))
        return Conversation(tools, tuple(told))

    def _tools(self) -> tuple[ToolSpec, ...]:
        kind = self.rng.random()
        if kind < 0.12:
            return ()
        if kind < 0.65:
            return SPECS
        return tuple(spec for spec in SPECS if self.rng.random() < 0.6)

    def _exchange(self, maker: Maker, tools: tuple[ToolSpec, ...]) -> Exchange:
        kind = self.rng.random()
        if kind < 0.40 and tools:
            return maker.tool(self.rng.choice(tools).name)
        if kind < 0.50:
            return maker.no_tool(tools)
        return maker.unknown() if kind < 0.60 else maker.talk()


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((PHRASES / f"{name}.toml").read_text(encoding="utf-8"))
