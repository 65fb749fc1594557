"""Consoles that did not come about are in the log."""

import logging
import unittest
from unittest import mock

from penstock.values import Completion
from penstock.websockify import failure


def end(**given):
    usual = {name: 0 for name in ("id", "bytes_to_target", "bytes_to_client", "bytes_spliced", "duration", "handed_over", "user_data")}
    usual.update(side="target", phase="connect", cause="connect_refused", http_status=101, listener="w")
    return Completion(**{**usual, "client": "192.0.2.7:4000", "target": "vm:5900", "detail": "", **given})


class Failures(unittest.TestCase):
    def told(self, **given):
        logger = logging.getLogger("failures")
        with self.assertLogs(logger, logging.INFO) as logs:
            failure.tell(logger, end(**given))
        return logs.records[0].getMessage()

    def test_a_line_is_a_handlers(self):
        said = self.told(detail="Connection refused")
        self.assertRegex(said, r"^192\.0\.2\.7 - - \[\d\d/\w+/\d+ \d\d:\d\d:\d\d\] Failed to connect to vm:5900: \[Errno 111\] Connection refused$")
        self.assertTrue(self.told(client="[2001:db8::7]:4000").startswith("2001:db8::7 - - ["))
        self.assertTrue(self.told(client="").startswith("unix - - ["))

    def test_reasons_are_those_of_pythons_connect(self):
        for cause, words in (("name_not_found", "[Errno -2] Name or service not known"), ("connect_timeout", "[Errno 110] Connection timed out")):
            self.assertTrue(self.told(cause=cause, phase="admission").endswith(": " + words))
        self.assertTrue(self.told(cause="unreachable", detail="No route to host").endswith("vm:5900: unreachable: No route to host"))
        self.assertTrue(self.told(cause="access_denied", side="penstock").endswith("vm:5900: access denied"))

    def test_who_was_served_or_left_is_no_failure(self):
        logger = mock.Mock()
        failure.tell(logger, end(phase="relay"))
        failure.tell(logger, end(side="client", cause="hung_up"))
        logger.info.assert_not_called()


if __name__ == "__main__":
    unittest.main()
