"""What passes between a program and its engine: requests and answers to them, ends, counts, errors."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, Optional, Sequence, Tuple, Union

Text = Optional[str]


class Status(enum.IntEnum):
    """What a call answers; penstock.h says when."""

    OK = 0
    NULL = 1
    NO_ENGINE = 2
    FORKED = 3
    INVALID = 4
    CONFIG = 5
    SYSTEM = 6
    NOT_STARTED = 7
    STARTED = 8
    STOPPED = 9
    NO_STREAM = 10
    FULL = 11
    BUSY = 12
    NO_TUNNEL = 13
    EMPTY = 14
    NO_LISTENER = 15
    TERMS = 16
    IN_CALLBACK = 17
    TIMED_OUT = 18
    NO_SEAT = 19
    TRUNCATED = 20
    PANIC = 21


class Error(Exception):
    """A call that was not answered by OK: `status`, and `detail`, which says what was expected and what to do."""

    def __init__(self, status: int, sentence: str, detail: str) -> None:
        super().__init__(detail or sentence)
        known = status in Status.__members__.values()
        self.status: int = Status(status) if known else status
        self.detail = detail


@dataclass(frozen=True)
class Request:
    """What a client asks for. `head` is the head of its request as it was sent; credentials may be in it, so that it is not shown."""

    id: int
    listener: str
    client: str
    tls: bool = False
    common_name: Text = None
    method: Text = None
    target: Text = None
    path: Text = field(default=None, repr=False)
    token: Text = field(default=None, repr=False)
    head: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Allow:
    """It may have it: what it asked for, or `target` (`tcp://host:port`, `unix:/path`, `host:port`), or a stream that is connected already,
    which is the engine's once it was taken. `early` is what was read of that stream."""

    target: Text = None
    descriptor: Any = None
    early: bytes = b""
    user_data: int = 0


@dataclass(frozen=True)
class Deny:
    """It may not, or has to go elsewhere: `status` is 300 to 599. `headers` are fields of the answer, such as `Location`; `message` is for the log
    and for whoever asked: no secrets."""

    status: int = 403
    headers: Sequence[Tuple[str, str]] = ()
    message: Text = None
    user_data: int = 0


class Pending(enum.Enum):
    """It is said later, by `Engine.decide`."""

    PENDING = enum.auto()


PENDING = Pending.PENDING
Answer = Union[Allow, Deny, Pending]


@dataclass(frozen=True)
class Completion:
    """How a tunnel or a connection ended. `side`, `phase` and `cause` are the words of logs and metrics."""

    id: int
    side: str
    phase: str
    cause: str
    bytes_to_target: int
    bytes_to_client: int
    bytes_spliced: int
    duration: float
    handed_over: bool
    http_status: int
    listener: str
    client: str
    target: str
    detail: str
    user_data: int
