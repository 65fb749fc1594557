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
 * What holds for every call:
 *
 *   Answers      PENSTOCK_OK, or another penstock_status: penstock_status_text() has a sentence for each, and penstock_last_error() the
 *                particulars of this thread's last call that was not answered by PENSTOCK_OK. Beside those that are named with a call, any may
 *                answer PENSTOCK_NULL, PENSTOCK_NO_ENGINE, PENSTOCK_FORKED and PENSTOCK_PANIC, and all that need an engine which runs
 *                PENSTOCK_NOT_STARTED and PENSTOCK_STOPPED.
 *   Threads      Any thread may call anything at any time. Where a call waits for something, its description says so.
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
 *                engines of its own. Descriptors are close-on-exec.
 *   Processors   Threads run where the host's may: none is pinned.
 *   Signals      The engine's threads block all of them, so that the host's handlers run on the host's threads. No signal's disposition is
 *                changed; a thread in penstock_run() has SIGPIPE blocked as long as it is there.
 *   Allocation   The engine uses malloc() of the process, and sets no allocator.
 *   Bugs         No panic crosses: PENSTOCK_PANIC. A worker that one has halted closes what it carried, whose completions are lost; the others
 *                go on. This is the only way in which one gets lost.
 *   Secrets      Tokens, passwords and payload are in no log line and no completion.
 *
 * Versions: a change that breaks programs makes PENSTOCK_ABI_VERSION greater; penstock_abi_version() is that of the library which is loaded.
 * Numbers of statuses, causes and all other constants are never used for anything else.
 */

#ifndef PENSTOCK_H
#define PENSTOCK_H


#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The version of this header; penstock_version() is that of the library. */
#define PENSTOCK_VERSION "0.1.0"
#define PENSTOCK_VERSION_MAJOR 0
#define PENSTOCK_VERSION_MINOR 1
#define PENSTOCK_VERSION_PATCH 0
/* One number that grows with each version. */
#define PENSTOCK_VERSION_NUMBER \
    (PENSTOCK_VERSION_MAJOR * 1000000 + PENSTOCK_VERSION_MINOR * 1000 + PENSTOCK_VERSION_PATCH)

/* Sets a structure up: its size, and 0 everywhere else. PENSTOCK_INIT(options); */
#define PENSTOCK_INIT(structure) \
    do { \
        memset(&(structure), 0, sizeof(structure)); \
        (structure).size = (uint32_t)sizeof(structure); \
    } while (0)


// Of this header. penstock_abi_version() is that of the library.
#define PENSTOCK_ABI_VERSION 1

// For timers that are never to fire, whatever the terms say.
#define PENSTOCK_NEVER UINT64_MAX

//
// What a call answers. Numbers are never used for anything else in later versions.
typedef enum {
    // It was done.
    PENSTOCK_OK = 0,
    // A pointer that must not be NULL is NULL.
    PENSTOCK_NULL = 1,
    // The number names no engine: it was freed, or there never was one.
    PENSTOCK_NO_ENGINE = 2,
    // This process was forked from the one that created the engine. Create one of its own here.
    PENSTOCK_FORKED = 3,
    // A value is none of those that the description of its field allows; penstock_last_error() names the field.
    PENSTOCK_INVALID = 4,
    // The configuration is wrong; penstock_last_error() has line, column and remedy.
    PENSTOCK_CONFIG = 5,
    // An address can't be listened on, a file can't be read, or the kernel refuses what the engine needs.
    PENSTOCK_SYSTEM = 6,
    // It can't be done before penstock_start().
    PENSTOCK_NOT_STARTED = 7,
    // It can't be done after penstock_start().
    PENSTOCK_STARTED = 8,
    // The engine has been stopped, or is just being stopped.
    PENSTOCK_STOPPED = 9,
    // A descriptor is neither a connected stream socket nor a terminal, or, where one is expected, no listening socket.
    PENSTOCK_NO_STREAM = 10,
    // There are as many tunnels as may be: end some, or raise the limits.
    PENSTOCK_FULL = 11,
    // Too much is waiting already: try again in a moment.
    PENSTOCK_BUSY = 12,
    // No such tunnel or connection: it has ended, or there never was one.
    PENSTOCK_NO_TUNNEL = 13,
    // Nothing is waiting.
    PENSTOCK_EMPTY = 14,
    // There is no listener of that name, or none that does what is asked of it.
    PENSTOCK_NO_LISTENER = 15,
    // What was handed over can't be joined on these terms; penstock_last_error() says why.
    PENSTOCK_TERMS = 16,
    // This can't be called from a callback, since it would wait for the callback's own end.
    PENSTOCK_IN_CALLBACK = 17,
    // A worker did not answer in time.
    PENSTOCK_TIMED_OUT = 18,
    // All workers that were left to penstock_run() have their threads.
    PENSTOCK_NO_SEAT = 19,
    // The buffer is too small; what would fit is in it, and the size that is needed where the call says.
    PENSTOCK_TRUNCATED = 20,
    // A bug in the engine: a call came to a halt inside. What it was about is undefined; stop the engine and report this.
    PENSTOCK_PANIC = 21,
} penstock_status;

