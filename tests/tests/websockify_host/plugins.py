"""Plugins and handlers as users of websockify write them. None of them knows who runs it."""

import sys
import time

from websockify.auth_plugins import AuthenticationError
from websockify.websocketproxy import ProxyRequestHandler


class Tokens:
    """Targets by tokens such as `HOST_PORT`; those that begin with `hang` never come, and `fail` is a mistake in here."""

    def __init__(self, source):
        self.source = source

    def lookup(self, token):
        if token.startswith("hang"):
            time.sleep(600)
        if token == "fail":
            raise KeyError("canary7")
        if not token.startswith(self.source):
            return None
        host, port = token[len(self.source):].split("_")
        return host, port


class Anybody:
    def __init__(self, source=None):
        pass

    def authenticate(self, headers, target_host, target_port):
        print("asked for", target_host, target_port, file=sys.stderr, flush=True)


class Portal:
    """Whoever is not known has to log in elsewhere first."""

    def __init__(self, source=None):
        self.source = source

    def authenticate(self, headers, target_host, target_port):
        raise AuthenticationError(response_code=302, response_headers={"Location": self.source})


class Handler(ProxyRequestHandler):
    """Who asks for another path than /console gets nothing, and to whom it connects is its own affair."""

    def validate_connection(self):
        if not self.path.startswith("/console"):
            raise self.server.EClose("no console of that name")
        super().validate_connection()

    def new_websocket_client(self):
        self.log_message("a console for %s", self.client_address[0])
        super().new_websocket_client()


if __name__ == "__main__":
    import logging

    from penstock.websockify import WebSocketProxy

    logging.basicConfig(level=logging.INFO)
    listen, target = (address.rsplit(":", 1) for address in sys.argv[1:3])
    WebSocketProxy(
        RequestHandlerClass=Handler,
        listen_host=listen[0],
        listen_port=int(listen[1]),
        target_host=target[0],
        target_port=int(target[1]),
        ssl_target=sys.argv[3:] == ["tls"],
    ).start_server()
