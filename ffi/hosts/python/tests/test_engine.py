"""The engine itself, with a library."""

import math
import os
import select
import socket
import subprocess
import sys
import threading
import time
import unittest

import penstock

CONSOLES = """
[[listen]]
name = "consoles"
service = "console"
policy = "host"
timeouts = { token = "30s" }
"""
ASKS = (
    b"GET /x?token=one%2Ftwo HTTP/1.1\r\nHost: gate\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@unittest.skipUnless(os.environ.get("PENSTOCK_LIBRARY"), "PENSTOCK_LIBRARY names no library")
class Case(unittest.TestCase):
    def engine(self, *arguments, **named):
        engine = penstock.Engine(*arguments, **named)
        self.addCleanup(engine.close)
        return engine

    def pair(self):
        pair = socket.socketpair()
        for end in pair:
            end.settimeout(60)
            self.addCleanup(end.close)
        return pair


class Tunnels(Case):
    def test_two_sockets_are_joined_and_their_end_is_told_once(self):
        engine, ends, told = self.engine(workers=1), [], threading.Event()
        engine.on_completion(lambda end: (ends.append(end), told.set()))
        engine.start()
        (near, client), (target, far) = self.pair(), self.pair()
        number = engine.tunnel(client, target, client_early=b"a\0", target_early=b"z", target_name="vm", user_data=7)
        self.assertEqual((client.fileno(), target.fileno()), (-1, -1))
        near.sendall(b"b")
        near.shutdown(socket.SHUT_WR)
        self.assertEqual(self.all_of(far), b"a\0b")
        far.sendall(b"y")
        far.close()
        self.assertEqual(self.all_of(near), b"zy")
        self.assertTrue(told.wait(60))
        engine.stop()
        (end,) = ends
        self.assertEqual((end.id, end.cause, end.phase, end.target, end.user_data), (number, "finished", "relay", "vm", 7))
        self.assertEqual((end.bytes_to_target, end.bytes_to_client, end.handed_over), (3, 2, True))

    def all_of(self, stream):
        data = b""
        while piece := stream.recv(100):
            data += piece
        return data

    def test_what_is_refused_is_still_the_callers(self):
        engine = self.engine()
        (_, client), (target, _) = self.pair(), self.pair()
        self.raises(penstock.Status.NOT_STARTED, engine.tunnel, client, target)
        engine.start()
        self.raises(penstock.Status.NO_STREAM, engine.tunnel, client, client)
        self.raises(penstock.Status.NO_LISTENER, engine.tunnel, client, target, terms="nobody")
        self.assertGreater(min(client.fileno(), target.fileno()), 0)
        client.getpeername()
        engine.stop()
        self.raises(penstock.Status.STOPPED, engine.tunnel, client, target)
        engine.close()
        self.raises(penstock.Status.NO_ENGINE, engine.tunnel, client, target)

    def raises(self, status, call, *arguments, **named):
        with self.assertRaises(penstock.Error) as raised:
            call(*arguments, **named)
        self.assertEqual(raised.exception.status, status)
        self.assertTrue(str(raised.exception))

    def test_a_configuration_that_is_wrong_says_where(self):
        with self.assertRaisesRegex(penstock.Error, "2:"):
            penstock.Engine.from_toml("[[listen]]\nname = 3\n")

    def test_ends_wait_behind_a_descriptor(self):
        engine = self.engine()
        descriptor = engine.completion_fd()
        engine.start()
        (near, client), (target, _far) = self.pair(), self.pair()
        number = engine.tunnel(client, target)
        self.assertEqual(list(engine.completions()), [])
        engine.cancel(number)
        self.assertEqual(select.select([descriptor], [], [], 10)[0], [descriptor])
        self.assertEqual([end.cause for end in engine.completions()], ["cancelled"])
        self.assertEqual(select.select([descriptor], [], [], 0)[0], [])

    def test_counts(self):
        engine = self.engine(workers=2)
        engine.start()
        self.assertEqual(engine.metrics()["workers"], 2)
        self.assertEqual(engine.metrics()["bytes_copied"], (0, 0))
        self.assertIn("penstock_handed_over_total", engine.metrics_text())

    def test_a_stop_waits_as_long_as_tunnels_live(self):
        engine = self.engine()
        engine.start()
        (near, client), (target, far) = self.pair(), self.pair()
        engine.tunnel(client, target)
        stopping = threading.Thread(target=engine.stop, args=(math.inf,))
        stopping.start()
        near.sendall(b"still")
        self.assertEqual(far.recv(5), b"still")
        self.assertTrue(stopping.is_alive())
        near.close()
        far.close()
        stopping.join(10)
        self.assertFalse(stopping.is_alive())

    def test_a_child_has_no_part_in_it(self):
        engine = self.engine()
        engine.start()
        child = os.fork()
        if child == 0:
            try:
                engine.metrics()
            except penstock.Error as error:
                os._exit(int(error.status))
            os._exit(99)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), penstock.Status.FORKED)
        engine.metrics()


