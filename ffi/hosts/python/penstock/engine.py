"""An engine: it carries the bytes of tunnels on threads of its own, and asks and tells the program by callables.

In: descriptors, or a configuration with listeners. Out: one completion for each tunnel and connection. A callable that is handed over here
is called on the engine's thread, one at a time: it may wait, and holds up nothing but other callables. What it raises is logged.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import threading
import weakref
from typing import Any, Callable, Dict, Iterator, Optional

from penstock import _abi
from penstock.values import Allow, Answer, Completion, Deny, Error, Pending, Request, Status

LOG = logging.getLogger("penstock")
DRIVERS = {"auto": 0, "uring": 1, "epoll": 2}
WEB_SOCKETS = {None: 0, "binary": 1, "base64": 2}
HALF_CLOSES = {None: 0, "close": 1, "forward": 2}
LEVELS = {"off": 0, "error": 1, "warn": 2, "info": 3, "debug": 4}
VERDICTS = {"deny": 0, "allow": 1, "pending": 2}
COUNTS = [name for name, _ in _abi.Counts._fields_ if name not in ("size", "driver")]


class Engine:
    """One engine, which ends with its `with` block, or with `close()`."""

    def __init__(self, *, config: Optional[str] = None, workers: int = 0, driver: str = "auto", max_tunnels: int = 0, memory_per_worker: int = 0) -> None:
        """Without `config`: for tunnels that are handed over. 0 is the usual; penstock.h has what that is."""
        self._library = library()
        values = _abi.Values(workers=workers, driver=DRIVERS[driver], max_tunnels=max_tunnels, memory_per_worker=memory_per_worker)
        handle = _abi.Engine()
        if config is None:
            _check(self._library.penstock_create(values, handle))
        else:
            text = config.encode()
            _check(self._library.penstock_create_from_toml(text, len(text), values, handle))
        self._handle = handle.value
        # Callbacks live as long as the engine may call them.
        self._callbacks: Dict[str, Any] = {}
        self._finalizer = weakref.finalize(self, _free, self._library, self._handle, self._callbacks)

    @classmethod
    def from_toml(cls, text: str, **values: Any) -> Engine:
        """An engine of a configuration: the text of a file as the daemon reads it."""
        return cls(config=text, **values)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def on_authorise(self, ask: Callable[[Request], Answer]) -> None:
        """Has `ask` judge every client of listeners with `policy = "host"`. Before `start`. If it raises, the client is denied."""
        decide = _decider(self._library)

        def authorise(engine: int, request: Any, _: object) -> int:
            try:
                answer = ask(_request(request.contents))
                if not isinstance(answer, Pending):
                    decide(engine, request.contents.id, answer)
                return VERDICTS["pending"]
            except Exception:
                LOG.exception("a request could not be judged, and is denied")
                return VERDICTS["deny"]

        self._set("on_authorise", _abi.Authorise(authorise))

    def on_completion(self, told: Callable[[Completion], object]) -> None:
        """Has `told` hear of every end. Before `start`."""
        names = self._library

        def completed(_engine: int, completion: Any, _: object) -> None:
            try:
                told(_completion(names, completion.contents))
            except Exception:
                LOG.exception("an end could not be told")

        self._set("on_completion", _abi.Completed(completed))

    def _set(self, name: str, callback: Any) -> None:
        _check(getattr(self._library, "penstock_" + name)(self._handle, callback, None))
        self._callbacks[name] = callback

    def completion_fd(self) -> int:
        """A descriptor that polls readable while ends wait for `completions()`. Before `start`, instead of `on_completion`."""
        descriptor = ctypes.c_int()
        _check(self._library.penstock_completion_fd(self._handle, descriptor))
        return descriptor.value

    def completions(self) -> Iterator[Completion]:
        """Takes the ends that wait; never waits itself."""
        while True:
            completion = _abi.Completion()
            status = self._library.penstock_next_completion(self._handle, completion)
            if status == Status.EMPTY:
                return
            _check(status)
            yield _completion(self._library, completion)

    def listen(self, listener: str, socket: Any) -> None:
        """Has the engine accept on a listening socket, on the terms of that listener. The socket is the engine's then."""
        _check(self._library.penstock_listen(self._handle, listener.encode(), _number(socket)))
        _let_go(socket)

    def start(self) -> None:
        """Starts the workers; nothing is half started."""
        _check(self._library.penstock_start(self._handle))

    def address(self, listener: str, index: int = 0) -> str:
        """Where a listener listens."""
        buffer = ctypes.create_string_buffer(128)
        _check(self._library.penstock_listener_address(self._handle, listener.encode(), index, buffer, len(buffer)))
        return buffer.value.decode()

    def tunnel(
        self,
        client: Any,
        target: Any,
        *,
        terms: Optional[str] = None,
        target_name: Optional[str] = None,
        web_socket: Optional[str] = None,
        half_close: Optional[str] = None,
        client_early: bytes = b"",
        target_early: bytes = b"",
        idle: float = 0,
        lifetime: float = 0,
        heartbeat: float = 0,
        user_data: int = 0,
    ) -> int:
        """Joins two connected streams, sockets or their numbers, and gives the tunnel's number. Both are the engine's then; if it raises, they
        are still the caller's. Times are in seconds; 0: as the terms say."""
        options = _abi.TunnelOptions(
            web_socket=WEB_SOCKETS[web_socket],
            half_close=HALF_CLOSES[half_close],
            terms=_bytes(terms),
            target_name=_bytes(target_name),
            client_early=client_early or None,
            client_early_length=len(client_early),
            target_early=target_early or None,
            target_early_length=len(target_early),
            idle_ms=_milliseconds(idle),
            lifetime_ms=_milliseconds(lifetime),
            heartbeat_ms=_milliseconds(heartbeat),
            user_data=user_data,
        )
        number = _abi.Id()
        _check(self._library.penstock_tunnel(self._handle, _number(client), _number(target), options, number))
        _let_go(client)
        _let_go(target)
        return number.value

    def decide(self, request: int, answer: Answer) -> None:
        """Decides about a request that is pending. Status NO_TUNNEL: its client has gone, or its time is over; a descriptor is still the caller's."""
        _decider(self._library)(self._handle, request, answer)

    def cancel(self, tunnel: int) -> None:
        """Ends a tunnel or a connection, soon."""
        _check(self._library.penstock_cancel(self._handle, tunnel))

    def metrics(self) -> Dict[str, Any]:
        """What was counted since the start; of pairs, the first is towards targets (of handshakes: with clients)."""
        counts = _abi.Counts()
        _check(self._library.penstock_metrics(self._handle, counts))
        values = {name: getattr(counts, name) for name in COUNTS}
        return {name: value if isinstance(value, int) else tuple(value) for name, value in values.items()}

    def metrics_text(self) -> str:
        """Everything that is counted, in the text format of Prometheus."""
        needed = ctypes.c_size_t()
        buffer = ctypes.create_string_buffer(1 << 16)
        while True:
            status = self._library.penstock_metrics_text(self._handle, buffer, len(buffer), needed)
            if status != Status.TRUNCATED:
                _check(status)
                return buffer.value.decode()
            buffer = ctypes.create_string_buffer(needed.value + 4096)

    def stop(self, drain: float = 0) -> None:
        """Listeners close at once, tunnels may end by themselves for `drain` seconds. Waits. A second call with 0 makes the end come at once."""
        _check(self._library.penstock_stop(self._handle, _milliseconds(drain)))

    def close(self) -> None:
        """Ends and frees the engine, if it was not done yet. Within a callback of its own: as soon as that has returned."""
        self._finalizer()


