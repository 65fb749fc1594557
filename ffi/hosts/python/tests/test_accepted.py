"""Whatever command line websockify takes, the engine takes what is made of it."""

import itertools
import logging
import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from websockify import websocketproxy

import penstock
from penstock.websockify import WebSocketProxy, listener

PLUGINS = {
    "BasicHTTPAuth": ("admin:canary7", "admin:can:ary7", "admin", ":", None),
    "ExpectOrigin": ("https://portal.example http://other.example:8080", "portal", "*", None),
    "ClientCertCNAuth": ("alice bob", None),
}
MAKE_PAIR = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=gate -keyout key.pem -out cert.pem"
TARGETS = (
    "127.0.0.1:5900",
    "127.0.0.1:5900 --ssl-target",
    "--unix-target vm.sock",
    "--unix-target /run/vm.sock --ssl-target",
    "--token-plugin TokenFile --token-source tokens",
    "--token-plugin TokenFile --token-source tokens --host-token --ssl-target",
)
LIFE = ("", "--run-once", "--timeout 1 --idle-timeout 2", "--libserver")
SEEN = ("", "--record tape --traffic")
PINGS = ("", "--heartbeat 1", "--heartbeat 100000", "--heartbeat -1")


class Starting(WebSocketProxy):
    """Comes as far as its configuration."""

    started_with = []

    def start_server(self):
        served = listener.of(self, self.terms(), self.patience)
        try:
            penstock.Engine.from_toml(served.text).close()
        finally:
            for descriptor in served.descriptors:
                os.close(descriptor)
        self.started_with.append(served.text)

    serve_forever = start_server


def encryptions():
    """TLS of every kind, and what is without effect where there is no certificate."""
    clients = ("", "--verify-client", "--verify-client --cafile cert.pem")
    yield from clients
    only = ("", "--ssl-only")
    versions = ("", "--ssl-version tlsv1_1", "--ssl-version tlsv1_3", "--ssl-ciphers HIGH --key-password canary7")
    for parts in itertools.product(only, versions, clients):
        yield " ".join(("--cert cert.pem --key key.pem", *parts))


def audiences():
    """Pages, and whom plugins let have them."""
    plugins = ["--auth-plugin " + name + (f" --auth-source={source.replace(' ', '_')}" if source else "") for name in PLUGINS for source in PLUGINS[name]]
    yield from ("", "--web pages", *plugins)
    yield from (f"--web pages {plugin}{asked}" for plugin in plugins for asked in ("", " --web-auth"))


class Accepted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.addClassCleanup(os.chdir, os.getcwd())
        os.chdir(folder.name)
        os.mkdir("pages")
        subprocess.run(MAKE_PAIR.split(), check=True, capture_output=True)
        cls.folder = folder.name

    def starts(self, line):
        os.chdir(self.folder)
        logger = logging.getLogger(WebSocketProxy.log_prefix)
        ours = mock.patch.multiple(websocketproxy, WebSocketProxy=Starting, LibProxyServer=Starting)
        words = [word.replace("_", " ") if word.startswith("--auth-source") else word for word in line.split()]
        before = len(Starting.started_with)
        with self.subTest(line), ours, mock.patch.object(sys, "argv", ["websockify", *words]), mock.patch.object(logger, "handlers", []):
            with mock.patch("logging.StreamHandler", lambda: logging.NullHandler()):
                websocketproxy.websockify_init()
            self.assertEqual(len(Starting.started_with), before + 1)

    def test_whoever_may_see_pages_by_whatever_encryption(self):
        for parts in itertools.product(encryptions(), audiences()):
            self.starts(" ".join((*parts, "6080 127.0.0.1:5900")))

    def test_wherever_consoles_lead_for_however_long(self):
        for parts in itertools.product(PINGS, LIFE, SEEN, ("6080", "6080 --web pages"), TARGETS):
            self.starts(" ".join(parts))


if __name__ == "__main__":
    unittest.main()
