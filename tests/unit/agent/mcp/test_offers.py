"""What a server says of its tools: what is taken, what is left out, what counts as a change."""

from dataclasses import replace
from typing import Any

import pytest

from localai.agent.mcp import stored
from localai.agent.mcp.fit import sorted_out
from localai.agent.mcp.offers import Offer, changes
from localai.rbac.permissions import Risk

SCHEMA = {"type": "object", "properties": {"path": {"type": "string"}}}
OFFER = Offer("read", "Reads a file.", SCHEMA, {"readOnlyHint": True})


def left_out(**change: Any) -> str:
    """Why the offer with this change cannot be taken."""
    fit, unfit = sorted_out([replace(OFFER, **change)])
    assert fit == ()
    return unfit[0].why


def test_the_pin_is_the_same_however_the_json_is_ordered() -> None:
    """A server that lists its keys in another order has changed nothing."""
    turned = {"properties": {"path": {"type": "string"}}, "type": "object"}
    assert replace(OFFER, parameters=turned).sha256 == OFFER.sha256


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"description": "Reads a file. "}, "its description changed"),
        ({"parameters": {**SCHEMA, "required": ["path"]}}, "its arguments changed"),
        ({"annotations": {}}, "its annotations changed"),
        ({"description": "", "annotations": {}}, "its description and its annotations changed"),
        ({"parameters": {"type": "object", "maxProperties": 2**60}}, "its arguments changed"),
    ],
)
def test_every_part_that_a_model_or_a_person_reads_is_pinned(
    change: dict[str, Any], what: str
) -> None:
    """Also where the new one has no canonical JSON and so no digest."""
    pinned = stored.pinned(OFFER, Risk.HIGH)
    (found,) = changes([pinned], [replace(OFFER, **change)])
    assert (found.tool, found.what) == ("read", what)


def test_a_renamed_tool_is_one_that_is_gone_and_one_that_is_new() -> None:
    """The new name was never taken by anybody."""
    pinned = stored.pinned(OFFER, Risk.HIGH)
    found = {change.tool: change.what for change in changes([pinned], [replace(OFFER, name="get")])}
    assert found == {"read": "the server does not offer it any more", "get": "it is new"}


def test_a_second_tool_of_the_same_name_is_a_change() -> None:
    """Nobody knows which of the two a call would reach."""
    pinned = stored.pinned(OFFER, Risk.HIGH)
    (found,) = changes([pinned], [replace(OFFER, description="Another."), OFFER])
    assert found.what == "the server offers two tools of this name"
    assert len(sorted_out([OFFER, OFFER])[1]) == 2


def test_an_unchanged_listing_has_no_changes() -> None:
    """Else every call would be refused."""
    assert changes([stored.pinned(OFFER, Risk.HIGH)], [OFFER]) == ()


@pytest.mark.parametrize(
    "name", ["", "a b", "../up", "rеad", "a\x1b[2J", "a\n", "x" * 65, ".hidden", "a/b"]
)
def test_a_name_with_odd_characters_is_left_out(name: str) -> None:
    """Names stand in rules, requests and grammars."""
    assert "its name" in left_out(name=name)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"description": "x" * 8193}, "description is longer"),
        ({"parameters": {"type": "object", "description": "x" * 70_000}}, "is larger than"),
        ({"parameters": {"type": "string"}}, "is not one of an object"),
        ({"parameters": {}}, "is not one of an object"),
        ({"parameters": {"type": "object", "required": "path"}}, "is not a JSON schema"),
        ({"parameters": {"type": "object", "$ref": "http://10.0.0.1/x"}}, "nothing is fetched"),
        ({"parameters": {"type": "object", "maxProperties": 2**60}}, "canonical JSON"),
        ({"annotations": {"title": "\ud800"}}, "canonical JSON"),
    ],
)
def test_what_cannot_be_shown_checked_or_pinned_is_left_out(
    change: dict[str, Any], why: str
) -> None:
    """The rest of the server's tools can be taken all the same."""
    assert why in left_out(**change)