// What carries the bytes.
typedef enum {
    // io_uring where the kernel allows it, otherwise epoll.
    PENSTOCK_DRIVER_AUTO = 0,
    // io_uring, or no start.
    PENSTOCK_DRIVER_URING = 1,
    // epoll.
    PENSTOCK_DRIVER_EPOLL = 2,
} penstock_driver;

// What the client of a tunnel speaks.
typedef enum {
    // No WebSocket: its bytes are the payload.
    PENSTOCK_WEB_SOCKET_NONE = 0,
    // WebSocket, payload in binary messages. The host has answered its request with 101 already, without extensions.
    PENSTOCK_WEB_SOCKET_BINARY = 1,
    // The same with the subprotocol `base64`: payload as Base64 in text messages.
    PENSTOCK_WEB_SOCKET_BASE64 = 2,
} penstock_web_socket;

// What the end of one direction means for the other.
typedef enum {
    // As the terms say. Plain streams (no terms): PENSTOCK_HALF_CLOSE_FORWARD, or PENSTOCK_HALF_CLOSE_CLOSE if the target is a terminal,
    // which has no end that could be passed on.
    PENSTOCK_HALF_CLOSE_DEFAULT = 0,
    // The tunnel ends as soon as what was read has been delivered.
    PENSTOCK_HALF_CLOSE_CLOSE = 1,
    // The end is passed on, and the other direction goes on until it ends, too.
    PENSTOCK_HALF_CLOSE_FORWARD = 2,
} penstock_half_close;

// What the host says of a request.
typedef enum {
    // It may not have it. The client is answered by 403.
    PENSTOCK_VERDICT_DENY = 0,
    // It may have what it asks for.
    PENSTOCK_VERDICT_ALLOW = 1,
    // penstock_decide() says it: later, or was called already.
    PENSTOCK_VERDICT_PENDING = 2,
} penstock_verdict;

// How a direction is moved.
typedef enum {
    // Through the engine's buffers.
    PENSTOCK_STRATEGY_COPY = 0,
    // By splice(2), past user space.
    PENSTOCK_STRATEGY_SPLICE = 1,
} penstock_strategy;

// What a library can do here, as bits of penstock_features().
typedef enum {
    // The kernel lets us use io_uring.
    PENSTOCK_FEATURE_URING = 1,
    // epoll, which is always there.
    PENSTOCK_FEATURE_EPOLL = 2,
    // TLS with either side.
    PENSTOCK_FEATURE_TLS = 4,
    // WebSocket with clients.
    PENSTOCK_FEATURE_WEB_SOCKET = 8,
    // VNC logins, VeNCrypt among them.
    PENSTOCK_FEATURE_VNC = 16,
    // TLS in the kernel: not in this version.
    PENSTOCK_FEATURE_KERNEL_TLS = 32,
} penstock_feature;

// How important a message is.
typedef enum {
    // None at all.
    PENSTOCK_LEVEL_OFF = 0,
    // What keeps something from working.
    PENSTOCK_LEVEL_ERROR = 1,
    // What will need attention.
    PENSTOCK_LEVEL_WARN = 2,
    // Start, stop, limits, drivers.
    PENSTOCK_LEVEL_INFO = 3,
    // For finding faults.
    PENSTOCK_LEVEL_DEBUG = 4,
} penstock_level;

// Who brought an end about.
typedef enum {
    // The one that connected.
    PENSTOCK_SIDE_CLIENT = 1,
    // The one that it was connected to.
    PENSTOCK_SIDE_TARGET = 2,
    // The engine.
    PENSTOCK_SIDE_PENSTOCK = 3,
} penstock_side;

// How far a connection had come.
typedef enum {
    // Waiting for the PROXY header.
    PENSTOCK_PHASE_PROXY_HEADER = 1,
    // Agreeing on TLS, with the side that it is about.
    PENSTOCK_PHASE_TLS = 2,
    // Waiting for the request head.
    PENSTOCK_PHASE_REQUEST = 3,
    // Judged by rules, by its token or by the host, or its name being resolved.
    PENSTOCK_PHASE_ADMISSION = 4,
    // Connecting to the target.
    PENSTOCK_PHASE_CONNECT = 5,
    // Agreeing with a VNC server, or a console's host, on who may come in.
    PENSTOCK_PHASE_LOGIN = 6,
    // Carrying bytes.
    PENSTOCK_PHASE_RELAY = 7,
    // Serving pages.
    PENSTOCK_PHASE_PAGE = 8,
} penstock_phase;

