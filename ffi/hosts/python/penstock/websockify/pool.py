"""Threads on which requests are judged.

In: callables. Out: each is run, by a thread that waits or, up to a limit, by a new one; beyond it they wait for their turn. Whoever hangs
keeps its thread, and nothing else: they are daemons, which no end of a process waits for.
"""

import queue
import threading


class Pool:
    """At most `limit` threads, which are started as they are needed."""

    def __init__(self, limit, name):
        self._limit = limit
        self._name = name
        self._work = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0

    def run(self, work):
        """Has `work` run; it must not raise."""
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._serve, name=f"{self._name}-{self._threads}", daemon=True).start()
            self._work.put(work)

    def _serve(self):
        while True:
            self._work.get()()
            with self._lock:
                self._idle += 1
