"""Consoles that did not come about, in the log, in websockify's words.

In: the end of a connection whose request was allowed. Out: a line, if its target could not be had.
"""

import errno
import os
import socket
import time

RELAY = "relay"
REFUSED, LATE = ((number, os.strerror(number)) for number in (errno.ECONNREFUSED, errno.ETIMEDOUT))
# What websockify's own connect() would have raised.
RAISED = {
    "connect_refused": OSError(*REFUSED),
    "connect_timeout": OSError(*LATE),
    "name_not_found": socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "name_lookup_failed": socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
}


def tell(logger, end):
    """Logs it as a request handler of websockify's would."""
    if end.phase == RELAY or end.side == "client":
        return
    host = end.client.rpartition(":")[0].strip("[]") or "unix"
    logger.info("%s - - [%s] Failed to connect to %s: %s", host, time.strftime("%d/%b/%Y %H:%M:%S"), end.target, reason(end))


def reason(end):
    if end.cause in RAISED:
        return str(RAISED[end.cause])
    words = end.cause.replace("_", " ")
    return f"{words}: {end.detail}" if end.detail else words
