"""Names, paths, values and other words, made up as they are needed.

Every string that a model has to copy belongs to one side by its own checksum: what is held out
for the evaluation was never trained on, whatever the seed.
"""

import random
import re
import shlex
import tomllib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")

EN, KO = "en", "ko"
_SLOT = re.compile(r"\{(\w+)(?::(\w+))?\}")
_HELD_SHARE = 8

_BANK = tomllib.loads((Path(__file__).parent / "phrases/words.toml").read_text(encoding="utf-8"))
_NOUNS, _VERBS, _SMALL = _BANK["nouns"], _BANK["verbs"], _BANK["small"]["en"]
_LATIN, _LOAN, _PEOPLE, _FILES = _BANK["latin"], _BANK["loan"], _BANK["people"], _BANK["files"]
_VALUES, _KINDS, _DATES = _BANK["value"], _BANK["kind"], _BANK["dates"]


def is_held(text: str) -> bool:
    """Whether a string belongs to the evaluation."""
    return zlib.crc32(text.encode()) % _HELD_SHARE == 0


@dataclass
class Words:
    """A source of words; `held` takes what training never sees."""

    rng: random.Random
    held: bool = False

    def pick(self, options: Sequence[_T]) -> _T:
        """One of them."""
        return options[self.rng.randrange(len(options))]

    def chance(self, share: float) -> bool:
        """True that often."""
        return self.rng.random() < share

    def own(self, make: Callable[[], str]) -> str:
        """A string of this side; where a kind has too few, any of them."""
        for _ in range(40):
            made = make()
            if is_held(made) == self.held:
                return made
        return made

    def name(self, lang: str) -> str:
        """A made-up name, capitalised."""
        return self.own(self._loan if lang == KO else self._latin)

    def person(self, lang: str) -> str:
        """A person's name."""
        if lang == KO:
            return self.own(
                lambda: self.pick(_PEOPLE["surnames"]) + self._some(_PEOPLE["given"], 2)
            )
        return self.own(lambda: f"{self.pick(_PEOPLE['first'])} {self._latin()}")

    def word(self, lang: str) -> str:
        """An ordinary word, or now and then a made-up one."""
        if self.chance(0.15):
            return self._loan() if lang == KO else self._latin().lower()
        if lang == KO:
            return self.pick(_NOUNS[KO])
        return self.pick(self.pick([_NOUNS[EN], _NOUNS[EN], _VERBS[EN]]))

    def phrase(self, lang: str, most: int = 8) -> str:
        """A few words, as somebody notes them."""
        return self.own(lambda: self._phrase(lang, self.rng.randint(1, most)))

    def content(self, lang: str) -> str:
        """What somebody wants written into a file; no quotes at its ends."""
        kind = self.rng.random()
        if kind < 0.78:
            return self.phrase(lang)
        if kind < 0.84:
            return self.own(lambda: f"{self._latin().lower()} = {self.rng.randint(0, 99999)}")
        if kind < 0.9:
            return self.own(lambda: f"print('{self._phrase(lang, 2)}')")
        if kind < 0.95:
            return self.own(lambda: f"# {self._phrase(lang, 3)}")
        return self.own(lambda: f"{self.number()}, {self.number()}, {self.number()}")

    def number(self) -> str:
        """A number of one to six digits."""
        return str(self.rng.randrange(10 ** self.rng.randint(1, 6)))

    def file(self, lang: str) -> str:
        """A relative path of a file."""
        return self.own(lambda: self._path(lang, is_file=True))

    def folder(self, lang: str) -> str:
        """A relative path of a directory."""
        return self.own(lambda: self._path(lang, is_file=False))

    def command(self, lang: str) -> tuple[str, list[str]]:
        """A command line, and its program and arguments."""
        line = self.own(lambda: self._command(lang))
        return line, shlex.split(line)

    def error(self) -> str:
        """What the system says of a failure."""
        return self.pick(_FILES["errors"])

    def subject(self, kind: str, lang: str) -> str:
        """What a fact is about."""
        if kind == "person":
            return self.person(lang)
        if kind == "company":
            return self.name(lang)
        return f"{self.name(lang)} {self.pick(_KINDS[kind][lang])}"

    def value(self, kind: str, lang: str) -> str:
        """What a fact says."""
        if kind in _VALUES:
            return self.pick(_VALUES[kind][lang])
        if kind in {"person", "city"}:
            return self.person(lang) if kind == "person" else self.name(lang)
        if kind in _KINDS:
            return self.subject(kind, lang)
        return self.own(lambda: self._measure(kind, lang))

    def _measure(self, kind: str, lang: str) -> str:  # noqa: C901, PLR0911, PLR0912 - a table
        n = self.rng.randint
        is_ko = lang == KO
        match kind:
            case "date":
                month, day = n(1, 12), n(1, 28)
                return f"{month}월 {day}일" if is_ko else f"{day} {_DATES['months'][month - 1]}"
            case "time":
                hour, minute = n(0, 23), self.pick(["00", "10", "15", "20", "30", "40", "45", "50"])
                if is_ko:
                    return f"{hour}시" + ("" if minute == "00" else f" {minute}분")
                return f"{hour:02}:{minute}"
            case "year":
                return f"{n(1900, 2030)}년" if is_ko else str(n(1900, 2030))
            case "money":
                return f"{n(1, 900)}만 원" if is_ko else f"${n(2, 9000):,}"
            case "count":
                return str(n(2, 480))
            case "percent":
                return f"{n(1, 99)}%"
            case "floor":
                return f"{n(1, 30)}층" if is_ko else f"{self.pick(_DATES['ordinals'])} floor"
            case "email":
                return f"{self._latin().lower()}@{self._latin().lower()}.com"
            case "phone":
                return f"{n(200, 999)}-{n(1000, 9999)}"
            case "version":
                return f"{n(0, 12)}.{n(0, 20)}.{n(0, 30)}"
            case "duration":
                amount = n(2, 95)
                if is_ko:
                    return f"{amount}{self.pick(['분', '일', '주'])}"
                return f"{amount} {self.pick(['minutes', 'days', 'weeks'])}"
            case "weight":
                return f"{n(1, 40)}.{n(1, 9)}{'' if is_ko else ' '}kg"
            case "key":
                letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
                return f"{self.pick(letters)}{n(1, 9)}-{n(100, 999)}"
        raise KeyError(kind)

    def _latin(self) -> str:
        syllables = self.rng.choices([1, 2, 3], [2, 6, 1])[0]
        made = "".join(
            self.pick(_LATIN["onsets"]) + self.pick(_LATIN["nuclei"]) + self.pick(_LATIN["codas"])
            for _ in range(syllables)
        )
        return made.capitalize()

    def _loan(self) -> str:
        if self.chance(0.06):  # syllables that are nobody's token
            return "".join(chr(self.rng.randint(0xAC00, 0xD7A3)) for _ in range(2))
        return self._some(_LOAN["syllables"], self.rng.randint(2, 4))

    def _some(self, letters: str, count: int) -> str:
        return "".join(self.pick(letters) for _ in range(count))

    def _phrase(self, lang: str, count: int) -> str:
        if lang == KO:
            words = [self.word(KO) for _ in range(max(1, count // 2))]
            if self.chance(0.5):
                words.append(self.pick(_VERBS[KO]))
        else:
            words = [self.word(EN) if k % 2 == 0 else self.pick(_SMALL) for k in range(count)]
        if self.chance(0.2):
            words.insert(self.rng.randint(0, len(words)), self.number())
        return " ".join(words)

    def _path(self, lang: str, *, is_file: bool) -> str:
        depth = self.rng.choices([0, 1, 2], [5, 4, 1])[0]
        parts = [self._stem(lang) for _ in range(depth + 1)]
        if is_file:
            parts[-1] += f".{self.pick(_FILES['suffixes'])}"
        return "/".join(parts)

    def _stem(self, lang: str) -> str:
        kind = self.rng.random()
        if lang == KO and kind < 0.3:
            stem = self.pick(_FILES["stems_ko"])
        elif kind < 0.6:
            stem = self.pick(_FILES["stems"])
        elif kind < 0.8:
            stem = self._latin().lower()
        else:
            stem = self.pick(_NOUNS[EN])
        if self.chance(0.25):
            stem += self.pick("_-") + self.pick([self.pick(_NOUNS[EN]), self.number()])
        return stem

    def _command(self, lang: str) -> str:
        n = self.rng.randint
        file, folder = self._path(lang, is_file=True), self._path(lang, is_file=False)
        word, other = self.word(EN).lower(), self._path(lang, is_file=True)
        program = self._latin().lower()
        quoted = f'"{self._phrase(lang, n(2, 4))}"'
        made = [
            f"ls {self.pick(['-l', '-a', '-la', '-lh', '-1'])} {folder}",
            f"cat {file}",
            f"head -n {n(1, 50)} {file}",
            f"tail -n {n(1, 50)} {file}",
            f"wc -{self.pick('lwc')} {file}",
            f"grep -{self.pick(['n', 'i', 'rn', 'c'])} {word} {file}",
            f"grep {quoted} {file}",
            f"git {self.pick([*_BANK['git'], f'log -n {n(1, 20)}'])}",
            f"git {self.pick(['add', 'checkout', 'blame', 'rm'])} {file}",
            f"git commit -m {quoted}",
            f"python3 {file}",
            f"python3 -m {program}",
            f"python3 {file} --{word} {n(1, 999)}",
            f"pytest {self.pick(['-q', '-x', '-v'])} {folder}",
            f"make {word}",
            f"make -j{n(2, 16)} {word}",
            f"cp {file} {other}",
            f"mv {file} {other}",
            f"rm {file}",
            f"mkdir -p {folder}",
            f"touch {file}",
            f"echo {self.pick([quoted, word])}",
            f"sort -u {file}",
            f"du -sh {folder}",
            f"sleep {n(1, 90)}",
            f"chmod {n(100, 777)} {file}",
            f"npm {self.pick(['install', 'test', 'run'])} {word}",
            f"cargo {self.pick(['build', 'test', 'run'])}",
            f"pip install {program}",
            f"docker {self.pick(['ps', 'pull', 'stop', 'logs'])} {program}",
            f"{program} {word}",
            f"{program} --{word} {file}",
            f"{program} -{self.pick('abcdefghv')} {n(1, 9999)} {folder}",
            f"./{program}.sh {word}",
            f"{self.pick(['ls', 'date', 'df -h', 'uptime', 'whoami', 'free -m', 'env', 'pwd'])}",
        ]
        return self.pick(made)


def fill(template: str, values: dict[str, str], rng: random.Random) -> str:
    """The template with its slots filled, Korean particles chosen by the last letter."""

    def put(found: re.Match[str]) -> str:
        value, particle = values[found[1]], found[2]
        if particle is None:
            return value
        if particle == "cap":
            return value[:1].upper() + value[1:]
        return value + _particle(value, particle, rng)

    return _SLOT.sub(put, template)


_PARTICLES = {
    "은": "는",
    "이": "가",
    "을": "를",
    "과": "와",
    "으로": "로",
    "이다": "다",
    "이에요": "예요",
    "이라": "라",
    "이라고": "라고",
    "이야": "야",
    "이나": "나",
    "이며": "며",
    "이고": "고",
    "이었다": "였다",
    "아": "야",
}
_DIGITS = {"0": "ㅇ", "1": "ㄹ", "3": "ㅁ", "6": "ㄱ", "7": "ㄹ", "8": "ㄹ"}  # read in Korean


def _particle(word: str, after_consonant: str, rng: random.Random) -> str:
    """The particle after `word`; after Latin letters people write either."""
    last = word.rstrip("\"'`)]")[-1:]
    if "가" <= last <= "힣":
        final = (ord(last) - 0xAC00) % 28
        is_consonant, is_liquid = final > 0, final == 8
    elif last.isdigit():
        is_consonant, is_liquid = last in _DIGITS, _DIGITS.get(last) == "ㄹ"
    else:
        is_consonant = rng.random() < 0.5
        is_liquid = False
    if after_consonant == "으로" and is_liquid:
        is_consonant = False
    return after_consonant if is_consonant else _PARTICLES[after_consonant]