// What ended a connection.
typedef enum {
    // Everything was delivered and the streams ended in order.
    PENSTOCK_CAUSE_FINISHED = 1,
    // The peer left before the tunnel stood.
    PENSTOCK_CAUSE_HUNG_UP = 2,
    // The peer reset the connection.
    PENSTOCK_CAUSE_RESET = 3,
    // The connection broke in another way (time-out of retransmission, unreachable …).
    PENSTOCK_CAUSE_BROKEN = 4,
    // A stream within TLS ended without the word that ends it: what is missing can't be told.
    PENSTOCK_CAUSE_TRUNCATED = 5,
    // TLS could not be agreed on, or was broken.
    PENSTOCK_CAUSE_TLS_FAILED = 6,
    // Frames came that break the rules of WebSocket.
    PENSTOCK_CAUSE_BAD_FRAME = 7,
    // The certificate shown is not what it should be.
    PENSTOCK_CAUSE_CERTIFICATE_REFUSED = 8,
    // The target did not let us in.
    PENSTOCK_CAUSE_NOT_LET_IN = 9,
    // The target offers no security that is allowed.
    PENSTOCK_CAUSE_NO_COMMON_SECURITY = 10,
    // What comes first is not what the protocol has there.
    PENSTOCK_CAUSE_BAD_GREETING = 11,
    // A message that nobody knows, of somebody who may only look at a console.
    PENSTOCK_CAUSE_UNKNOWN_MESSAGE = 12,
    // Bytes in the clear came where TLS begins.
    PENSTOCK_CAUSE_INJECTED = 13,
    // The console has another name than the one that was looked up.
    PENSTOCK_CAUSE_OTHER_CONSOLE = 14,
    // What the target asks for could not be read.
    PENSTOCK_CAUSE_SECRET_MISSING = 15,
    // The request did not arrive in time.
    PENSTOCK_CAUSE_HANDSHAKE_TIMEOUT = 16,
    // No connection to the target in time.
    PENSTOCK_CAUSE_CONNECT_TIMEOUT = 17,
    // No payload either way for the idle time-out.
    PENSTOCK_CAUSE_IDLE_TIMEOUT = 18,
    // No key and no pointer moved for the user's idle time-out.
    PENSTOCK_CAUSE_USER_IDLE = 19,
    // Nothing was heard of the browser, though it was asked.
    PENSTOCK_CAUSE_DEAD_PEER = 20,
    // The absolute lifetime is over.
    PENSTOCK_CAUSE_LIFETIME_END = 21,
    // What was read could not be flushed to a peer that does not read.
    PENSTOCK_CAUSE_FLUSH_TIMEOUT = 22,
    // A PROXY header was required and something else came, or it came from a source that is not trusted.
    PENSTOCK_CAUSE_BAD_PROXY_HEADER = 23,
    // The request head breaks the grammar.
    PENSTOCK_CAUSE_BAD_REQUEST = 24,
    // The request head is larger than the limits.
    PENSTOCK_CAUSE_TOO_LARGE = 25,
    // Another method than CONNECT.
    PENSTOCK_CAUSE_METHOD_REFUSED = 26,
    // The page that asks is none that may.
    PENSTOCK_CAUSE_ORIGIN_REFUSED = 27,
    // Who asks has not shown who it is, or is nobody who may.
    PENSTOCK_CAUSE_UNAUTHORIZED = 28,
    // The token opens nothing.
    PENSTOCK_CAUSE_TOKEN_REFUSED = 29,
    // Who knows tokens could not be asked.
    PENSTOCK_CAUSE_TOKEN_LOOKUP_FAILED = 30,
    // An access rule says no.
    PENSTOCK_CAUSE_ACCESS_DENIED = 31,
    // The target is loopback, link-local or unspecified, and no rule names it.
    PENSTOCK_CAUSE_LOCAL_TARGET = 32,
    // The target is one of our own listeners.
    PENSTOCK_CAUSE_LOOP = 33,
    // The target's name does not exist.
    PENSTOCK_CAUSE_NAME_NOT_FOUND = 34,
    // The target's name could not be resolved now.
    PENSTOCK_CAUSE_NAME_LOOKUP_FAILED = 35,
    // The target refused the connection.
    PENSTOCK_CAUSE_CONNECT_REFUSED = 36,
    // The target can't be reached.
    PENSTOCK_CAUSE_UNREACHABLE = 37,
    // As many tunnels as the limit allows.
    PENSTOCK_CAUSE_OVERLOADED = 38,
    // As many sessions as the listener allows.
    PENSTOCK_CAUSE_IN_USE = 39,
    // No descriptor or memory was left.
    PENSTOCK_CAUSE_EXHAUSTED = 40,
    // Its unread bytes pinned a pool that others waited for.
    PENSTOCK_CAUSE_POOL_PINNED = 41,
    // The drain time-out of a stop was over.
    PENSTOCK_CAUSE_DRAINED = 42,
    // Whoever handed it over has ended it.
    PENSTOCK_CAUSE_CANCELLED = 43,
} penstock_cause;

// What an engine is made of, where it is not made of a text. All zero: one worker for each core, and limits that suit most hosts.
typedef struct {
    // sizeof(penstock_values), as PENSTOCK_INIT() sets it.
    uint32_t size;
    // Threads that carry bytes, 256 at most; 0: one for each core that this process may use, but not more than one for each 64 descriptors
    // that it may have open.
    uint32_t workers;
    // How many of them are threads of the host, which call penstock_run().
    uint32_t host_workers;
    // One of penstock_driver.
    uint32_t driver;
    // Tunnels at a time; 0: as many as the process's limit of descriptors (RLIMIT_NOFILE, which is left as it is) gives room for. A host
    // that needs many descriptors of its own says fewer.
    uint32_t max_tunnels;
    // Reserved: 0.
    uint32_t reserved;
    // Bytes of buffers of each worker, a hard limit; 0: 64 MiB. Only what is used is ever touched.
    uint64_t memory_per_worker;
} penstock_values;

