"""Penstock's forwarding engine, in this process: tunnels of virtual machines' consoles, for programs in Python.

    with penstock.Engine() as engine:
        engine.start()
        ... accept() and connect() ...
        engine.tunnel(client, target)
"""

from penstock._abi import LibraryError
from penstock.engine import Engine, on_log, version
from penstock.values import PENDING, Allow, Answer, Completion, Deny, Error, Pending, Request, Status

__all__ = ["PENDING", "Allow", "Answer", "Completion", "Deny", "Engine", "Error", "LibraryError", "Pending", "Request", "Status", "on_log", "version"]
