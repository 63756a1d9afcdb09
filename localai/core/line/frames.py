"""What goes over a line: MessagePack in frames, typed at both ends; the one file with msgspec.

Frames are those of multiprocessing's connections, whose pickling is not used.
"""

from multiprocessing.connection import Connection
from typing import Final, TypeVar

import msgspec

MAX_FRAME: Final = 256 << 20  # bytes; a batch of passages with their vectors has some 4 MB
T = TypeVar("T")


class Call(msgspec.Struct, array_like=True, frozen=True):
    """What is asked for, and with what."""

    method: str
    arguments: msgspec.Raw


class Step(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """One of several parts of an answer."""

    body: msgspec.Raw


class Value(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """An answer in one piece."""

    body: msgspec.Raw


class Over(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """No part of the answer follows."""


class Told(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """What the person who waits for the answer should know."""

    text: str


class Failed(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """Why there is no answer; `category` is that of an error class."""

    category: str
    message: str
    hint: str | None


Reply = Step | Value | Over | Told | Failed

_encoder = msgspec.msgpack.Encoder()
_calls = msgspec.msgpack.Decoder(Call)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def packed(value: object) -> msgspec.Raw:
    """Any record, as it goes into a frame."""
    return msgspec.Raw(_encoder.encode(value))


def unpacked(body: msgspec.Raw, kind: type[T]) -> T:
    """The record of a frame; ValueError where it is not of that kind."""
    return msgspec.msgpack.decode(body, type=kind)


def say(connection: Connection, frame: object) -> None:
    """Send a frame."""
    connection.send_bytes(_encoder.encode(frame))


def heard_call(connection: Connection) -> Call:
    """The next call; EOFError where the other end is gone, ValueError where it is none."""
    return _calls.decode(connection.recv_bytes(MAX_FRAME))


def heard_reply(connection: Connection) -> Reply:
    """The next part of an answer; as `heard_call`."""
    return _replies.decode(connection.recv_bytes(MAX_FRAME))
