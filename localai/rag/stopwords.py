"""Words that a question has and an answer does not; pure.

BM25 weighs a word by how rare it is, and in a collection of Korean documents "the" is rare. So
they are left out of questions. Passages keep them: nothing has to be indexed again.
"""

import re
import unicodedata

_ENGLISH = (
    "a about after all am an and any are as at be been before being but by can could did do does"
    " doing don for from had has have having he her his how i if in into is isn it its just ll me"
    " my no nor not of off on once or our out re s she should so some such t than that the their"
    " them then there these they this those to too up us ve very was we were what when where which"
    " while who whom whose why will with would you your"
)
# Question words, and the forms of `to do`, `to be` and `to want` that end a question.
_KOREAN = (
    "누가 누구 누구의 누구인가 무슨 무엇 무엇을 무엇이 무엇인가 무엇인가요 뭐 뭐가 뭐야 뭔가요 뭘"
    " 어느 어디 어디에 어디에서 어디서 어디인가 어떤 어떻게 언제 언제까지 언제예요 언제인가 얼마"
    " 얼마나 왜 며칠 몇 하기 하나요 하는 하니 하려면 하면 할 합니까 해요 해줘 했나요 했니 했어 된"
    " 되나요 되니 되면 돼 돼요 됩니까 있나요 있는 있니 있습니까 있어요 싶습니다 싶어 싶어요 주세요"
    " 알려줘 알려주세요 것 것은 것이 거 그 나는 내가 때 방법 수 이 저 제가 좀"
)
_STOPWORDS = frozenset(f"{_ENGLISH} {_KOREAN}".split())
_WORD = re.compile(r"\w+")


def without_stopwords(question: str) -> str:
    """The question's other words; the question itself where it has no others.

    What is written in capitals is a name: `IT`, `WHO`.
    """
    words = _WORD.findall(unicodedata.normalize("NFC", question))
    kept = [word for word in words if word.lower() not in _STOPWORDS or _is_name(word)]
    return " ".join(kept) or question


def _is_name(word: str) -> bool:
    return len(word) > 1 and word.isupper()