def library() -> Any:
    """The library, loaded once."""
    global _LIBRARY
    if _LIBRARY is None:
        _LIBRARY = _abi.load()
    return _LIBRARY


_LIBRARY: Any = None
_LOGGED: Any = None


def version() -> str:
    """The version of the library."""
    return str(library().penstock_version().decode())


def on_log(level: str, logged: Optional[Callable[[str, str], object]]) -> None:
    """Has messages of all engines of this process told to `logged(level, message)`, on a thread of their own; None ends that."""
    global _LOGGED
    if logged is None:
        return _end_log()
    words = {number: word for word, number in LEVELS.items()}

    def told(number: int, message: bytes, _: object) -> None:
        try:
            logged(words.get(number, "info"), message.decode(errors="replace"))
        except Exception:
            LOG.exception("a message could not be logged")

    callback = _abi.Logged(told)
    _check(library().penstock_on_log(LEVELS[level], callback, None))
    if _LOGGED is None:
        atexit.register(_end_log)
    _LOGGED = callback


def _end_log() -> None:
    """A thread that comes to Python when it is on its way out is ended there, which would take the process along."""
    library().penstock_on_log(LEVELS["off"], _abi.Logged(), None)


def _free(library: Any, handle: int, callbacks: Dict[str, Any]) -> None:
    if library.penstock_free(handle) == Status.IN_CALLBACK:
        # Of its own callback, which has to return first. What it is called with lives as long as the thread.
        threading.Thread(target=_free, args=(library, handle, callbacks)).start()


