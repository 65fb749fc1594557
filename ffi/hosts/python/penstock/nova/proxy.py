"""nova's class over the engine.

In: what nova's command gives it. Out: consoles. Who may have one is said by nova's own request handler; how a VNC server is logged in to is
nova's configuration, and done by the engine: TLS that Python speaks could not be handed over.
"""

import nova.conf
from nova.console import websocketproxy
from nova.console.securityproxy import rfb

from penstock.websockify import EngineServer, Unsupported

CONF = nova.conf.CONF


class NovaWebSocketProxy(EngineServer, websocketproxy.NovaWebSocketProxy):
    """nova's own, over the engine."""

    def terms(self):
        if self.security_proxy is None:
            return {}
        if type(self.security_proxy) is not rfb.RFBSecurityProxy:
            raise Unsupported(
                f"{type(self.security_proxy).__name__}: a security proxy of your own talks to browser and console in Python, which can't be "
                "handed over: log in by the engine's `vnc` instead (docs/VNC.md)"
            )
        return login(CONF.vnc)

    def of_request(self, number):
        own = super().of_request(number)
        # What it would do, the engine does once the console is joined.
        own.security_proxy = None
        return own

    def judged(self):
        # nova's send_head() keeps pages from sending browsers to other hosts. So do the engine's.
        ours = f"{websocketproxy.NovaProxyRequestHandler.__name__}.send_head() "
        return [warning for warning in super().judged() if not warning.startswith(ours)]


def login(vnc):
    """nova's options of `[vnc]` as the engine's keys."""
    schemes = list(vnc.auth_schemes)
    keys = {"vnc": {"mode": "authenticate", "schemes": schemes, "order": "server"}}
    if "vencrypt" in schemes:
        files = {"ca": vnc.vencrypt_ca_certs, "cert": vnc.vencrypt_client_cert, "key": vnc.vencrypt_client_key}
        # nova asks for no name either.
        keys["upstream_tls"] = {"verify": "ca", **{key: path for key, path in files.items() if path}}
    return keys
