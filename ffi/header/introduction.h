/*
 * penstock.h: the forwarding engine of virtual machines' consoles, for programs in C and whatever calls C.
 *
 * An engine carries the bytes between a client and a target, on threads of its own, until both have ended. A host gives it either
 *
 *   - two descriptors that it has connected by itself: penstock_tunnel(), or
 *   - a configuration with listeners, on which the engine accepts, speaks TLS, HTTP and WebSocket, and asks the host who may have what:
 *     penstock_on_authorise().
 *
 * and hears of every end once: penstock_on_completion(), or penstock_completion_fd() for an event loop. Nothing here has to be polled by the
 * host, and no call waits for the network.
 *
 *     penstock_engine engine;
 *     penstock_create(NULL, &engine);
 *     penstock_start(engine);
 *     ... accept() and connect() ...
 *     if (penstock_tunnel(engine, client, target, NULL, NULL) != PENSTOCK_OK) { close(client); close(target); }
 *     ...
 *     penstock_free(engine);
 *
 * A configuration, for penstock_create_from_toml():
 *
 *     [acl]
 *     consoles = { dst = ["10.0.0.0/8", "127.0.0.1"] }         # Addresses of this machine count only if a list names them.
 *
 *     [[listen]]                                               # The engine accepts.
 *     name = "viewers"
 *     service = "connect"                                      # HTTP CONNECT; "console" is WebSocket, "forward" asks for nothing.
 *     address = "0.0.0.0:3128"                                 # Without it: the socket of penstock_listen().
 *     policy = "host"                                          # Asks penstock_on_authorise() about each client.
 *     access = ["allow consoles"]                              # But for those whom this denies; what the host answers is judged by it, too.
 *     tls = { cert = "/etc/penstock/cert.pem", key = "/etc/penstock/key.pem" }
 *
 *     [[listen]]                                               # The host accepts: these are terms for penstock_tunnel().
 *     name = "to-servers"                                      # The option `terms`.
 *     service = "forward"
 *     target = "handed-over"
 *     upstream_tls = { ca = "/etc/penstock/ca.pem" }           # With the target. Its certificate is to be for the option `target_name`.
 *     timeouts = { idle = "15m" }
 *
 * docs/OPERATIONS.md has all of its keys.
 *
 * What holds for every call:
 *
 *   Answers      PENSTOCK_OK, or another penstock_status: penstock_status_text() has a sentence for each, and penstock_last_error() the
 *                particulars of this thread's last call that was not answered by PENSTOCK_OK. Beside those that are named with a call, any may
 *                answer PENSTOCK_NULL, PENSTOCK_NO_ENGINE, PENSTOCK_FORKED and PENSTOCK_PANIC, and all that need an engine which runs
 *                PENSTOCK_NOT_STARTED and PENSTOCK_STOPPED.
 *   Threads      Any thread may call anything at any time, but no signal handler may. Where a call waits for something, its description says
 *                so.
 *   Callbacks    All callbacks of an engine come on one thread of its own, one at a time, never on one that carries bytes: a callback may
 *                wait, and holds up nothing but other callbacks. It may call anything but what waits for the callback's own end:
 *                penstock_stop(), penstock_free() and penstock_run() answer PENSTOCK_IN_CALLBACK there. It must return: no exception, no
 *                longjmp(), no pthread_exit().
 *   Memory       What a host passes in is copied, or is not looked at after the call, but for `user_data` and a callback's `context`, which
 *                the engine only carries. What an engine passes to a callback is gone when the callback returns. There is nothing to free but
 *                the engine.
 *   Structures   Begin with `size` and are set up by PENSTOCK_INIT(): all other fields 0, which always means the usual. So a program that was
 *                built with an older header runs with a newer library. One that was built with a newer header runs with an older library as
 *                long as it uses no field that this one does not know: PENSTOCK_INVALID says so.
 *   Text         Is UTF-8 and ends with a NUL. Text in a structure's array that would not fit is cut.
 *   Descriptors  Belong to the engine from the moment in which a call that takes them answers PENSTOCK_OK, and to the host as before if it
 *                answers anything else. The engine makes them non-blocking. A duplicate in the host's hands keeps a connection open that the
 *                engine has closed, though not from being shut down: the engine ends with shutdown(2) where it ends in order.
 *   fork()       An engine stays in the process that created it. In a child every call about it answers PENSTOCK_FORKED; the child may create
 *                engines of its own. Descriptors that the engine opens are close-on-exec; those that it was given stay as they were.
 *   Processors   Threads run where the host's may: none is pinned.
 *   Signals      The engine's threads block all of them, so that the host's handlers run on the host's threads. No signal's disposition is
 *                changed; a thread in penstock_run() has SIGPIPE blocked as long as it is there.
 *   Allocation   The engine uses malloc() of the process, and sets no allocator.
 *   Bugs         No panic crosses: PENSTOCK_PANIC. A worker that one has halted closes what it carried, whose completions are lost; the others
 *                go on. This is the only way in which one gets lost.
 *   Secrets      Tokens, passwords and payload are in no log line and no completion.
 *
 * Versions: a change that breaks programs makes PENSTOCK_ABI_VERSION greater; penstock_abi_version() is that of the library which is loaded.
 * That number ends the shared library's name (libpenstock.so.1), so that no program is given one which it was not compiled for.
 * Numbers of statuses, causes and all other constants are never used for anything else.
 */
