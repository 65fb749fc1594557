"""Threads on which requests are judged.

In: requests' numbers, and what is to be done about each. Out: each is done, by a thread that waits or by a new one, or forgotten, if it is no
longer wanted before its turn comes. A limited number is under way at a time, but whoever takes long no longer counts, so that those that hang
keep their threads and nobody else's turn. The threads are daemons, which no end of a process waits for.
"""

import collections
import queue
import threading
import time


class Pool:
    """At most `limit` requests under way that don't take long, and at most `most` threads. `told` hears, once, that there are so many."""

    # In seconds: what has not come back by then hangs, as far as others are concerned.
    LONG = 1

    def __init__(self, limit, most, patience, name, told):
        self._limit = limit
        self._most = most
        self._patience = patience
        self._name = name
        self._told = told
        self._lock = threading.Lock()
        # What waits for its turn, and since when.
        self._waiting = collections.OrderedDict()
        # When those began that count.
        self._counted = {}
        self._idle = []
        self._threads = 0
        self._was_full = False

    def run(self, number, work):
        """Has `work` run, which must not raise, unless it is forgotten or nobody has come to it within the patience."""
        with self._lock:
            self._waiting[number] = (time.monotonic(), work)
            self._deal()

    def forget(self, number):
        """Nobody waits for this one any more."""
        with self._lock:
            if self._waiting.pop(number, None) is None and self._counted.pop(number, None) is not None:
                self._deal()

    def look(self):
        """To be called now and then: finds those that take long."""
        with self._lock:
            long_ago = time.monotonic() - self.LONG
            for number in [number for number, began in self._counted.items() if began < long_ago]:
                del self._counted[number]
            self._deal()

    def _deal(self):
        """Gives out what waits. The lock is held."""
        while self._waiting and len(self._counted) < self._limit and (self._idle or self._grows()):
            number, (came, work) = self._waiting.popitem(last=False)
            now = time.monotonic()
            if self._patience and now - came > self._patience:
                continue
            self._counted[number] = now
            self._idle.pop().put((number, work))

    def _grows(self):
        """Whether there is one thread more."""
        inbox = queue.SimpleQueue()
        thread = threading.Thread(target=self._serve, args=(inbox,), name=f"{self._name}-{self._threads + 1}", daemon=True)
        try:
            if self._threads < self._most:
                thread.start()
                self._threads += 1
                self._idle.append(inbox)
                return True
        except RuntimeError:
            """The system has no more either."""
        if not self._was_full:
            self._was_full = True
            self._told(self._threads)
        return False

    def _serve(self, inbox):
        while True:
            number, work = inbox.get()
            work()
            del work
            with self._lock:
                self._counted.pop(number, None)
                goes = len(self._idle) >= self._limit
                if goes:
                    self._threads -= 1
                else:
                    self._idle.append(inbox)
                self._deal()
            if goes:
                return
