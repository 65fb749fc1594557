"""Who hangs holds up nobody else, and what nobody waits for is not begun."""

import threading
import time
import unittest

from penstock.websockify.pool import Pool

LIMIT, MOST = 4, 12
# For what should come at once, on a busy machine.
SOON = 10


class Quick(Pool):
    LONG = 0.05


class Pools(unittest.TestCase):
    def setUp(self):
        self.told = []
        self.release = threading.Event()
        self.addCleanup(self.release.set)
        self.began = []

    def pool(self, kind=Quick):
        return kind(LIMIT, MOST, SOON, "test", self.told.append)

    def hang(self, pool, numbers):
        for number in numbers:
            pool.run(number, lambda number=number: (self.began.append(number), self.release.wait(SOON)))

    def comes(self, condition, pool=None):
        end = time.monotonic() + SOON
        while not condition():
            self.assertLess(time.monotonic(), end)
            if pool:
                pool.look()
            time.sleep(0.01)

    def passes(self, pool, number, looks=True):
        """Whether somebody who has just come gets a turn."""
        done = threading.Event()
        pool.run(number, done.set)
        self.comes(done.is_set, pool if looks else None)

    def test_so_many_are_under_way_and_the_others_wait(self):
        pool = self.pool(Pool)
        self.hang(pool, range(LIMIT + 2))
        self.comes(lambda: len(self.began) == LIMIT)
        time.sleep(0.1)
        self.assertEqual(sorted(self.began), list(range(LIMIT)))
        self.release.set()
        self.comes(lambda: len(self.began) == LIMIT + 2)
        self.assertEqual(pool._threads, LIMIT)

    def test_who_takes_long_no_longer_counts(self):
        pool = self.pool()
        self.hang(pool, range(2 * LIMIT))
        self.passes(pool, "good")
        self.assertEqual(len(self.began), 2 * LIMIT)

    def test_a_turn_is_free_when_its_client_has_gone(self):
        pool = self.pool(Pool)
        self.hang(pool, range(LIMIT + 2))
        self.comes(lambda: len(self.began) == LIMIT)
        for number in reversed(range(LIMIT + 2)):
            pool.forget(number)
        self.passes(pool, "good", looks=False)
        self.release.set()
        self.passes(pool, "better", looks=False)
        self.assertEqual(sorted(self.began), list(range(LIMIT)), "nobody waited for the others")

    def test_what_is_too_late_is_not_begun(self):
        pool = self.pool(Pool)
        self.hang(pool, range(LIMIT + 2))
        self.comes(lambda: len(self.began) == LIMIT)
        for number, (came, work) in list(pool._waiting.items()):
            pool._waiting[number] = (came - 2 * SOON, work)
        self.release.set()
        self.passes(pool, "good", looks=False)
        self.assertEqual(sorted(self.began), list(range(LIMIT)))

    def test_there_is_a_bound_and_it_is_told_once(self):
        pool = self.pool()
        self.hang(pool, range(2 * MOST))
        self.comes(lambda: self.told, pool)
        self.assertEqual((len(self.began), self.told), (MOST, [MOST]))
        self.release.set()
        self.passes(pool, "good")
        self.comes(lambda: len(self.began) == 2 * MOST, pool)
        # Those that were there for others that hung go again.
        self.comes(lambda: pool._threads == LIMIT, pool)
        self.assertEqual(self.told, [MOST])

    def test_threads_are_used_again(self):
        pool = self.pool(Pool)
        names = set()
        for number in range(20):
            self.passes(pool, number, looks=False)
            pool.run(-number - 1, lambda: names.add(threading.current_thread().name))
        self.comes(lambda: len(pool._idle) == pool._threads)
        self.assertLessEqual(pool._threads, LIMIT)
        self.assertTrue(names <= {f"test-{number}" for number in range(1, LIMIT + 1)}, names)


if __name__ == "__main__":
    unittest.main()