// An engine, by a number. 0 is none. The number of an engine that was freed names nothing, and is never given to another one.
typedef uint64_t penstock_engine;

// How a tunnel is made. All zero: two plain streams of which nothing was read, joined until both have ended.
typedef struct {
    // sizeof(penstock_tunnel_options), as PENSTOCK_INIT() sets it.
    uint32_t size;
    // One of penstock_web_socket.
    uint32_t web_socket;
    // One of penstock_half_close.
    uint32_t half_close;
    // Reserved: 0.
    uint32_t reserved;
    // The listener of the configuration on whose terms the two are joined: TLS with either side, the answer to a WebSocket request, a login,
    // timers. One with `target = "handed-over"`, or which asks the host (`policy = "host"`) without a target of its own. NULL: plain streams,
    // no timers.
    const char *terms;
    // What the target is called in logs, lists and completions; NULL: nothing. As `host:port` it is also whom TLS with it has to prove, where
    // the terms have `upstream_tls` without `server_name`.
    const char *target_name;
    // What the host has read of the client already, client_early_length bytes: delivered before all that the client still sends. Where the
    // terms have `tls`, these are bytes of TLS. NULL with length 0: nothing.
    const void *client_early;
    // Bytes at client_early; 65536 at most.
    size_t client_early_length;
    // The same of the target. Where the terms have `upstream_tls`, there may be none: they would be somebody's between.
    const void *target_early;
    // Bytes at target_early; 65536 at most.
    size_t target_early_length;
    // Milliseconds without payload either way, after which the tunnel ends; 0: as the terms say; PENSTOCK_NEVER: none.
    uint64_t idle_ms;
    // Milliseconds from now on, after which the tunnel ends whatever happens; 0: as the terms say; PENSTOCK_NEVER: none.
    uint64_t lifetime_ms;
    // Milliseconds between two pings to a client that speaks WebSocket; 0: none.
    uint64_t heartbeat_ms;
    // Whatever the host likes: comes back with the completion. The engine never looks at what it points to.
    void *user_data;
} penstock_tunnel_options;

// A tunnel or a connection of one engine, by a number: never 0. That of a tunnel which was handed over is never used again as long as the engine is there, that
// of a connection which a listener accepted not before some 16 million others.
typedef uint64_t penstock_id;

// A live tunnel or connection.
typedef struct {
    // sizeof(penstock_tunnel_info), as PENSTOCK_INIT() sets it.
    uint32_t size;
    // One of penstock_phase: how far it has come.
    uint32_t phase;
    // Its number.
    penstock_id id;
    // The host's own, from penstock_tunnel_options or penstock_decision.
    void *user_data;
    // Payload from the client that the target's socket has accepted, in bytes.
    uint64_t bytes_to_target;
    // The other way.
    uint64_t bytes_to_client;
    // Since it began.
    uint64_t age_ms;
    // Since the last payload either way.
    uint64_t idle_ms;
    // One of penstock_strategy, for each direction: to the target, to the client.
    uint32_t strategy[2];
    // The listener on whose terms it is carried.
    char listener[64];
    // The client's address and port; empty: it has none.
    char client[64];
    // What the target is called.
    char target[256];
} penstock_tunnel_info;

// Is told of one live tunnel; it is gone when the callback returns. 0 goes on, anything else ends the listing.
typedef int (*penstock_told)(penstock_engine engine, const penstock_tunnel_info *tunnel, void *context);

// How a tunnel or a connection ended.
typedef struct {
    // sizeof(penstock_completion), as PENSTOCK_INIT() sets it.
    uint32_t size;
    // One of penstock_side: who brought it about.
    uint32_t side;
    // One of penstock_phase: how far it had come.
    uint32_t phase;
    // One of penstock_cause: what it was.
    uint32_t cause;
    // Its number: from penstock_tunnel(), or from penstock_request.
    penstock_id id;
    // The host's own, from penstock_tunnel_options or penstock_decision; NULL: none.
    void *user_data;
    // Payload that was delivered to the target, in bytes.
    uint64_t bytes_to_target;
    // Bytes that were delivered to the client: payload, and answers of the engine's.
    uint64_t bytes_to_client;
    // How many of both passed by splice(2), past user space.
    uint64_t bytes_spliced;
    // From its beginning to its end.
    uint64_t duration_us;
    // 1: the host handed it over by penstock_tunnel(); 0: a listener accepted it.
    uint32_t handed_over;
    // The HTTP status that the client was sent; 0: none.
    uint32_t http_status;
    // The listener on whose terms it was carried.
    char listener[64];
    // The client's address and port; empty: it had none.
    char client[64];
    // Where to, as far as it was understood.
    char target[256];
    // For the operator: names and errnos, if there is more to say than the cause.
    char detail[256];
} penstock_completion;

