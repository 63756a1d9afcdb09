"""How an address is read, and which machines are public."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai.core.address import address, is_address, is_public
from localai.core.errors import Invalid


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        ("https://example.org:443/a?b=c#d", "https://example.org/a?b=c"),
        ("http://example.org.:8080/", "http://example.org:8080/"),
        (
            "http://예시.한국/길?이름=값",
            "http://xn--vv4b11d.xn--3e0b707e/%EA%B8%B8?%EC%9D%B4%EB%A6%84=%EA%B0%92",
        ),
        ("http://faß.de/", "http://xn--fa-hia.de/"),
        ("http://[2606:4700:0:0::1111]/", "http://[2606:4700::1111]/"),
        ("http://１２７.０.０.１/", "http://127.0.0.1/"),
        ("http://a.b/x%2fy?q=%41|[]", "http://a.b/x%2fy?q=%41|[]"),
    ],
)
def test_an_address_has_one_spelling(text: str, spelt: str) -> None:
    """The same page is the same source, however it was typed, and stays so when read again."""
    assert str(address(text)) == spelt
    assert str(address(spelt)) == spelt


@pytest.mark.parametrize(
    "text",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://user@example.org/",
        "http://user:secret@example.org/",
        "http://@example.org/",
        "http://example.org\\@evil.org/",
        "http://example.org /",
        "http://exa\nmple.org/",
        "http://example.org:0/",
        "http://example.org:99999/",
        "http://example.org:8o/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://1.2.3.4.5/",
        "http://127.0.0.1../",
        "http://[fe80::1%25eth0]/",
        "http://[::1/",
        "http://a..b/",
        "http://ex%61mple.org/",
        "http://" + "a" * 64 + ".org/",
        "http://example.org/" + "a" * 5000,
        "http://exam\udce9ple.org/",
        "http://example.org/\udce9",
    ],
)
def test_what_could_be_read_in_two_ways_is_no_address(text: str) -> None:
    """Numbers in disguise, names in front, and whatever parsers disagree about."""
    with pytest.raises(Invalid):
        address(text)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_invalid(text: str) -> None:
    """What a stranger wrote raises nothing else, and what is read once is read again."""
    for each in (text, f"http://{text}", f"https://a.b/{text}"):
        try:
            found = address(each)
        except Invalid:
            continue
        assert address(str(found)) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    [("https://a.b", True), ("FTP://x", True), ("notes/a.md", False), ("C:x", False), ("-", False)],
)
def test_a_scheme_makes_an_address(text: str, expected: bool) -> None:
    """A path never has two slashes behind a word and a colon."""
    assert is_address(text) is expected


@pytest.mark.parametrize(
    "ip",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.254",
        "127.0.0.1",
        "127.8.8.8",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_a_machine_of_this_house_is_not_public(ip: str) -> None:
    """In whatever form its number is written."""
    assert not is_public(ip_address(ip))


@pytest.mark.parametrize(
    "ip",
    [
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "2606:4700::1111",
        "2a00:1450::1",
        "64:ff9b::808:808",
        "2002:808:808::1",
    ],
)
def test_a_machine_of_the_internet_is_public(ip: str) -> None:
    """Networks that only translate IPv4 are as public as what they lead to."""
    assert is_public(ip_address(ip))
