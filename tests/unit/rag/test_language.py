"""Which language a text is in."""

import pytest

from localai.rag.language import is_korean


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("승인은 어떻게 하나요?", True),
        ("ai approve 명령은 무엇을 하나요", True),
        ("How do I approve?", False),
        ("what does 승인 mean in the approvals list", False),
        ("日本語の文章です", False),
        ("12345 !?", False),
        ("", False),
    ],
)
def test_korean_is_three_letters_in_ten(text: str, verdict: bool) -> None:
    """Mixed questions are Korean when enough of their letters are."""
    assert is_korean(text) is verdict