def _check(status: int) -> None:
    if status == Status.OK:
        return
    buffer = ctypes.create_string_buffer(4096)
    library().penstock_last_error(buffer, len(buffer))
    sentence = library().penstock_status_text(status).decode()
    raise Error(status, sentence, buffer.value.decode(errors="replace"))


def _decider(library: Any) -> Callable[[int, int, Answer], None]:
    def decide(engine: int, request: int, answer: Answer) -> None:
        _check(library.penstock_decide(engine, request, _decision(answer)))
        if isinstance(answer, Allow) and answer.descriptor is not None:
            _let_go(answer.descriptor)

    return decide


def _decision(answer: Answer) -> _abi.Decision:
    if isinstance(answer, Allow):
        descriptor = answer.descriptor
        return _abi.Decision(
            verdict=VERDICTS["allow"],
            target=_bytes(answer.target),
            has_descriptor=int(descriptor is not None),
            target_descriptor=-1 if descriptor is None else _number(descriptor),
            target_early=answer.early or None,
            target_early_length=len(answer.early),
            user_data=answer.user_data,
        )
    if not isinstance(answer, Deny):
        raise TypeError(f"expected Allow or Deny, got {answer!r}")
    headers = "".join(_field(name, value) for name, value in answer.headers)
    return _abi.Decision(
        verdict=VERDICTS["deny"],
        http_status=answer.status,
        message=_bytes(answer.message),
        headers=_bytes(headers or None),
        user_data=answer.user_data,
    )


def _field(name: str, value: str) -> str:
    if any(end in text for text in (name, value) for end in "\r\n"):
        raise ValueError(f"{name!r}: a field of an answer is one line")
    return f"{name}: {value}\r\n"


def _request(request: _abi.Request) -> Request:
    names = ("listener", "client", "common_name", "method", "target", "path", "token")
    texts = {name: _text(getattr(request, name)) for name in names}
    head = ctypes.string_at(request.head, request.head_length) if request.head else b""
    return Request(id=request.id, tls=bool(request.tls), head=head, **texts)


def _completion(names: Any, completion: _abi.Completion) -> Completion:
    same = ("id", "bytes_to_target", "bytes_to_client", "bytes_spliced", "http_status")
    texts = ("listener", "client", "target", "detail")
    return Completion(
        side=names.penstock_side_name(completion.side).decode(),
        phase=names.penstock_phase_name(completion.phase).decode(),
        cause=names.penstock_cause_name(completion.cause).decode(),
        duration=completion.duration_us / 1e6,
        handed_over=bool(completion.handed_over),
        user_data=completion.user_data or 0,
        **{name: getattr(completion, name) for name in same},
        **{name: getattr(completion, name).decode(errors="replace") for name in texts},
    )


def _text(value: Optional[bytes]) -> Optional[str]:
    return None if value is None else value.decode(errors="replace")


def _bytes(text: Optional[str]) -> Optional[bytes]:
    if text is not None and "\0" in text:
        raise ValueError("a NUL ends a text of C: it can't be in there")
    return None if text is None else text.encode()


def _milliseconds(seconds: float) -> int:
    if not seconds >= 0:
        raise ValueError(f"expected seconds, none of them below 0, got {seconds}")
    return min(int(seconds * 1000), _abi.NEVER - 1) if seconds < 2**53 else _abi.NEVER


def _number(stream: Any) -> int:
    return stream if isinstance(stream, int) else int(stream.fileno())


def _let_go(stream: Any) -> None:
    """What was a socket's number is the engine's, which may have closed it already."""
    if not isinstance(stream, int):
        stream.detach()
