"""Judging one request by websockify's request handler, which has no socket.

In: a proxy, and what a client asks for. Out: Allow or Deny, as the handler would have had it. The handler's class is the user's own: its
head is parsed, its validate_connection(), auth_connection() and new_websocket_client() are called, in websockify's order, over a connection
that keeps what is sent. What it would answer becomes the denial; who it would join with the browser becomes the target.
"""

import functools
import http.client
import io
import os
import socket
import ssl

from websockify import websocketproxy, websockifyserver

from penstock.values import Allow, Deny
from penstock.websockify.refusal import Unsupported

Handler = websocketproxy.ProxyRequestHandler
# What would no longer be called, although it may be there to filter or to protect something.
NEVER_CALLED = ("do_proxy", "recv_frames", "send_frames")
OF_PAGES = ("do_GET", "do_HEAD", "do_POST", "do_PUT", "do_OPTIONS", "send_head", "list_directory", "translate_path", "end_headers")
TOO_EARLY = "new_websocket_client() talks to the browser before do_proxy(): there is no WebSocket yet"
# The engine's own: they say where an answer ends.
OF_THE_ENGINE = {"connection", "content-length", "content-type", "date", "server", "transfer-encoding"}


def judge(handler, has_pages):
    """Whether requests can be judged by this class; what its operator should know."""
    if not issubclass(handler, Handler):
        raise Unsupported(f"{handler.__name__}: expected a subclass of websockify's ProxyRequestHandler: others talk to the browser themselves")
    for name in NEVER_CALLED:
        if overrides(handler, name):
            raise Unsupported(f"{handler.__name__}.{name}() would not be called: bytes do not pass through Python. Use websockify's own proxy")
    names = [name for name in OF_PAGES if overrides(handler, name)] if has_pages else []
    warnings = [f"{handler.__name__}.{name}() is not called for pages: the engine serves them" for name in names]
    if handler.SocketClass is not websockifyserver.CompatibleWebSocket:
        warnings.append(f"{handler.__name__}.SocketClass is not used: the engine agrees on `binary` or `base64`")
    return warnings


def overrides(handler, name):
    """Whether it is not websockify's any more."""
    return getattr(handler, name, None) is not getattr(Handler, name, None)


def answer(server, request):
    """What `server`, a proxy that is this request's alone, says of it."""
    connection = Connection(request.head, request.common_name)
    client = client_address(request.client, request.tls)
    if is_without_certificate(server, request):
        server.msg("%s: shows no certificate, and verify_client wants one with a common name", client[0])
        return Deny(403)
    asked = None
    try:
        handler = asking(server.RequestHandlerClass)
        asked = handler.__new__(handler)
        asked.__init__(connection, client, server)
    except server.EClose as error:
        server.msg("%s: %s", client[0], error)
    except Exception as error:
        # Whoever was handed over is no longer the handler's to shut down, and it may complain about that.
        if asked is None or asked.verdict is None:
            server.msg("handler exception: %s", error)
            server.vmsg("exception", exc_info=True)
            if isinstance(error, OSError) and connection.is_upgraded:
                return Deny(503)
    return (asked and asked.verdict) or told(connection.sent, server)


def is_without_certificate(server, request):
    """With ssl_only, the engine has refused the handshake already. Otherwise it has to let in who comes in the clear, and asks the others."""
    return server.verify_client and not server.ssl_only and request.tls and request.common_name is None


def client_address(client, is_tls):
    """As accept(2) gives it to websockify, which adds to IPv4 addresses whether there is TLS."""
    host, _, port = client.rpartition(":")
    if host.startswith("["):
        return host.strip("[]"), int(port), 0, 0
    return host or "unix", int(port or 0), is_tls


def told(sent, server):
    """The denial that a handler has written."""
    line, _, rest = bytes(sent).partition(b"\r\n")
    words = line.decode("latin-1").split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        return Deny(403)
    status, reason = int(words[1]), "".join(words[2:])
    if not 300 <= status <= 599:
        server.warn("a request is answered by 403, as %d is no denial, nor leads elsewhere", status)
        return Deny(403)
    # What goes on in a further line is one line here.
    headers = [(name, " ".join(value.split())) for name, value in http.client.parse_headers(io.BytesIO(rest)).items()]
    usual = http.client.responses.get(status)
    return Deny(
        status,
        headers=tuple((name, value) for name, value in headers if name.lower() not in OF_THE_ENGINE),
        message=reason if reason and reason != usual else None,
    )


