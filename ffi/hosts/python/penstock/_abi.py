"""penstock.h for ctypes: structures and functions, as far as they are used here.

In: the name of a library, or nothing. Out: a library of this header's ABI version whose functions know their types; another one is refused.
"""

import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_int, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

ABI_VERSION = 1
SONAME = f"libpenstock.so.{ABI_VERSION}"
NEVER = 2**64 - 1

Engine = c_uint64
Id = c_uint64


class Sized(Structure):
    """A structure that begins with its own size."""

    def __init__(self, **fields):
        super().__init__(size=ctypes.sizeof(type(self)), **fields)


class Values(Sized):
    """penstock_values"""

    _fields_ = [
        ("size", c_uint32),
        ("workers", c_uint32),
        ("host_workers", c_uint32),
        ("driver", c_uint32),
        ("max_tunnels", c_uint32),
        ("reserved", c_uint32),
        ("memory_per_worker", c_uint64),
    ]


class TunnelOptions(Sized):
    """penstock_tunnel_options"""

    _fields_ = [
        ("size", c_uint32),
        ("web_socket", c_uint32),
        ("half_close", c_uint32),
        ("reserved", c_uint32),
        ("terms", c_char_p),
        ("target_name", c_char_p),
        ("client_early", c_char_p),
        ("client_early_length", c_size_t),
        ("target_early", c_char_p),
        ("target_early_length", c_size_t),
        ("idle_ms", c_uint64),
        ("lifetime_ms", c_uint64),
        ("heartbeat_ms", c_uint64),
        ("user_data", c_void_p),
    ]


class Completion(Sized):
    """penstock_completion"""

    _fields_ = [
        ("size", c_uint32),
        ("side", c_uint32),
        ("phase", c_uint32),
        ("cause", c_uint32),
        ("id", Id),
        ("user_data", c_void_p),
        ("bytes_to_target", c_uint64),
        ("bytes_to_client", c_uint64),
        ("bytes_spliced", c_uint64),
        ("duration_us", c_uint64),
        ("handed_over", c_uint32),
        ("http_status", c_uint32),
        ("listener", c_char * 64),
        ("client", c_char * 64),
        ("target", c_char * 256),
        ("detail", c_char * 256),
    ]


class Request(Structure):
    """penstock_request; its size is the library's."""

    _fields_ = [
        ("size", c_uint32),
        ("tls", c_uint32),
        ("id", Id),
        ("listener", c_char_p),
        ("client", c_char_p),
        ("common_name", c_char_p),
        ("method", c_char_p),
        ("target", c_char_p),
        ("path", c_char_p),
        ("token", c_char_p),
        ("head", c_void_p),
        ("head_length", c_size_t),
    ]


class Decision(Sized):
    """penstock_decision"""

    _fields_ = [
        ("size", c_uint32),
        ("verdict", c_uint32),
        ("target", c_char_p),
        ("has_descriptor", c_uint32),
        ("target_descriptor", c_int32),
        ("target_early", c_char_p),
        ("target_early_length", c_size_t),
        ("http_status", c_uint32),
        ("reserved", c_uint32),
        ("message", c_char_p),
        ("headers", c_char_p),
        ("user_data", c_void_p),
    ]


class Counts(Sized):
    """penstock_counts"""

    _fields_ = [
        ("size", c_uint32),
        ("driver", c_uint32),
        ("workers", c_uint64),
        ("max_tunnels", c_uint64),
        ("connections", c_uint64),
        ("tunnels", c_uint64),
        ("tunnels_total", c_uint64),
        ("accepted", c_uint64),
        ("handed_over", c_uint64),
        ("closed", c_uint64),
        ("bytes_copied", c_uint64 * 2),
        ("bytes_spliced", c_uint64 * 2),
        ("splice_refused", c_uint64),
        ("backpressure", c_uint64),
        ("handshakes", c_uint64 * 2),
        ("handshakes_failed", c_uint64 * 2),
        ("upgrades", c_uint64),
        ("requests_refused", c_uint64),
        ("answers_stale", c_uint64),
        ("completions_waiting", c_uint64),
    ]


Completed = CFUNCTYPE(None, Engine, POINTER(Completion), c_void_p)
Authorise = CFUNCTYPE(c_uint32, Engine, POINTER(Request), c_void_p)
Logged = CFUNCTYPE(None, c_uint32, c_char_p, c_void_p)

# What they answer, and what they take. Where a callback may be none, it is a pointer: ctypes makes no null function.
FUNCTIONS = {
    "version": (c_char_p, ()),
    "abi_version": (c_uint32, ()),
    "features": (c_uint32, ()),
    "status_text": (c_char_p, (c_uint32,)),
    "last_error": (c_uint32, (c_char_p, c_size_t)),
    "create": (c_uint32, (POINTER(Values), POINTER(Engine))),
    "create_from_toml": (c_uint32, (c_char_p, c_size_t, POINTER(Values), POINTER(Engine))),
    "listen": (c_uint32, (Engine, c_char_p, c_int)),
    "start": (c_uint32, (Engine,)),
    "listener_address": (c_uint32, (Engine, c_char_p, c_size_t, c_char_p, c_size_t)),
    "stop": (c_uint32, (Engine, c_uint64)),
    "free": (c_uint32, (Engine,)),
    "tunnel": (c_uint32, (Engine, c_int, c_int, POINTER(TunnelOptions), POINTER(Id))),
    "cancel": (c_uint32, (Engine, Id)),
    "on_completion": (c_uint32, (Engine, Completed, c_void_p)),
    "completion_fd": (c_uint32, (Engine, POINTER(c_int))),
    "next_completion": (c_uint32, (Engine, POINTER(Completion))),
    "on_authorise": (c_uint32, (Engine, Authorise, c_void_p)),
    "decide": (c_uint32, (Engine, Id, POINTER(Decision))),
    "side_name": (c_char_p, (c_uint32,)),
    "phase_name": (c_char_p, (c_uint32,)),
    "cause_name": (c_char_p, (c_uint32,)),
    "metrics": (c_uint32, (Engine, POINTER(Counts))),
    "metrics_text": (c_uint32, (Engine, c_char_p, c_size_t, POINTER(c_size_t))),
    "on_log": (c_uint32, (c_uint32, Logged, c_void_p)),
}


class LibraryError(ImportError):
    """There is no library, or none of this header's ABI version."""


def load(name=None):
    """The library: PENSTOCK_LIBRARY, or the system's."""
    name = name or os.environ.get("PENSTOCK_LIBRARY") or SONAME
    try:
        library = ctypes.CDLL(name)
        declare(library, "abi_version")
    except (OSError, AttributeError) as error:
        raise LibraryError(f"{error}: expected Penstock's library: install it, or name its file by PENSTOCK_LIBRARY") from error
    found = library.penstock_abi_version()
    if found != ABI_VERSION:
        raise LibraryError(f"{name} has ABI version {found}, expected {ABI_VERSION}: install the library that belongs to this package")
    for function in FUNCTIONS:
        declare(library, function)
    return library


def declare(library, name):
    """Types of one function."""
    function = getattr(library, "penstock_" + name)
    function.restype, function.argtypes = FUNCTIONS[name]