// Tells the host of an end. `completion` is gone when it returns.
typedef void (*penstock_completed)(penstock_engine engine,
                                   const penstock_completion *completion,
                                   void *context);

// What a client asks for, at a listener with `policy = "host"`. TLS with the client stands by then, if the listener has any; no target was
// connected to. All of it is gone when the callback returns.
typedef struct {
    // sizeof(penstock_request) of the library.
    uint32_t size;
    // 1: the client has come through TLS, which the engine has ended.
    uint32_t tls;
    // The number by which to decide; later it is that of the tunnel, and of its completion.
    penstock_id id;
    // The listener's name.
    const char *listener;
    // The client's address and port, such as `192.0.2.1:51234` or `[2001:db8::1]:51234`: the one in the PROXY header, or in
    // `X-Forwarded-For` of a trusted proxy, if the listener believes those (port 0 then, as nobody says it). Empty: it came through a UNIX socket.
    const char *client;
    // The common name of the client's certificate, which was verified; NULL: it showed none, or the listener asks for none.
    const char *common_name;
    // The method of its request, such as `CONNECT` or `GET`; NULL: the listener reads no request (`service = "forward"`).
    const char *method;
    // Where to: `host:port` of a CONNECT, or the listener's `target`; NULL: the host says it.
    const char *target;
    // The path and query of a browser's request, as it was sent; NULL: it is no browser's.
    const char *path;
    // The token in there (`?token=`), decoded; NULL: none.
    const char *token;
    // The head of the request as it was sent, up to and with its empty line: head_length bytes, no NUL behind. Credentials may be in it. NULL:
    // the listener reads no request.
    const char *head;
    // Bytes at head.
    size_t head_length;
} penstock_request;

// Asks the host whether a client may have what it asks for.
//
// Answer PENSTOCK_VERDICT_ALLOW or PENSTOCK_VERDICT_DENY; or PENSTOCK_VERDICT_PENDING, and say it by penstock_decide(), which also has room
// for another target, for an account of the denial, and for a number of yours. Anything else is a denial. Who gets no decision within the
// listener's `timeouts.token` is answered by 503.
typedef uint32_t (*penstock_authorise)(penstock_engine engine, const penstock_request *request, void *context);

// What the host says of a request, in particular. All zero: a denial, answered by 403.
typedef struct {
    // sizeof(penstock_decision), as PENSTOCK_INIT() sets it.
    uint32_t size;
    // PENSTOCK_VERDICT_ALLOW or PENSTOCK_VERDICT_DENY.
    uint32_t verdict;
    // Allow: where to, instead of what was asked for: `tcp://host:port`, `unix:/path`, or `host:port`. NULL: as the client or the listener
    // says. The listener's `access` rules are asked about this one, too.
    const char *target;
    // Allow: 1, if `target_descriptor` is the target. Then `target` is what it is called, and as `host:port` also whom TLS with it has to
    // prove, where the listener has `upstream_tls` without `server_name`.
    uint32_t has_descriptor;
    // Allow, with has_descriptor: a connected stream, on the terms of penstock_tunnel(): the engine's, once penstock_decide() answers
    // PENSTOCK_OK.
    int32_t target_descriptor;
    // Allow, with has_descriptor: what was read of it already, target_early_length bytes. NULL with length 0: nothing.
    const void *target_early;
    // Bytes at target_early; 65536 at most.
    size_t target_early_length;
    // Deny: the HTTP status, 300 to 599, where the client speaks HTTP; 0: 403. A redirection has its `Location` in `headers`.
    uint32_t http_status;
    // Reserved: 0.
    uint32_t reserved;
    // Deny: why, for the log, and for the client in the answer's body; NULL: nothing in particular. No secrets.
    const char *message;
    // Deny: further header fields of the answer, each line ended by CR LF, such as `WWW-Authenticate: Basic realm="x"`; NULL: none.
    const char *headers;
    // Whatever the host likes: comes back with the completion.
    void *user_data;
} penstock_decision;

// What an engine has counted since it was started, over all workers. Each number is read by itself: they need not be of one moment.
typedef struct {
    // sizeof(penstock_counts), as PENSTOCK_INIT() sets it.
    uint32_t size;
    // PENSTOCK_DRIVER_URING or PENSTOCK_DRIVER_EPOLL: what carries the bytes.
    uint32_t driver;
    // Workers.
    uint64_t workers;
    // Tunnels that may live at a time.
    uint64_t max_tunnels;
    // Connections alive, in whatever phase, those handed over among them.
    uint64_t connections;
    // Of these, tunnels that carry bytes.
    uint64_t tunnels;
    // Tunnels that ever stood.
    uint64_t tunnels_total;
    // Connections that listeners accepted.
    uint64_t accepted;
    // Tunnels that were handed over.
    uint64_t handed_over;
    // Connections that ended.
    uint64_t closed;
    // Payload to targets, and to clients, that was copied.
    uint64_t bytes_copied[2];
    // The same that was spliced.
    uint64_t bytes_spliced[2];
    // Times that a direction was to be spliced and there was no pipe for it.
    uint64_t splice_refused;
    // Times that a direction stopped reading because its sink was slow.
    uint64_t backpressure;
    // TLS handshakes with clients, and with targets, that went well.
    uint64_t handshakes[2];
    // The same that failed.
    uint64_t handshakes_failed[2];
    // Connections that became WebSocket.
    uint64_t upgrades;
    // Requests to the host that found too many waiting before them, and were answered by 503.
    uint64_t requests_refused;
    // Decisions and cancellations for connections that were gone.
    uint64_t answers_stale;
    // Completions that wait for penstock_next_completion(), or for the callback.
    uint64_t completions_waiting;
} penstock_counts;