class Connection:
    """What a handler finds in the place of its client's socket."""

    def __init__(self, head, common_name):
        self._head = head
        self._common_name = common_name
        self.sent = bytearray()
        self.is_upgraded = False

    def makefile(self, mode="r", *_, **__):
        return io.BytesIO(self._head) if "r" in mode else _Sent(self.sent)

    def sendall(self, data, *_):
        self.sent += data

    def send(self, data, *_):
        self.sent += data
        return len(data)

    def getpeercert(self, binary_form=False):
        """Of a certificate, its common name alone is known here."""
        if self._common_name is None or binary_form:
            return None
        return {"subject": ((("commonName", self._common_name),),)}

    def setsockopt(self, *_):
        """The engine's."""

    settimeout = shutdown = close = setsockopt


class _Sent(io.RawIOBase):
    def __init__(self, sent):
        self._sent = sent

    def writable(self):
        return True

    def write(self, data):
        self._sent += data
        return len(data)


class Upgrade:
    """What a handler finds in the place of its WebSocket. The engine has the real one, and answers by 101 once there is a verdict."""

    def __init__(self, *_handler):
        """Later versions of websockify tell it its handler."""

    def accept(self, connection, _headers):
        self._connection = connection
        connection.is_upgraded = True

    def __getattr__(self, name):
        return getattr(self._connection, name)


class Asking:
    """In front of a user's class: what would carry bytes says to whom instead."""

    SocketClass = Upgrade
    verdict = None

    def parse_request(self):
        # websockify adds the certificate's name behind what the client calls itself, and plugins take the first.
        parsed = super().parse_request()
        if parsed:
            for name in [name for name in self.headers if name.upper().startswith("SSL_")]:
                del self.headers[name]
        return parsed

    def do_proxy(self, target):
        if type(target) is not socket.socket:
            kind = "TLS within Python" if isinstance(target, ssl.SSLSocket) else type(target).__name__
            raise Unsupported(f"the target is {kind}, which can't be handed over to the engine: its listeners speak TLS and VNC's logins (`vnc`, `upstream_tls`)")
        name = named(self.server) or peer(target)
        self.verdict = Allow(target=name, descriptor=socket.socket(fileno=target.detach()))

    def recv_frames(self):
        raise Unsupported(TOO_EARLY)

    def send_frames(self, bufs=None):
        raise Unsupported(TOO_EARLY)

    def send_ping(self, data=b""):
        raise Unsupported(TOO_EARLY)

    send_pong = send_ping

    def send_close(self, code=1000, reason=""):
        """It would have been closed after its 101; so it does not come to that."""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else reason
        self.verdict = Deny(503 if code == 1011 else 403, message=text or None)


class Naming(Asking):
    """The same where the target is websockify's to find: the engine connects to it."""

    def new_websocket_client(self):
        server = self.server
        path = os.fsdecode(server.unix_target or "")
        if path.startswith("\0"):
            # An abstract socket, which the engine takes as it is.
            return super().new_websocket_client()
        if path and not server.wrap_cmd:
            self.log_message("connecting to unix socket: %s", path)
            # From where websockify, too, would look for it, which is --web's folder, or the root of a daemon.
            target = f"unix:{os.path.abspath(path)}"
        else:
            self.log_message("connecting to: %s:%s", server.target_host, server.target_port)
            target = "tcp://" + reached(self)
        self.verdict = Allow(target=target)


def reached(handler):
    """The address of websockify's target, or what websockify does where it can't be reached."""
    server = handler.server
    try:
        return address(server.target_host, server.target_port)
    except (OSError, TypeError, ValueError) as error:
        handler.log_message("Failed to connect to %s:%s: %s", server.target_host, server.target_port, error)
        raise handler.CClose(1011, "Failed to connect to downstream server") from error


def named(server):
    """What websockify would connect to: a certificate of the target's is for that, and not for the address behind it."""
    if server.unix_target or not (server.target_host and server.target_port):
        return None
    return address(server.target_host, server.target_port)


def peer(target):
    """What is at the other end. The engine has no words for zones of addresses, nor for abstract sockets."""
    try:
        name = target.getpeername()
    except OSError:
        return None
    if isinstance(name, tuple):
        return address(name[0].partition("%")[0], name[1])
    return f"unix:{name}" if name and isinstance(name, str) else None


@functools.lru_cache(maxsize=None)
def asking(handler):
    """The class that asks a user's."""
    front = Asking if overrides(handler, "new_websocket_client") else Naming
    return type(handler.__name__, (front, handler), {})


def address(host, port):
    """As the engine reads it, which takes the host for the name in a target's certificate; without a host, this one. Plugins may have found
    bytes, or the name of a service."""
    host = os.fsdecode(host or "localhost")
    if not host.isascii():
        host = host.encode("idna").decode()
    try:
        port = int(port)
    except ValueError:
        port = socket.getservbyname(port, "tcp")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
