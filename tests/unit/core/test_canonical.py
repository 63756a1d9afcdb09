"""JSON is read in one way only and spelled in one way only."""

import json
import math
import struct

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from localai.core.canonical import canonical, digest, parse, parse_object
from localai.core.errors import Invalid

SAFE = 2**53 - 1

numbers = st.integers(-SAFE, SAFE) | st.floats(-SAFE, SAFE, allow_nan=False)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("true", True),
        ("-0", 0),
        ("9007199254740991", SAFE),
        ("-9007199254740991", -SAFE),
        ("1e15", 1e15),
        ('"\\ud83d\\ude00"', "\U0001f600"),
        ('"\\u0000"', "\0"),
        ('{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}', {"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}),
        (' \n\t{"경로": "문서.txt"}\r ', {"경로": "문서.txt"}),
    ],
)
def test_a_text_with_one_meaning_is_read(text: str, value: object) -> None:
    """Escapes, white space and keys that repeat on different levels are JSON."""
    assert parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"a": 1,}',
        "{'a': 1}",
        '{"a": 1} {"a": 1}',
        "[01]",
        "+1",
        "1.",
        ".5",
        "0x10",
        '"tab\tinside"',
        '"\\x41"',
        "\ufeff{}",
        "// no\n{}",
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    """Nothing outside the grammar is guessed at."""
    with pytest.raises(Invalid, match="not acceptable as JSON"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"path": "a", "path": "b"}',
        '{"path": "a", "\\u0070ath": "b"}',
        '[{"x": {"y": 1, "y": 1}}]',
    ],
)
def test_a_key_that_stands_twice_is_refused(text: str) -> None:
    """Two readers would take different values, even where the key is spelled with an escape."""
    with pytest.raises(Invalid, match="stands twice"):
        parse(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    """NaN and the infinities are Python's, not JSON's."""
    with pytest.raises(Invalid, match="is not a JSON number"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    ["9007199254740992", "-9007199254740992", "1" * 400, "9007199254740992.0", "1e20", "1e400"],
)
def test_a_number_beyond_2_to_the_53_is_refused(text: str) -> None:
    """Readers disagree about it, whether it is spelled as an integer or as a float."""
    with pytest.raises(Invalid, match=r"beyond 2\^53"):
        parse(text)


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udfff": 1}', '["\\ude00\\ud83d"]', '"\ud800"'])
def test_a_lone_surrogate_is_refused(text: str) -> None:
    """Half a character has no UTF-8 spelling."""
    with pytest.raises(Invalid):
        parse(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_nesting_without_end_is_refused(text: str) -> None:
    """A text that would exhaust the stack is invalid, not a crash."""
    with pytest.raises(Invalid):
        parse(text)


@pytest.mark.parametrize("text", ["[]", '"a"', "1", "null"])
def test_a_value_that_is_no_object_is_refused_as_arguments(text: str) -> None:
    """Arguments have names."""
    with pytest.raises(Invalid, match="a JSON object is needed"):
        parse_object(text)


def test_an_object_is_read() -> None:
    """The plain case of arguments."""
    assert parse_object('{"path": "a.txt"}') == {"path": "a.txt"}


@pytest.mark.parametrize(
    ("bits", "spelling"),
    [
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_spelled_as_in_appendix_b_of_rfc_8785(bits: str, spelling: str) -> None:
    """The RFC's own table of IEEE 754 bits and their spelling."""
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert canonical(number) == spelling.encode()


def test_the_example_of_rfc_8785_is_spelled_as_printed_there() -> None:
    """Sections 3.2.2 and 3.2.3: numbers, strings, literals, sorted keys."""
    value = json.loads(
        r"""{
          "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
          "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
          "literals": [null, true, false]
        }"""
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(value) == expected.encode()


def test_keys_are_sorted_by_their_utf_16_units() -> None:
    """Section 3.2.3: an emoji sorts before a Hebrew presentation form, as no other order does."""
    value = json.loads(
        r"""{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter",
        "1": "One", "\ud83d\ude00": "Emoji", "\u0080": "Control", "\u00f6": "Latin"}"""
    )
    assert list(json.loads(canonical(value))) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 2**53, "\ud800", {"a": {1, 2}}, {1: "a"}, {"a": b"bytes"}]
)
def test_a_value_without_a_spelling_is_refused(value: object) -> None:
    """Canonical JSON exists for JSON values alone."""
    with pytest.raises(Invalid, match="canonical JSON"):
        canonical(value)


def test_a_value_nested_without_end_is_refused() -> None:
    """The stack's end is an invalid value too."""
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Invalid):
        canonical(value)


@given(values)
def test_what_is_spelled_is_read_back_the_same(value: object) -> None:
    """Spelling and reading are inverse, and the spelling is stable."""
    spelled = canonical(value)
    again = parse(spelled.decode())
    assert again == value
    assert canonical(again) == spelled


@given(st.lists(st.integers() | st.floats()).map(json.dumps))
def test_whatever_is_accepted_can_be_spelled_and_read_again(text: str) -> None:
    """No argument that is accepted once is refused when the stored action is read."""
    try:
        value = parse(text)
    except Invalid:
        reject()
    assert parse(canonical(value).decode()) == value


@given(values, values)
def test_different_values_have_different_digests(one: object, other: object) -> None:
    """The digest stands for the value: equal exactly where the spelling is."""
    is_same = canonical(one) == canonical(other)
    assert (digest("d", one) == digest("d", other)) is is_same


def test_a_digest_is_bound_to_its_domain() -> None:
    """The same value under another name is another thing; known answer from sha256sum."""
    assert digest("localai-approval-v1", {}) != digest("localai-approval-v2", {})
    known = "06c1f765217d745f0316395bd93976f21a2cec000f20928320184e16941d9af5"
    assert digest("localai-approval-v1", {"b": 1, "a": "가"}) == known