// Takes a message: one of penstock_level, and a line without its end. `message` is gone when it returns.
typedef void (*penstock_logged)(uint32_t level, const char *message, void *context);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, such as `0.1.0`. The text lives for ever.
//
// Threads: any. Never fails.
const char *penstock_version(void);

// The ABI version of the library. A program that was compiled with another PENSTOCK_ABI_VERSION must not use it.
//
// Threads: any. Never fails.
uint32_t penstock_abi_version(void);

// What the library can do here and now: bits of penstock_feature. Looks whether the kernel lets this process use io_uring, which takes some
// microseconds.
//
// Threads: any. Never fails.
uint32_t penstock_features(void);

// A sentence for a penstock_status; one that says so for a number that is none.
//
// The text lives for ever. Threads: any. Never fails.
const char *penstock_status_text(uint32_t status);

// The particulars of the last call of this thread that did not answer PENSTOCK_OK: what was expected, what came, what to do. Empty: there was none.
//
// Ownership: `buffer` is filled with at most `length` bytes, the NUL among them, and stays the host's. Threads: any; each has its own.
// Errors: PENSTOCK_TRUNCATED: it did not fit.
// `buffer` is NULL or has room for `length` bytes.
penstock_status penstock_last_error(char *buffer,
                                    size_t length);

// Creates an engine without listeners, for tunnels that are handed over. It has neither threads nor descriptors before it is started.
//
// `values` may be NULL: as if all were 0.
//
// Ownership: `*engine` is the host's to free. Threads: any. Errors: PENSTOCK_INVALID: a value is wrong.
// `values` is NULL or points to a structure with its own size; `engine` is NULL or points to a number.
penstock_status penstock_create(const penstock_values *values,
                                penstock_engine *engine);

// Creates an engine of a configuration: the text of a file as the daemon reads it (docs/OPERATIONS.md), `length` bytes, in which NUL is
// no end. What listeners it has are accepted on by the engine. `[log]` says where the access log goes; its level is penstock_on_log()'s.
// Targets that are programs (`exec:`, ssh) need the daemon.
//
// `values` may be NULL. What is not 0 in there holds instead of what the text says.
//
// Ownership: `*engine` is the host's to free. Threads: any; reads the files that the text names. Errors: PENSTOCK_CONFIG: the text is wrong, and
// penstock_last_error() says where; PENSTOCK_INVALID: a value is wrong.
// `text` is NULL or points to `length` bytes; the others as with penstock_create().
penstock_status penstock_create_from_toml(const char *text,
                                          size_t length,
                                          const penstock_values *values,
                                          penstock_engine *engine);

// Has the engine accept on a socket that the host has made: bound and listening, TCP or UNIX. `listener` is the name of one of the configuration's listeners,
// which may have `address` of its own beside it, or none. All workers accept on it.
//
// Ownership: passes to the engine with PENSTOCK_OK, and only then; it closes with penstock_stop(). A duplicate in the host's hands keeps the port
// open, and whoever connects then waits for the host. Threads: any. Errors: PENSTOCK_NO_LISTENER; PENSTOCK_NO_STREAM: it is no listening
// socket; PENSTOCK_STARTED.
// `listener` is NULL or a text.
penstock_status penstock_listen(penstock_engine engine,
                                const char *listener,
                                int socket);

// Starts the workers. Nothing is half started: if an address can't be had, there is no thread and no open port.
//
// Threads: any; waits until all workers stand. Errors: PENSTOCK_STARTED; PENSTOCK_STOPPED; PENSTOCK_CONFIG: a listener asks the host, and there is no
// penstock_on_authorise(), or the limit of descriptors is too low for that many workers or tunnels; PENSTOCK_SYSTEM: penstock_last_error() says what.
penstock_status penstock_start(penstock_engine engine);

// Makes the calling thread one of the workers that penstock_values.host_workers leaves to the host. Waits until the engine has been stopped. What is
// dealt to such a worker before waits for it. The thread is left where it may run; SIGPIPE is blocked for it meanwhile.
//
// Threads: any but the engine's own. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_STOPPED; PENSTOCK_NO_SEAT; PENSTOCK_SYSTEM: the driver could not be
// made, and somebody may try again; PENSTOCK_IN_CALLBACK.
penstock_status penstock_run(penstock_engine engine);

