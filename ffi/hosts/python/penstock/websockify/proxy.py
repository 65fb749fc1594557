"""websockify's server, whose consoles are the engine's.

In: what websockify's class is given. Out: the same, until it ends: a socket that listens, pages, WebSockets to targets. Its loop is gone, and
so are its processes: requests are judged on threads of this one, and signals come to the thread that called `start_server()`.
"""

import copy
import dataclasses
import functools
import itertools
import logging
import math
import os
import queue
import signal
import socket
import stat
import threading
import time

from websockify import websocketproxy

import penstock
from penstock.values import PENDING, Allow, Deny, Status
from penstock.websockify import failure, listener, question
from penstock.websockify.pool import Pool
from penstock.websockify.refusal import Unsupported

LEVELS = {"error": logging.ERROR, "warn": logging.WARNING, "info": logging.INFO, "debug": logging.DEBUG}
# Of websockify's loop, which is not run.
OF_THE_LOOP = ("top_new_client", "do_handshake")
PLUGINS = ("token_plugin", "auth_plugin")
# What the end of a request carries that was not denied.
ALLOWED = 1
# Between two looks at timers, and at poll().
TICK = 1


class EngineServer:
    """To be put before websockify's WebSocketProxy, or a subclass of it."""

    # How many plugins may think at a time, those aside that take long, and how many with those.
    judges = 64
    most_judges = 1000
    # For how long one may, in seconds: then the client is answered by 503.
    patience = 30

    def terms(self):
        """Further keys of the listener: TLS and logins with targets, as dicts. `python3 -m penstock.nova` shows one."""
        return {}

    def of_request(self, number):
        """The proxy as one request finds it, as if in a process of its own: what is set there, or in plugins, is nobody else's."""
        own = type(self).__new__(type(self))
        own.__dict__.update(self.__dict__)
        own.handler_id = number
        for plugin in PLUGINS:
            setattr(own, plugin, alone(getattr(self, plugin)))
        # Both are the engine's.
        own.record, own.ssl_target = "", False
        return own

    def start_server(self):
        """Serves until it is told to end, or has run once, or its time is over."""
        self.msg("  - Consoles are carried by Penstock %s", penstock.version())
        warnings = self.judged()
        served = listener.of(self, self.terms(), self.patience)
        for warning in warnings + served.warnings:
            self.warn("%s", warning)
        lsock = self.listening()
        if self.daemon:
            # Nobody would see then what is wrong with it.
            penstock.Engine.from_toml(served.text).close()
            self.daemonize(keepfd=[*self.get_log_fd(), lsock.fileno(), *served.descriptors], chdir=self.web)
        self.started()
        signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, self.do_SIGINT)
        signal.signal(signal.SIGTERM, self.do_SIGTERM)
        try:
            self.serve(lsock, served)
        finally:
            for number, handler in signals.items():
                signal.signal(number, handler)
            for descriptor in served.descriptors:
                os.close(descriptor)

    def judged(self):
        """What will be otherwise; raises what can't be."""
        for name in OF_THE_LOOP:
            if getattr(type(self), name) is not getattr(websocketproxy.WebSocketProxy, name):
                raise Unsupported(f"{type(self).__name__}.{name}() would not be called: connections are accepted by the engine")
        return question.judge(self.RequestHandlerClass, bool(self.web))

    def listening(self):
        """The socket, made as websockify makes it."""
        if self.listen_fd is not None:
            if not is_listening(self.listen_fd):
                raise Unsupported(f"descriptor {self.listen_fd}: expected a listening socket")
            return socket.socket(fileno=os.dup(self.listen_fd))
        path = getattr(self, "unix_listen", None)
        if path:
            return at_path(path, self.unix_listen_mode)
        keepalive = {name: getattr(self, name) for name in ("tcp_keepalive", "tcp_keepcnt", "tcp_keepidle", "tcp_keepintvl")}
        return self.socket(self.listen_host, self.listen_port, False, self.prefer_ipv6, **keepalive)

    def serve(self, lsock, served):
        """Serves on that socket, on those terms."""
        ran = queue.SimpleQueue()
        pool = Pool(self.judges, self.most_judges, self.patience, "penstock-judge", self.crowded)
        numbers = itertools.count(self.handler_id)
        penstock.on_log("debug" if self.verbose else "info", lambda level, message: self.logger.log(LEVELS[level], "%s", message))
        with penstock.Engine.from_toml(served.text) as engine:

            def ask(request):
                pool.run(request.id, functools.partial(self.decide, engine, request, next(numbers)))
                return PENDING

            engine.on_authorise(ask)
            engine.on_completion(functools.partial(self.ended, pool, ran))
            engine.listen(listener.NAME, lsock)
            engine.start()
            try:
                self.wait(engine, pool, ran)
                self.drain(engine, pool)
            except (self.Terminate, SystemExit, KeyboardInterrupt):
                self.msg("In exit")
            engine.stop()

    def decide(self, engine, request, number):
        """Judges a request, on a thread of the pool, and says what became of it whatever happens."""
        try:
            verdict = question.answer(self.of_request(number), request)
            if isinstance(verdict, Allow):
                verdict = dataclasses.replace(verdict, user_data=ALLOWED)
            if self.told(engine, request, verdict):
                return
        except BaseException:
            self.logger.exception("a request could not be judged, and is denied")
        self.told(engine, request, Deny(503))

    def told(self, engine, request, verdict):
        """Whether there is nothing more to say. What nobody took is closed."""
        while True:
            try:
                engine.decide(request.id, verdict)
                return True
            except penstock.Error as error:
                if error.status == Status.BUSY:
                    time.sleep(0.01)
                    continue
                if getattr(verdict, "descriptor", None) is not None:
                    verdict.descriptor.close()
                if error.status in (Status.NO_TUNNEL, Status.STOPPED, Status.NO_ENGINE):
                    self.vmsg("%s: has gone before there was a verdict", request.client)
                    return True
                self.warn("%s: the verdict can't be had: %s", request.client, error)
                return isinstance(verdict, Deny) and verdict.status == 503

    def wait(self, engine, pool, ran):
        """Until there is a reason to end."""
        active = self.launch_time
        while True:
            self.heed_signals()
            pool.look()
            now = time.time()
            if self.timeout and now - self.launch_time > self.timeout:
                return self.msg("listener exit due to --timeout %s", self.timeout)
            if engine.metrics()["connections"]:
                active = now
            if self.idle_timeout and now - active > self.idle_timeout:
                return self.msg("listener exit due to --idle-timeout %s", self.idle_timeout)
            try:
                self.poll()
            except self.Terminate:
                raise
            except Exception as error:
                self.msg("handler exception: %s", error)
            try:
                return self.msg("%s: exiting due to --run-once", ran.get(timeout=TICK))
            except queue.Empty:
                pass

    def heed_signals(self):
        """What a signal raises in the midst of a log line is caught there."""
        if self.terminating:
            raise self.Terminate()

    def crowded(self, count):
        self.warn("%d plugins think at the same time, and more may not: whoever comes now waits until one has returned", count)

    def ended(self, pool, ran, end):
        """Hears of an end, on the engine's thread."""
        pool.forget(end.id)
        if end.user_data == ALLOWED:
            failure.tell(self.logger, end)
        self.vmsg("%s: %s, by the %s", end.client, end.cause, end.side)
        if self.run_once and end.http_status == 101:
            ran.put(end.client)

    def drain(self, engine, pool):
        """Takes in nobody any more, and waits for the consoles that are open, as long as nobody sends a signal."""
        stopping = threading.Thread(target=engine.stop, args=(math.inf,), daemon=True)
        stopping.start()
        while stopping.is_alive():
            self.heed_signals()
            pool.look()
            stopping.join(TICK)


class WebSocketProxy(EngineServer, websocketproxy.WebSocketProxy):
    """websockify's own, over the engine."""


def alone(plugin):
    """A copy, as a process of its own would have: websockify's TokenFile empties its table before it reads it again."""
    try:
        return copy.copy(plugin)
    except Exception:
        return plugin


def is_listening(descriptor):
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as inherited:
        return bool(inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def at_path(path, mode):
    """A listening UNIX socket, as later versions of websockify have it."""
    if os.path.exists(path):
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise Unsupported(f"{path}: expected the path of a socket, or of nothing")
        os.unlink(path)
    lsock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 ^ mode)
    try:
        lsock.bind(path)
    finally:
        os.umask(before)
    lsock.listen(100)
    return lsock
