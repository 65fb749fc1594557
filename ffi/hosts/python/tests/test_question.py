"""Requests are judged as websockify's handlers judge them, by plugins that know nothing of it."""

import logging
import os
import socket
import ssl
import tempfile
import threading
import unittest

from websockify import auth_plugins, token_plugins, websockifyserver
from websockify.websocketproxy import ProxyRequestHandler

from penstock.values import Allow, Deny, Request
from penstock.websockify import Unsupported, WebSocketProxy, question

HEAD = (
    "GET {path} HTTP/1.1\r\nHost: gate.example:6080\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
)


class Case(unittest.TestCase):
    def setUp(self):
        logging.getLogger(WebSocketProxy.log_prefix).setLevel(logging.CRITICAL)
        self.server = None

    def proxy(self, **given):
        given = {"listen_host": "127.0.0.1", "listen_port": 1, **given}
        self.server = WebSocketProxy(**given)
        return self.server

    def ask(self, path="/", lines="", client="192.0.2.7:51234", is_tls=False, common_name=None):
        head = HEAD.format(path=path, lines=lines).encode()
        request = Request(1, "websockify", client, is_tls, common_name, "GET", None, path, None, head)
        return question.answer(self.server.of_request(7), request)


class Targets(Case):
    def test_a_target_is_the_command_lines(self):
        self.proxy(target_host="vm.example", target_port=5900)
        self.assertEqual(self.ask(), Allow("tcp://vm.example:5900"))
        self.proxy(target_host="2001:db8::7", target_port=5900)
        self.assertEqual(self.ask(), Allow("tcp://[2001:db8::7]:5900"))
        self.proxy(target_host="", target_port=5900)
        self.assertEqual(self.ask(), Allow("tcp://localhost:5900"))
        self.proxy(unix_target="/run/vm.sock")
        self.assertEqual(self.ask(), Allow("unix:/run/vm.sock"))

    def test_a_relative_path_is_from_where_websockify_would_look_for_it(self):
        with tempfile.TemporaryDirectory() as folder:
            self.addCleanup(os.chdir, os.getcwd())
            os.mkdir(os.path.join(folder, "pages"))
            os.chdir(folder)
            folder = os.getcwd()
            self.proxy(unix_target="vm.sock")
            self.assertEqual(self.ask(), Allow(f"unix:{folder}/vm.sock"))
            self.proxy(unix_target="../vm.sock", web="pages")
            self.assertEqual(self.ask(), Allow(f"unix:{folder}/vm.sock"))

    def test_a_token_is_looked_up_by_websockifys_own_plugin(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tokens")
            with open(path, "w") as file:
                file.write("one: vm1.example:5901\ntwo: unix_socket:/run/vm2\n")
            self.proxy(token_plugin=token_plugins.TokenFile(path))
            self.assertEqual(self.ask("/?token=one"), Allow("tcp://vm1.example:5901"))
            self.assertEqual(self.ask("/websockify?token=two"), Allow("unix:/run/vm2"))
            self.assertEqual(self.ask("/?token=three"), Deny(403))
            self.assertEqual(self.ask("/"), Deny(403))

    def test_plugins_find_targets_in_any_form(self):
        found = {
            "int": (("vm", 5900), "vm:5900"),
            "bytes": ((b"vm", b"5900"), "vm:5900"),
            "service": (("vm", "http"), "vm:80"),
            "list": (["2001:db8::7", "5900"], "[2001:db8::7]:5900"),
            "none": ((None, "5900"), "localhost:5900"),
            "foreign": (("b\u00fccher.example", 5900), "xn--bcher-kva.example:5900"),
        }

        class Found:
            def lookup(self, token):
                return found[token][0]

        self.proxy(token_plugin=Found())
        for token, (_, target) in found.items():
            self.assertEqual(self.ask(f"/?token={token}"), Allow("tcp://" + target))

    def test_what_is_no_target_could_not_be_connected_to(self):
        for pair in (("vm", "no such service"), ("vm", None), (7, 5900), ("a" * 70 + "\u00fc", 5900)):

            class Found:
                def lookup(self, token):
                    return pair

            self.proxy(token_plugin=Found())
            self.assertEqual(self.ask("/?token=x"), Deny(503, message="Failed to connect to downstream server"))

    def test_the_token_may_be_the_hosts_name(self):
        class Named:
            def lookup(self, token):
                return token + ".inner", "5900"

        self.proxy(token_plugin=Named(), host_token=True)
        self.assertEqual(self.ask(), Allow("tcp://gate.example.inner:5900"))

    def test_a_target_belongs_to_one_request(self):
        both_are_here = threading.Barrier(2, timeout=60)

        class Slow:
            def lookup(self, token):
                return token, "5900"

        class Waiting:
            def authenticate(self, headers, target_host, target_port):
                both_are_here.wait()

        self.proxy(token_plugin=Slow(), auth_plugin=Waiting())
        verdicts = {}
        threads = [threading.Thread(target=lambda name=name: verdicts.update({name: self.ask("/?token=" + name)})) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(verdicts, {"a": Allow("tcp://a:5900"), "b": Allow("tcp://b:5900")})
        self.assertIsNone(self.server.target_host)

    def test_a_plugin_may_change_itself_as_in_a_process_of_its_own(self):
        class Forgetful:
            def lookup(self, token):
                self.known = None
                both_are_here.wait()
                self.known = {token: ("vm", "5900")}
                both_are_here.wait()
                return self.known.get(token)

        both_are_here = threading.Barrier(2, timeout=60)
        self.proxy(token_plugin=Forgetful())
        verdicts = []
        threads = [threading.Thread(target=lambda name=name: verdicts.append(self.ask("/?token=" + name))) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(verdicts, [Allow("tcp://vm:5900")] * 2)

    def test_what_a_plugin_raises_denies(self):
        class Broken:
            def lookup(self, token):
                raise ZeroDivisionError("canary7")

        self.proxy(token_plugin=Broken())
        self.assertEqual(self.ask("/?token=x"), Deny(403))


class People(Case):
    def test_basic_authentication_asks_and_is_answered(self):
        self.proxy(target_host="a", target_port=1, auth_plugin=auth_plugins.BasicHTTPAuth("admin:canary7"))
        demand = self.ask()
        self.assertEqual(demand, Deny(401, (("WWW-Authenticate", 'Basic realm="Websockify"'),)))
        self.assertEqual(self.ask(lines="Authorization: Basic YWRtaW46Y2FuYXJ5Nw==\r\n"), Allow("tcp://a:1"))
        self.assertEqual(self.ask(lines="Authorization: Basic YWRtaW46Y2FuYXJ5OA==\r\n").status, 401)
        self.assertEqual(self.ask(lines="Authorization: Bearer x\r\n"), Deny(403))

    def test_a_plugin_sends_somebody_to_a_login(self):
        class Portal:
            def authenticate(self, headers, target_host, target_port):
                login = {"Location": "https://login.example/?back=1"}
                raise auth_plugins.AuthenticationError(response_code=302, response_headers=login, response_msg="Log in first")

        self.proxy(target_host="a", target_port=1, auth_plugin=Portal())
        self.assertEqual(self.ask(), Deny(302, (("Location", "https://login.example/?back=1"),), "Log in first"))

    def test_pages_of_others_are_told_so(self):
        self.proxy(target_host="a", target_port=1, auth_plugin=auth_plugins.ExpectOrigin("https://portal.example"))
        self.assertEqual(self.ask(lines="Origin: https://portal.example\r\n"), Allow("tcp://a:1"))
        self.assertEqual(self.ask(lines="Origin: https://evil.example\r\n"), Deny(403, message="Invalid Origin"))

    def test_a_certificates_name_is_where_plugins_look_for_it(self):
        self.proxy(target_host="a", target_port=1, auth_plugin=auth_plugins.ClientCertCNAuth("alice"))
        self.assertEqual(self.ask(common_name="alice", is_tls=True), Allow("tcp://a:1"))
        self.assertEqual(self.ask(common_name="bob", is_tls=True), Deny(403))
        # What somebody calls itself is no certificate's name.
        self.assertEqual(self.ask(lines="SSL_CLIENT_S_DN_CN: alice\r\n", common_name="bob"), Deny(403))
        self.assertEqual(self.ask(lines="ssl_client_s_dn_cn: alice\r\n"), Deny(403))

    def test_tls_without_a_certificate_is_denied_where_one_has_to_be_shown(self):
        self.proxy(target_host="a", target_port=1, verify_client=True)
        self.assertEqual(self.ask(is_tls=True), Deny(403))
        self.assertEqual(self.ask(is_tls=True, common_name="bob"), Allow("tcp://a:1"))
        self.assertEqual(self.ask(), Allow("tcp://a:1"))
        # The engine has seen one, which needs no name.
        self.proxy(target_host="a", target_port=1, verify_client=True, ssl_only=True)
        self.assertEqual(self.ask(is_tls=True), Allow("tcp://a:1"))

    def test_a_handler_knows_its_client(self):
        seen = []

        class Curious(ProxyRequestHandler):
            def validate_connection(self):
                seen.append((self.client_address, self.path, self.headers["Host"], self.handler_id))

        self.proxy(RequestHandlerClass=Curious, target_host="a", target_port=1)
        self.ask("/x?y=z", is_tls=True)
        self.ask(client="[2001:db8::7]:4000")
        self.ask(client="")
        self.assertEqual(seen[0], (("192.0.2.7", 51234, True), "/x?y=z", "gate.example:6080", 7))
        self.assertEqual(seen[1][0], ("2001:db8::7", 4000, 0, 0))
        self.assertEqual(seen[2][0], ("unix", 0, False))


class Own(Case):
    """Handlers that connect by themselves, as nova's does."""

    def setUp(self):
        super().setUp()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]

    def test_a_connection_is_handed_over(self):
        port = self.port

        class Connects(ProxyRequestHandler):
            def new_websocket_client(self):
                target = websockifyserver.WebSockifyServer.socket("127.0.0.1", port, connect=True)
                target.send(b"by hand")
                self.do_proxy(target)

        self.proxy(RequestHandlerClass=Connects)
        verdict = self.ask()
        self.assertEqual(verdict.target, f"127.0.0.1:{port}")
        with verdict.descriptor as descriptor, self.listener.accept()[0] as target:
            descriptor.send(b", and after")
            descriptor.shutdown(socket.SHUT_WR)
            with target.makefile("rb") as stream:
                self.assertEqual(stream.read(), b"by hand, and after")

    def test_abstract_sockets_are_connected_to_by_websockify(self):
        name = f"\0penstock-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
            listener.listen()
            self.proxy(unix_target=name)
            verdict = self.ask()
            self.assertIsNone(verdict.target)
            with verdict.descriptor as descriptor, listener.accept()[0] as target:
                target.send(b"open")
                self.assertEqual(descriptor.recv(4), b"open")

    def test_websockifys_own_way_does_not_shut_it_down_behind_us(self):
        class Logs(ProxyRequestHandler):
            def new_websocket_client(self):
                super().new_websocket_client()

        self.proxy(RequestHandlerClass=Logs, target_host="localhost", target_port=self.port)
        verdict = self.ask()
        self.assertEqual(verdict.target, f"localhost:{self.port}")
        with verdict.descriptor as descriptor, self.listener.accept()[0] as target:
            target.send(b"open")
            self.assertEqual(descriptor.recv(4), b"open")

    def test_whom_nobody_can_reach_is_told_so(self):
        class Connects(ProxyRequestHandler):
            def new_websocket_client(self):
                super().new_websocket_client()

        self.listener.close()
        self.proxy(RequestHandlerClass=Connects, target_host="127.0.0.1", target_port=self.port)
        self.assertEqual(self.ask(), Deny(503, message="Failed to connect to downstream server"))

        class Itself(ProxyRequestHandler):
            def new_websocket_client(self):
                socket.create_connection(self.server.listen_host)

        self.proxy(RequestHandlerClass=Itself, listen_host=("127.0.0.1", self.port))
        self.assertEqual(self.ask(), Deny(503))

    def test_a_check_that_raises_after_the_upgrade_denies(self):
        class Checks(ProxyRequestHandler):
            def new_websocket_client(self):
                raise ValueError("canary7")

        self.proxy(RequestHandlerClass=Checks)
        self.assertEqual(self.ask(), Deny(403))

    def test_what_can_not_be_handed_over_is_denied(self):
        port = self.port

        class Secures(ProxyRequestHandler):
            def new_websocket_client(self):
                plain = socket.create_connection(("127.0.0.1", port))
                context = ssl.create_default_context()
                self.do_proxy(context.wrap_socket(plain, server_hostname="x", do_handshake_on_connect=False))

        class Talks(ProxyRequestHandler):
            def new_websocket_client(self):
                self.recv_frames()

        for handler in (Secures, Talks):
            self.proxy(RequestHandlerClass=handler)
            self.assertEqual(self.ask(), Deny(403))

    def test_handlers_that_would_not_be_called_are_refused_at_the_start(self):
        class Filters(ProxyRequestHandler):
            def recv_frames(self):
                return super().recv_frames()

        class Relays(ProxyRequestHandler):
            def do_proxy(self, target):
                pass

        for handler in (Filters, Relays, websockifyserver.WebSockifyRequestHandler):
            with self.assertRaises(Unsupported):
                question.judge(handler, False)

        class Pages(ProxyRequestHandler):
            def send_head(self):
                return super().send_head()

        self.assertEqual(question.judge(Pages, False), [])
        self.assertIn("Pages.send_head() is not called", question.judge(Pages, True)[0])

        class Loop(WebSocketProxy):
            def do_handshake(self, sock, address):
                pass

        with self.assertRaisesRegex(Unsupported, "Loop.do_handshake"):
            Loop(listen_port=1).start_server()


class Answers(unittest.TestCase):
    class Server:
        def warn(self, *_):
            pass

    def test_an_answer_is_told_in_the_engines_words(self):
        sent = b"HTTP/1.1 429 Slow down\r\nServer: x\r\nDate: y\r\nContent-Length: 3\r\nRetry-After: 5\r\n\r\nbye"
        self.assertEqual(question.told(sent, self.Server()), Deny(429, (("Retry-After", "5"),), "Slow down"))

    def test_a_field_is_one_line(self):
        sent = b"HTTP/1.1 401 No\r\nX: a\r\n  b\r\n\r\n"
        self.assertEqual(question.told(sent, self.Server()).headers, (("X", "a b"),))

    def test_what_is_no_denial_is_one_all_the_same(self):
        for sent in (b"", b"nonsense", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"):
            self.assertEqual(question.told(sent, self.Server()), Deny(403))


if __name__ == "__main__":
    unittest.main()