// The address of a listener, such as `127.0.0.1:5900` or `unix:/run/x.sock`: the index-th of those that the configuration gives it, then those of
// penstock_listen().
//
// Ownership: `buffer` is filled with at most `length` bytes, the NUL among them, and stays the host's. Threads: any. Errors: PENSTOCK_NOT_STARTED;
// PENSTOCK_NO_LISTENER: no such name, or no such index; PENSTOCK_TRUNCATED.
// `listener` is NULL or a text; `buffer` is NULL or has room for `length` bytes.
penstock_status penstock_listener_address(penstock_engine engine,
                                          const char *listener,
                                          size_t index,
                                          char *buffer,
                                          size_t length);

// Stops the engine: listeners close at once, tunnels may end by themselves for `drain_ms` milliseconds, and what still lives then is ended.
// When it answers, no thread of the engine is left, every completion was told or waits to be taken, and no callback will come. A second call waits for the same
// end, and makes it come at once if its `drain_ms` is 0. An engine that was not started is stopped at once. A stopped engine can't be started again.
//
// Threads: any but a callback and one in penstock_run(); waits. Errors: PENSTOCK_IN_CALLBACK.
penstock_status penstock_stop(penstock_engine engine,
                              uint64_t drain_ms);

// Frees an engine, and stops it first as by penstock_stop(engine, 0) if it runs. Its number names nothing from now on: a second call answers
// PENSTOCK_NO_ENGINE. In a forked child it answers PENSTOCK_FORKED, and frees nothing.
//
// Threads: any but a callback and one in penstock_run(); waits. Calls of other threads that are under way come to their end, and later ones answer
// PENSTOCK_NO_ENGINE. Errors: PENSTOCK_IN_CALLBACK.
penstock_status penstock_free(penstock_engine engine);

// Joins two connected descriptors: stream sockets (TCP, UNIX) or terminals. The host has taken them out of its poller, and neither reads nor
// writes them from now on. What becomes of the tunnel is told by one completion, also if the engine is stopped meanwhile.
//
// `options` may be NULL: two plain streams. `id` may be NULL: the host does not want to know. It is set before the completion is told.
//
// Ownership: both descriptors pass to the engine with PENSTOCK_OK, and only then. Threads: any; never waits. Errors: PENSTOCK_NOT_STARTED,
// PENSTOCK_STOPPED; PENSTOCK_NO_STREAM: one of them is none, or both are one; PENSTOCK_NO_LISTENER: no such `terms`; PENSTOCK_TERMS: not
// possible on these terms, such as PENSTOCK_HALF_CLOSE_FORWARD to a terminal; PENSTOCK_INVALID: a value is wrong; PENSTOCK_FULL, PENSTOCK_BUSY.
// `options` is NULL or points to a structure with its own size, and its pointers to what they say; `id` is NULL or points to a number.
penstock_status penstock_tunnel(penstock_engine engine,
                                int client,
                                int target,
                                const penstock_tunnel_options *options,
                                penstock_id *id);

// Ends a tunnel or a connection, soon: its completion has the cause PENSTOCK_CAUSE_CANCELLED, unless it ended for another reason first. Of one
// that has ended already, nothing comes of it.
//
// Threads: any; never waits. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_BUSY: the worker has too much to do to hear of it, try again.
penstock_status penstock_cancel(penstock_engine engine,
                                penstock_id id);

// Looks at one live tunnel or connection.
//
// Ownership: `info` is filled, and stays the host's. Threads: any; waits for the worker that carries it, usually microseconds, a second at
// most. Errors: PENSTOCK_NO_TUNNEL: it has ended, or there never was one; PENSTOCK_NOT_STARTED; PENSTOCK_TIMED_OUT; PENSTOCK_INVALID: the size is not
// set.
// `info` is NULL or points to a structure with its own size.
penstock_status penstock_query(penstock_engine engine,
                               penstock_id id,
                               penstock_tunnel_info *info);

// Tells of every live tunnel and connection, one after the other, by calls of `told` on the calling thread. Those that begin or end meanwhile may be
// among them or not.
//
// Ownership: `context` stays the host's. Threads: any; waits for the workers, a second at most for each 256 of their slots. Within `told`
// everything may be called. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_TIMED_OUT: some were told of, the others not.
// `told` is NULL or a function that can be called with `context`.
penstock_status penstock_for_each(penstock_engine engine,
                                  penstock_told told,
                                  void *context);

// Has the host told of each end by a callback, instead of whatever was set before. NULL: it is told of none. Each tunnel that was handed over
// and each connection that a listener let in has exactly one completion; all of them were told when penstock_stop() answers. Of those that are
// turned away while the limits are reached, only some have one.
//
// Ownership: `context` stays the host's, and has to live until penstock_stop() has answered. Threads: any; the callback comes on the engine's
// own. Errors: PENSTOCK_STARTED, if the engine runs; PENSTOCK_INVALID, if penstock_completion_fd() was called.
// `completed` and `context` stand until the engine has been stopped.
penstock_status penstock_on_completion(penstock_engine engine,
                                       penstock_completed completed,
                                       void *context);