class Ends(Case):
    def test_messages_and_ends_that_come_late_do_no_harm(self):
        """Python is left while both are told, with an engine that nobody closed."""
        program = """
import penstock, socket, sys
penstock.on_log("debug", lambda level, message: None)
engine = penstock.Engine(workers=1)
engine.on_completion(lambda end: None)
engine.start()
pairs = [socket.socketpair() + socket.socketpair() for _ in range(100)]
for near, client, target, far in pairs:
    engine.tunnel(client, target)
"""
        for _ in range(20):
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


class Questions(Case):
    def serve(self, ask):
        engine = self.engine(config=CONSOLES)
        engine.on_authorise(ask)
        listener = socket.create_server(("127.0.0.1", 0))
        engine.listen("consoles", listener)
        self.assertEqual(listener.fileno(), -1)
        engine.start()
        return engine

    def browse(self, engine):
        host, port = engine.address("consoles").rsplit(":", 1)
        client = socket.create_connection((host, int(port)), timeout=60)
        self.addCleanup(client.close)
        client.sendall(ASKS)
        return client

    def answer(self, engine):
        return self.browse(engine).recv(4096)

    def test_a_request_is_told_and_denied(self):
        seen = []

        def ask(request):
            seen.append(request)
            return penstock.Deny(402, (("X-Why", "money"),), "pay first")

        answer = self.answer(self.serve(ask))
        self.assertTrue(answer.startswith(b"HTTP/1.1 402 "), answer)
        self.assertIn(b"X-Why: money\r\n", answer)
        (request,) = seen
        self.assertEqual((request.listener, request.method, request.path, request.token), ("consoles", "GET", "/x?token=one%2Ftwo", "one/two"))
        self.assertEqual((request.head, request.tls, request.common_name, request.target), (ASKS, False, None, None))
        self.assertRegex(request.client, r"^127\.0\.0\.1:\d+$")
        self.assertNotIn("two", repr(request))

    def test_a_descriptor_is_the_target(self):
        (far, target) = self.pair()
        engine = self.serve(lambda _: penstock.Allow("vm", descriptor=target, early=b"RFB"))
        client = self.browse(engine)
        data = b""
        while not data.endswith(b"RFB"):
            data += client.recv(4096)
        self.assertTrue(data.startswith(b"HTTP/1.1 101 "), data)
        far.sendall(b"x")
        self.assertEqual(client.recv(3), b"\x82\x01x")
        engine.stop()
        self.assertEqual(target.fileno(), -1)

    def test_it_may_be_decided_later_and_once(self):
        asked, ids = threading.Event(), []

        def ask(request):
            ids.append(request.id)
            asked.set()
            return penstock.PENDING

        engine = self.serve(ask)
        client = self.browse(engine)
        self.assertTrue(asked.wait(60))
        engine.decide(ids[0], penstock.Deny(410))
        self.assertTrue(client.recv(4096).startswith(b"HTTP/1.1 410 "))
        with self.assertRaises(penstock.Error) as raised:
            engine.decide(ids[0], penstock.Allow("tcp://127.0.0.1:1"))
        self.assertEqual(raised.exception.status, penstock.Status.NO_TUNNEL)

    def test_a_callback_may_close_its_engine(self):
        engine = penstock.Engine(driver="epoll")
        told = threading.Event()

        def completed(end):
            engine.close()
            told.set()

        engine.on_completion(completed)
        engine.start()
        for _ in range(3):
            (near, client), (target, far) = self.pair(), self.pair()
            engine.tunnel(client, target)
            near.close()
            far.close()
        self.assertTrue(told.wait(60))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                engine.metrics()
            except penstock.Error as error:
                self.assertEqual(error.status, penstock.Status.NO_ENGINE)
                return
            time.sleep(0.01)
        self.fail("the engine lives on")

    def test_seconds_are_none_below_zero(self):
        engine = self.engine()
        for wrong in (-1, math.nan):
            with self.assertRaises(ValueError):
                engine.stop(wrong)

    def test_who_raises_denies(self):
        def ask(request):
            raise ZeroDivisionError

        with self.assertLogs("penstock", "ERROR"):
            self.assertTrue(self.answer(self.serve(ask)).startswith(b"HTTP/1.1 403 "))

    def test_what_nobody_may_answer_denies(self):
        with self.assertLogs("penstock", "ERROR"):
            answer = self.answer(self.serve(lambda _: penstock.Deny(403, (("X", "y\r\nSet-Cookie: z"),))))
        self.assertTrue(answer.startswith(b"HTTP/1.1 403 "))
        self.assertNotIn(b"Set-Cookie", answer)


if __name__ == "__main__":
    unittest.main()
