"""The server's own life."""

import logging
import os
import signal
import socket
import threading
import time
import unittest

from penstock.websockify import WebSocketProxy


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


if __name__ == "__main__":
    unittest.main()
