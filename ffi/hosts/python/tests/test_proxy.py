"""The server's own life."""

import logging
import os
import signal
import socket
import threading
import time
import unittest
from unittest import mock

from penstock.websockify import WebSocketProxy
from penstock.websockify.pool import Pool

HEAD = (
    "GET /?token={} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# For what should come at once, on a busy machine.
SOON = 20


class Deadly:
    """A log's stream; the first line written to it after `armed` brings a signal while it is written."""

    def __init__(self):
        self.armed, self.lines = False, []

    def write(self, text):
        self.lines.append(text)
        if self.armed and threading.current_thread() is threading.main_thread():
            self.armed = False
            os.kill(os.getpid(), signal.SIGTERM)
            # Here it arrives.
            time.sleep(0.1)

    def flush(self):
        pass


class Busy(WebSocketProxy):
    """Writes a line now and then."""

    def poll(self):
        self.stream.armed = True
        self.msg("polled")


class Signals(unittest.TestCase):
    def test_one_that_a_log_line_has_swallowed_ends_it(self):
        stream = Deadly()
        handler = logging.StreamHandler(stream)
        # It would tell of the exception that the signal was.
        handler.handleError = lambda record: stream.lines.append("swallowed")
        logger = logging.getLogger(WebSocketProxy.log_prefix)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        lsock = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(lsock.close)
        server = Busy(listen_fd=lsock.fileno(), target_host="127.0.0.1", target_port=9, verbose=False)
        server.stream = stream
        signal.alarm(30)
        self.addCleanup(signal.alarm, 0)
        server.start_server()
        self.assertIn("swallowed", stream.lines)
        self.assertEqual(sum("polled" in line for line in stream.lines), 1)


class Narrow(WebSocketProxy):
    """One plugin thinks at a time, and for ever, of whoever says so."""

    judges = 1

    def __init__(self, *args, **kwargs):
        self.asked, self.gone = [], []
        self.release = threading.Event()
        super().__init__(*args, token_plugin=self, **kwargs)

    def lookup(self, token):
        self.asked.append(token)
        if token == "hang":
            self.release.wait(SOON)

    def __copy__(self):
        return self

    def ended(self, pool, ran, end):
        super().ended(pool, ran, end)
        self.gone.append(end.id)


class Gone(unittest.TestCase):
    def test_nobody_is_judged_who_has_gone_and_nobody_waits_for_who_is(self):
        logging.getLogger(WebSocketProxy.log_prefix).setLevel(logging.CRITICAL)
        lsock = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(lsock.close)
        server = Narrow(listen_fd=lsock.fileno())
        self.addCleanup(server.release.set)
        address = lsock.getsockname()
        seen = []

        def say(token):
            client = socket.create_connection(address, timeout=SOON)
            client.sendall(HEAD.format(token).encode())
            return client

        def leave(client):
            before = len(server.gone)
            client.close()
            self.until(lambda: len(server.gone) > before)

        def clients():
            try:
                hanging = say("hang")
                self.until(lambda: server.asked)
                leave(say("left"))
                leave(hanging)
                with say("good") as good:
                    seen.append(good.recv(12))
            finally:
                os.kill(os.getpid(), signal.SIGTERM)

        signal.alarm(3 * SOON)
        self.addCleanup(signal.alarm, 0)
        thread = threading.Thread(target=clients)
        # What takes long would not count any more in any case.
        with mock.patch.object(Pool, "LONG", 10 * SOON):
            thread.start()
            server.start_server()
        thread.join()
        self.assertEqual((server.asked, seen), (["hang", "good"], [b"HTTP/1.1 403"]))

    def until(self, condition):
        end = time.monotonic() + SOON
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main()