// Has ends wait for penstock_next_completion(), and gives a descriptor that polls readable (POLLIN, EPOLLIN; edge-triggered or not) as long as
// some do. Only to be called before penstock_start(); once, since each call gives the same descriptor.
//
// Ownership: the descriptor stays the engine's and closes with penstock_free(): neither read nor close it. Ends that nobody takes stay in
// memory until then. Threads: any. Errors: PENSTOCK_STARTED, if the engine runs; PENSTOCK_INVALID, if there is a callback; PENSTOCK_SYSTEM, if
// there are no descriptors left.
// `descriptor` is NULL or points to an int.
penstock_status penstock_completion_fd(penstock_engine engine,
                                       int *descriptor);

// Takes the next end that waits; never waits itself. After an edge of the descriptor, call it until it answers PENSTOCK_EMPTY. Those that wait
// can be taken until penstock_free().
//
// Ownership: `completion` is filled, and stays the host's. Threads: any. Errors: PENSTOCK_EMPTY: none waits; PENSTOCK_INVALID: its size is not
// set, or penstock_completion_fd() was not called.
// `completion` is NULL or points to a structure with its own size.
penstock_status penstock_next_completion(penstock_engine engine,
                                         penstock_completion *completion);

// Has the host asked about every client of listeners with `policy = "host"`, instead of whatever was set before. NULL: nobody; then an engine
// with such a listener does not start.
//
// Ownership: `context` stays the host's, and has to live until penstock_stop() has answered. Threads: any; the callback comes on the engine's
// own. Errors: PENSTOCK_STARTED, if the engine runs.
// `authorise` and `context` stand until the engine has been stopped.
penstock_status penstock_on_authorise(penstock_engine engine,
                                      penstock_authorise authorise,
                                      void *context);

// Decides about a request, within the callback or at any time after it. Whoever decides first has decided. PENSTOCK_OK may come to nothing all the same:
// if the client goes, or its time is over, at the same moment. The completion tells, and brings `user_data` in either case.
//
// Ownership: of the descriptor, if there is one, passes to the engine with PENSTOCK_OK, and only then. Threads: any. Errors: PENSTOCK_NO_TUNNEL:
// it is decided already, the client has gone, or its time is over; PENSTOCK_INVALID: a value is wrong, nothing is decided;
// PENSTOCK_NO_STREAM: the descriptor is none; PENSTOCK_BUSY: try again.
// `decision` is NULL or points to a structure with its own size, and its pointers to what they say.
penstock_status penstock_decide(penstock_engine engine,
                                penstock_id id,
                                const penstock_decision *decision);

// The word for a penstock_side in logs and metrics, such as `client`; `unknown` for a number that is none.
//
// The text lives for ever. Threads: any.
const char *penstock_side_name(uint32_t side);

// The word for a penstock_phase in logs and metrics, such as `relay`; `unknown` for a number that is none.
//
// The text lives for ever. Threads: any.
const char *penstock_phase_name(uint32_t phase);

// The word for a penstock_cause in logs and metrics, such as `idle_timeout`; `unknown` for a number that is none.
//
// The text lives for ever. Threads: any.
const char *penstock_cause_name(uint32_t cause);

// Counts.
//
// Ownership: `counts` is filled, and stays the host's. Threads: any; never waits. Errors: PENSTOCK_NOT_STARTED; PENSTOCK_INVALID: the size is not set.
// `counts` is NULL or points to a structure with its own size.
penstock_status penstock_metrics(penstock_engine engine,
                                 penstock_counts *counts);

// Everything that the engine counts, in the text format of Prometheus: what the daemon shows at `/metrics`.
//
// Ownership: `buffer` is filled with at most `length` bytes, the NUL among them, and stays the host's; it may be NULL if length is 0.
// `*needed`, unless NULL, is how many bytes the whole text takes, its NUL among them. Threads: any; never waits. Errors:
// PENSTOCK_NOT_STARTED; PENSTOCK_TRUNCATED: it did not fit.
// `buffer` is NULL or has room for `length` bytes; `needed` is NULL or points to a number.
penstock_status penstock_metrics_text(penstock_engine engine,
                                      char *buffer,
                                      size_t length,
                                      size_t *needed);

// Has messages of this level and more important ones told to the host, of all engines of the process. A second call replaces the first; NULL
// ends it. Without any call there are none. They come one at a time on a thread that the first call starts and that lives as long as the
// process; too many at once are counted and dropped.
//
// Ownership: `context` stays the host's, and has to live until a call with NULL, or with another, has answered: by then no message is told to the former
// any more. Threads: any but from within the callback. Errors: PENSTOCK_INVALID: no such level; PENSTOCK_IN_CALLBACK. In a
// forked child no message comes, and the answer is PENSTOCK_FORKED if the parent has called it.
// `logged` and `context` stand until they are replaced.
penstock_status penstock_on_log(uint32_t level,
                                penstock_logged logged,
                                void *context);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PENSTOCK_H */
