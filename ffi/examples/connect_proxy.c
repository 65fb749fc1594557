/*
 * An HTTP CONNECT proxy in one thread: it reads requests, connects, answers 200, and leaves the bytes to the engine.
 *
 *   cc connect_proxy.c -o connect_proxy $(pkg-config --cflags --libs penstock)
 *   ./connect_proxy 127.0.0.1 3128
 *   curl --proxytunnel --proxy http://127.0.0.1:3128 http://192.0.2.7/
 *
 * The engine's ends come through penstock_completion_fd() in the same epoll loop as everything else. What a client has sent behind its
 * request goes with it as early bytes.
 *
 * Whoever may reach this port may connect anywhere from here: keep it on loopback, or judge targets in `begin_connecting`. Names are
 * resolved by getaddrinfo(), which waits: a proxy for many resolves them on another thread.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <penstock.h>

#define HEAD_MAX 8192
/* Clients that have no tunnel yet, and how long they may take. */
#define OPENING_MAX 1000
#define OPENING_SECONDS 30

/* A client, as long as the engine does not have it. */
struct opening {
    int client;
    int target;
    size_t length;
    /* Where the request ends, and early bytes begin; 0: it has not come whole. */
    size_t head;
    time_t deadline;
    /* What is connected to, and to be tried next. */
    struct addrinfo *found;
    struct addrinfo *next;
    struct opening *after;
    struct opening *before;
    char name[300];
    char bytes[HEAD_MAX + 1];
};

static int poller = -1, listener = -1, completions = -1;
static penstock_engine engine;
static struct opening *openings;
static int opening_count;

static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void fail_unless_ok(penstock_status status, const char *call)
{
    char particulars[512] = "";
    if (status == PENSTOCK_OK)
        return;
    penstock_last_error(particulars, sizeof particulars);
    fprintf(stderr, "connect_proxy: %s: %s %s\n", call, penstock_status_text(status), particulars);
    exit(1);
}

static int watch(int descriptor, uint32_t events, void *whom)
{
    struct epoll_event event = {.events = events, .data.ptr = whom};
    return epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &event);
}

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

/* Forgets it; descriptors that are still ours are closed, and leave epoll by that. */
static void end(struct opening *opening)
{
    if (opening->client != -1)
        close(opening->client);
    if (opening->target != -1)
        close(opening->target);
    if (opening->found != NULL)
        freeaddrinfo(opening->found);
    if (opening->after != NULL)
        opening->after->before = opening->before;
    *(opening->before != NULL ? &opening->before->after : &openings) = opening->after;
    opening_count--;
    free(opening);
}

