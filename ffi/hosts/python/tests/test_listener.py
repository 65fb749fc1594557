"""What websockify's class was given, as text."""

import json
import os
import ssl
import tempfile
import unittest
from types import SimpleNamespace

from websockify import auth_plugins

from penstock.websockify import listener
from penstock.websockify.refusal import Unsupported

PLAIN = {
    "token_plugin": None,
    "auth_plugin": None,
    "heartbeat": 0,
    "cert": "/nowhere/self.pem",
    "key": None,
    "key_password": None,
    "ssl_only": False,
    "ssl_options": ssl.OP_ALL,
    "ssl_ciphers": None,
    "ssl_target": None,
    "verify_client": False,
    "cafile": "",
    "web": "",
    "web_auth": False,
    "record": "",
    "run_once": False,
    "traffic": False,
    "tcp_keepalive": True,
    "tcp_keepcnt": None,
    "tcp_keepidle": None,
    "tcp_keepintvl": None,
}
TLS12 = ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
TLS13 = TLS12 | ssl.OP_NO_TLSv1_2


class Listener(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cert = os.path.join(folder.name, "self.pem")
        open(self.cert, "w").close()

    def of(self, terms=None, **given):
        served = listener.of(SimpleNamespace(**{**PLAIN, **given}), terms)
        for descriptor in served.descriptors:
            self.addCleanup(os.close, descriptor)
        return served

    def says(self, line, **given):
        served = self.of(**given)
        self.assertIn(line + "\n", served.text)
        return served

    def warns(self, text, **given):
        warnings = self.of(**given).warnings
        self.assertTrue(any(text in warning for warning in warnings), warnings)

    def refuses(self, text, **given):
        with self.assertRaisesRegex(Unsupported, text):
            self.of(**given)

    def test_nothing_is_more_than_it_has_to_be(self):
        served = self.of()
        self.assertEqual(
            served.text,
            '[engine]\nkeepalive = "30s"\n\n[[listen]]\nname = "websockify"\nservice = "console"\npolicy = "host"\norigins = ["*"]\n'
            'access = ["allow all"]\nheartbeat = "off"\ntimeouts = { idle = "off", lifetime = "off", token = "30s" }\n',
        )
        self.assertEqual(served.warnings, [])

    def test_a_tokens_source_may_be_somebody_elses(self):
        self.says('access = ["deny to_linklocal", "allow all"]', token_plugin=object())

    def test_one_key_for_each_option(self):
        self.says('heartbeat = "20s"', heartbeat=20)
        self.says("max_sessions = 1", run_once=True)
        self.says('web = "/usr/share/novnc"', web="/usr/share/novnc")
        self.says('record = { path = "/r", format = "websockify" }', record="/r")
        self.says('keepalive = "off"', tcp_keepalive=False)
        self.says('keepalive = "60s"', tcp_keepidle=60)
        self.says('vnc = { mode = "bridge" }', terms={"vnc": {"mode": "bridge"}})
        self.says('upstream_tls = { ca = "system" }', ssl_target=True)

    def test_what_has_no_counterpart_is_told(self):
        self.warns("traffic", traffic=True)
        self.warns("tcp_keepcnt", tcp_keepcnt=3)
        self.warns("tcp_keepintvl", tcp_keepintvl=3)
        self.warns("certificates of targets are verified", ssl_target=True)
        self.assertEqual(self.of(tcp_keepalive=False, tcp_keepcnt=3).warnings, [])

    def test_tls_is_there_with_a_certificate(self):
        tls = f'tls = {{ cert = "{self.cert}", key = "{self.cert}", min_version = "1.2" }}'
        self.says(tls + "\ntls_only = false", cert=self.cert)
        self.says(tls + "\ntls_only = true", cert=self.cert, ssl_only=True)
        self.says(tls.replace(f'key = "{self.cert}"', 'key = "/k"'), cert=self.cert, key="/k")
        self.refuses("SSL only and /nowhere/self.pem not found", ssl_only=True)
        self.assertNotIn("tls", self.of().text)

    def test_clients_certificates_are_required(self):
        served = self.of(cert=self.cert, verify_client=True, ssl_only=True, cafile="/ca")
        self.assertIn('client_auth = "require", client_ca = "/ca" }\ntls_only = true', served.text)
        self.assertEqual(served.warnings, [])

    def test_who_comes_in_the_clear_is_asked_for_no_certificate(self):
        served = self.of(cert=self.cert, verify_client=True, cafile="/ca")
        self.assertIn('client_auth = "optional", client_ca = "/ca" }\ntls_only = false', served.text)
        self.warns("ssl_only keeps them out", cert=self.cert, verify_client=True, cafile="/ca")
        self.warns("any public authority", cert=self.cert, verify_client=True, ssl_only=True)

    def test_a_keys_password_is_in_nobody_elses_file(self):
        served = self.of(cert=self.cert, key_password="canary7")
        self.assertNotIn("canary7", served.text)
        path = f"/proc/self/fd/{served.descriptors[0]}"
        self.assertIn(f'key_password_file = "{path}"', served.text)
        with open(path) as file:
            self.assertEqual(file.read(), "canary7\n")

    def test_versions_of_tls(self):
        self.assertIn('"1.3"', self.of(cert=self.cert, ssl_options=TLS13).text)
        self.assertEqual(self.of(cert=self.cert, ssl_options=TLS12).warnings, [])
        self.warns("TLS 1.1 is not spoken", cert=self.cert, ssl_options=ssl.OP_NO_TLSv1)
        self.warns("TLS 1.3 can't be", cert=self.cert, ssl_options=ssl.OP_NO_TLSv1_3)
        self.refuses("both are switched off", cert=self.cert, ssl_options=TLS13 | ssl.OP_NO_TLSv1_3)

    def test_ciphers(self):
        self.warns("ssl_ciphers has no effect", cert=self.cert, ssl_ciphers="HIGH")
        self.refuses("has none that is spoken", cert=self.cert, ssl_ciphers="AES256-SHA")
        self.refuses("ssl_ciphers: nonsense", cert=self.cert, ssl_ciphers="nonsense")

    def test_pages_ask_who_the_engine_can_ask(self):
        basic = auth_plugins.BasicHTTPAuth("admin:canary7")
        asks = {"web": "/w", "web_auth": True}
        self.says('auth = { plugin = "BasicHTTPAuth", source = "admin:canary7" }\nweb_auth = true', auth_plugin=basic, **asks)
        names = auth_plugins.ClientCertCNAuth("alice bob")
        shown = {"cert": self.cert, "verify_client": True, "cafile": "/ca", **asks}
        self.says('auth = { plugin = "ClientCertCNAuth", source = "alice bob" }\nweb_auth = true', auth_plugin=names, **shown)
        self.assertNotIn("auth", self.of(auth_plugin=basic, web="/w").text)

        class Own(auth_plugins.BasicHTTPAuth):
            pass

        self.refuses("can't ask Own", auth_plugin=Own("a:b"), **asks)

    def test_pages_that_nobody_could_have_are_not_served(self):
        for plugin, reason in (
            (auth_plugins.ExpectOrigin("https://portal.example"), "no Origin"),
            (auth_plugins.BasicHTTPAuth("admin"), "user:password"),
            (auth_plugins.BasicHTTPAuth(), "user:password"),
            (auth_plugins.ClientCertCNAuth(), "has no names"),
            (auth_plugins.ClientCertCNAuth("alice"), "nobody is asked for one"),
        ):
            given = {"web": "/w", "web_auth": True, "auth_plugin": plugin}
            self.warns(reason, **given)
            self.assertNotIn("web", self.of(**given).text.replace(listener.NAME, ""))

    def test_text_is_text_in_any_language(self):
        for text in ('"', "\\", "a\tb\x7f\n", "\u00e9\U0001f600"):
            self.assertEqual(json.loads(listener.string(text)), text)
        self.refuses("no UTF-8", record="/\udcff")


if __name__ == "__main__":
    unittest.main()