/* An answer is so short that it fits into the socket's buffer, or the client is not worth it. */
static void refuse(struct opening *opening, const char *status)
{
    char answer[128];
    int length = snprintf(answer, sizeof answer, "HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    if (send(opening->client, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == length)
        shutdown(opening->client, SHUT_WR);
    end(opening);
}

/* The target is taken out of epoll, as the client was; both are the engine's if it says so. */
static void hand_over(struct opening *opening)
{
    penstock_tunnel_options options;
    penstock_status status;
    ssize_t length = (ssize_t)sizeof established - 1;
    if (send(opening->client, established, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) != length) {
        end(opening);
        return;
    }
    PENSTOCK_INIT(options);
    options.target_name = opening->name;
    options.client_early = opening->bytes + opening->head;
    options.client_early_length = opening->length - opening->head;
    epoll_ctl(poller, EPOLL_CTL_DEL, opening->target, NULL);
    status = penstock_tunnel(engine, opening->client, opening->target, &options, NULL);
    if (status == PENSTOCK_OK)
        opening->client = opening->target = -1;
    else
        fprintf(stderr, "connect_proxy: %s: %s\n", opening->name, penstock_status_text(status));
    end(opening);
}

/* Begins with the next address that can be tried. */
static void connect_next(struct opening *opening)
{
    for (; opening->next != NULL; opening->next = opening->next->ai_next) {
        struct addrinfo *place = opening->next;
        if (opening->target != -1)
            close(opening->target);
        opening->target = socket(place->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (opening->target == -1)
            continue;
        if (connect(opening->target, place->ai_addr, place->ai_addrlen) != 0 && errno != EINPROGRESS)
            continue;
        if (watch(opening->target, EPOLLOUT, opening) != 0)
            continue;
        opening->next = place->ai_next;
        return;
    }
    refuse(opening, "503 Service Unavailable");
}

/* `CONNECT host:port HTTP/1.x`, with brackets around an IPv6 address; host and port are cut out of `name`. */
static int parse(struct opening *opening, char name[300], char **host, char **port)
{
    int major, minor;
    char *colon;
    if (sscanf(opening->bytes, "CONNECT %299[^ \r\n] HTTP/%1d.%1d\r\n", name, &major, &minor) != 3 || major != 1)
        return -1;
    colon = strrchr(name, ':');
    if (colon == NULL || colon[1] == 0 || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return -1;
    *host = name;
    *port = colon + 1;
    *colon = 0;
    if (name[0] == '[') {
        if (colon[-1] != ']')
            return -1;
        colon[-1] = 0;
        *host = name + 1;
    }
    return **host != 0 ? 0 : -1;
}

static void begin_connecting(struct opening *opening)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    char name[300], *host, *port;
    if (parse(opening, name, &host, &port) != 0) {
        refuse(opening, "400 Bad Request");
        return;
    }
    snprintf(opening->name, sizeof opening->name, "%.280s:%.5s", host, port);
    if (getaddrinfo(host, port, &hints, &opening->found) != 0) {
        opening->found = NULL;
        refuse(opening, "503 Service Unavailable");
        return;
    }
    opening->next = opening->found;
    connect_next(opening);
}

/* Something came of a client; an end before its tunnel stands is the end of it. */
static void read_client(struct opening *opening)
{
    char *end_of_head;
    ssize_t count = recv(opening->client, opening->bytes + opening->length, HEAD_MAX - opening->length, 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (count <= 0) {
        end(opening);
        return;
    }
    opening->length += (size_t)count;
    opening->bytes[opening->length] = 0;
    end_of_head = strstr(opening->bytes, "\r\n\r\n");
    if (end_of_head == NULL && opening->length == HEAD_MAX) {
        refuse(opening, "431 Request Header Fields Too Large");
    } else if (end_of_head != NULL) {
        opening->head = (size_t)(end_of_head - opening->bytes) + 4;
        /* What else it sends, its end among that, waits for the engine. */
        epoll_ctl(poller, EPOLL_CTL_DEL, opening->client, NULL);
        begin_connecting(opening);
    }
}

static void target_ready(struct opening *opening)
{
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(opening->target, SOL_SOCKET, SO_ERROR, &error, &length) != 0 || error != 0)
        connect_next(opening);
    else
        hand_over(opening);
}

static void accept_all(void)
{
    for (;;) {
        struct opening *opening;
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client == -1)
            return;
        opening = opening_count < OPENING_MAX ? (struct opening *)calloc(1, sizeof *opening) : NULL;
        if (opening == NULL) {
            close(client);
            continue;
        }
        opening->client = client;
        opening->target = -1;
        opening->deadline = now() + OPENING_SECONDS;
        opening->after = openings;
        if (openings != NULL)
            openings->before = opening;
        openings = opening;
        opening_count++;
        if (watch(client, EPOLLIN, opening) != 0)
            end(opening);
    }
}

static void take_completions(void)
{
    penstock_completion done;
    PENSTOCK_INIT(done);
    while (penstock_next_completion(engine, &done) == PENSTOCK_OK)
        printf("%s -> %s: %s by %s, %llu bytes out, %llu in\n", done.client, done.target, penstock_cause_name(done.cause),
               penstock_side_name(done.side), (unsigned long long)done.bytes_to_target,
               (unsigned long long)done.bytes_to_client);
    fflush(stdout);
}

static void end_late_ones(void)
{
    struct opening *opening, *after;
    time_t time = now();
    for (opening = openings; opening != NULL; opening = after) {
        after = opening->after;
        if (opening->deadline < time)
            refuse(opening, "408 Request Timeout");
    }
}

static int listen_at(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *place;
    int one = 1, descriptor, error = getaddrinfo(host, port, &hints, &place);
    if (error != 0) {
        fprintf(stderr, "connect_proxy: %s: %s\n", host, gai_strerror(error));
        exit(1);
    }
    descriptor = socket(place->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor == -1 || setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(descriptor, place->ai_addr, place->ai_addrlen) != 0 || listen(descriptor, SOMAXCONN) != 0)
        fail("connect_proxy: listen");
    freeaddrinfo(place);
    return descriptor;
}

static volatile sig_atomic_t is_over;

static void on_signal(int number)
{
    (void)number;
    is_over = 1;
}

/* Of an opening that has its request, only the target is watched. */
static void serve(const struct epoll_event *event)
{
    struct opening *opening = (struct opening *)event->data.ptr;
    if (event->data.ptr == &listener)
        accept_all();
    else if (event->data.ptr == &completions)
        take_completions();
    else if (opening->head == 0)
        read_client(opening);
    else
        target_ready(opening);
}

int main(int argc, char **argv)
{
    struct epoll_event event;
    struct sigaction action = {.sa_handler = on_signal};
    if (argc != 3) {
        fprintf(stderr, "usage: connect_proxy ADDRESS PORT\n");
        return 2;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    listener = listen_at(argv[1], argv[2]);
    fail_unless_ok(penstock_create(NULL, &engine), "penstock_create");
    fail_unless_ok(penstock_completion_fd(engine, &completions), "penstock_completion_fd");
    fail_unless_ok(penstock_start(engine), "penstock_start");
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller == -1 || watch(listener, EPOLLIN, &listener) != 0 || watch(completions, EPOLLIN, &completions) != 0)
        fail("connect_proxy: epoll");
    while (!is_over) {
        /* One at a time, since what is done about one may end what the next is about. */
        if (epoll_wait(poller, &event, 1, 1000) == 1)
            serve(&event);
        end_late_ones();
    }
    while (openings != NULL)
        end(openings);
    close(listener);
    fail_unless_ok(penstock_stop(engine, 0), "penstock_stop");
    take_completions();
    fail_unless_ok(penstock_free(engine), "penstock_free");
    close(poller);
    return 0;
}
