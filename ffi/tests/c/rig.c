#include "rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <time.h>

const char *rig_setting(const char *name, const char *otherwise)
{
    const char *setting = getenv(name);
    return setting ? setting : otherwise;
}

int rig_many(int count)
{
    int share = count / atoi(rig_setting("PENSTOCK_TEST_SHARE", "1"));
    return share > 0 ? share : 1;
}

void rig_values(penstock_values *values)
{
    const char *driver = rig_setting("PENSTOCK_TEST_DRIVER", "auto");
    PENSTOCK_INIT(*values);
    values->workers = 2;
    if (strcmp(driver, "uring") == 0)
        values->driver = PENSTOCK_DRIVER_URING;
    if (strcmp(driver, "epoll") == 0)
        values->driver = PENSTOCK_DRIVER_EPOLL;
}

void rig_open(struct rig *rig, const penstock_values *values)
{
    penstock_values usual;
    rig_values(&usual);
    EXPECT(PENSTOCK_OK, penstock_create(values ? values : &usual, &rig->engine));
    EXPECT(PENSTOCK_OK, penstock_completion_fd(rig->engine, &rig->completions));
    EXPECT(PENSTOCK_OK, penstock_start(rig->engine));
}

penstock_engine rig_create_toml(const char *text)
{
    penstock_values values;
    penstock_engine engine = 0;
    rig_values(&values);
    EXPECT(PENSTOCK_OK, penstock_create_from_toml(text, strlen(text), &values, &engine));
    return engine;
}

void rig_open_toml(struct rig *rig, const char *text)
{
    rig->engine = rig_create_toml(text);
    EXPECT(PENSTOCK_OK, penstock_completion_fd(rig->engine, &rig->completions));
    EXPECT(PENSTOCK_OK, penstock_start(rig->engine));
}

void rig_close(struct rig *rig)
{
    penstock_completion left;
    PENSTOCK_INIT(left);
    EXPECT(PENSTOCK_OK, penstock_stop(rig->engine, 0));
    EXPECT(PENSTOCK_EMPTY, penstock_next_completion(rig->engine, &left));
    EXPECT(PENSTOCK_OK, penstock_free(rig->engine));
}

void rig_next(struct rig *rig, penstock_completion *completion)
{
    struct pollfd readable;
    readable.fd = rig->completions;
    readable.events = POLLIN;
    PENSTOCK_INIT(*completion);
    CHECK(poll(&readable, 1, RIG_PATIENCE) == 1);
    EXPECT(PENSTOCK_OK, penstock_next_completion(rig->engine, completion));
}

void rig_none(struct rig *rig, int milliseconds)
{
    struct pollfd readable;
    penstock_completion completion;
    readable.fd = rig->completions;
    readable.events = POLLIN;
    PENSTOCK_INIT(completion);
    CHECK(poll(&readable, 1, milliseconds) == 0);
    EXPECT(PENSTOCK_EMPTY, penstock_next_completion(rig->engine, &completion));
}

/* -1 if somebody has that port already; port 0 is any. */
static int bound_to(int port)
{
    struct sockaddr_in address;
    int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    if (bind(bound, (struct sockaddr *)&address, sizeof address) == 0)
        return bound;
    CHECK(errno == EADDRINUSE);
    close(bound);
    return -1;
}

int rig_listener(int *port)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int listener = bound_to(0);
    CHECK(listener >= 0 && listen(listener, 128) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
    *port = ntohs(address.sin_port);
    return listener;
}

int rig_free_port(void)
{
    static int given = 0;
    int bound, first = 10000 + getpid() % 1250 * 16;
    do {
        CHECK(given < 16);
        bound = bound_to(first + given++);
    } while (bound == -1);
    close(bound);
    return first + given - 1;
}

int rig_try_connect(int port)
{
    struct sockaddr_in address;
    int one = 1, connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons((uint16_t)port);
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;
        close(connection);
        errno = error;
        return -1;
    }
    CHECK(setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    return connection;
}

int rig_connect(int port)
{
    int connection = rig_try_connect(port);
    CHECK(connection >= 0);
    return connection;
}

void rig_pair(int family, int pair[2])
{
    int port, listener;
    if (family == AF_UNIX) {
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        return;
    }
    listener = rig_listener(&port);
    pair[0] = rig_connect(port);
    pair[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(pair[1] >= 0);
    close(listener);
}

void rig_join(struct rig *rig, int family, const penstock_tunnel_options *options, struct rig_tunnel *tunnel)
{
    int client[2], target[2];
    rig_pair(family, client);
    rig_pair(family, target);
    EXPECT(PENSTOCK_OK, penstock_tunnel(rig->engine, client[1], target[1], options, &tunnel->id));
    CHECK(tunnel->id != 0);
    tunnel->client = client[0];
    tunnel->target = target[0];
}

/* Waits until reading or writing makes progress. */
static void ready(int descriptor, short events)
{
    struct pollfd either;
    either.fd = descriptor;
    either.events = events;
    CHECK(poll(&either, 1, RIG_PATIENCE) == 1);
}

void rig_write(int descriptor, const void *data, size_t length)
{
    const char *rest = (const char *)data;
    while (length > 0) {
        ssize_t written = send(descriptor, rest, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (written < 0 && errno == ENOTSOCK)
            written = write(descriptor, rest, length);
        if (written < 0 && errno == EAGAIN) {
            ready(descriptor, POLLOUT);
            continue;
        }
        CHECK(written > 0);
        rest += written;
        length -= (size_t)written;
    }
}

void rig_read(int descriptor, void *data, size_t length)
{
    char *rest = (char *)data;
    while (length > 0) {
        ssize_t count;
        ready(descriptor, POLLIN);
        count = read(descriptor, rest, length);
        CHECK(count > 0);
        rest += count;
        length -= (size_t)count;
    }
}

void rig_say(int descriptor, const char *text)
{
    rig_write(descriptor, text, strlen(text));
}

void rig_hear(int descriptor, const char *text)
{
    char heard[4096];
    size_t length = strlen(text);
    CHECK(length < sizeof heard);
    rig_read(descriptor, heard, length);
    heard[length] = 0;
    if (strcmp(heard, text) != 0)
        fprintf(stderr, "heard: %s\n", heard);
    CHECK(strcmp(heard, text) == 0);
}

void rig_read_head(int descriptor, char *head, size_t room)
{
    size_t length = 0;
    do {
        CHECK(length + 1 < room);
        rig_read(descriptor, head + length, 1);
        head[++length] = 0;
    } while (length < 4 || strcmp(head + length - 4, "\r\n\r\n") != 0);
}

void rig_ended(int descriptor)
{
    char byte;
    ready(descriptor, POLLIN);
    CHECK(read(descriptor, &byte, 1) == 0);
}

void rig_drain(int descriptor)
{
    char block[4096];
    do {
        ready(descriptor, POLLIN);
    } while (read(descriptor, block, sizeof block) > 0);
}

void rig_echo(const struct rig_tunnel *tunnel)
{
    rig_say(tunnel->client, "to the target");
    rig_hear(tunnel->target, "to the target");
    rig_say(tunnel->target, "to the client");
    rig_hear(tunnel->client, "to the client");
}

void rig_leave(struct rig_tunnel *tunnel)
{
    close(tunnel->client);
    close(tunnel->target);
}

void rig_reset(int descriptor)
{
    struct linger hard;
    hard.l_onoff = 1;
    hard.l_linger = 0;
    CHECK(setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &hard, sizeof hard) == 0);
    close(descriptor);
}

void rig_fill(unsigned char *data, size_t length, unsigned seed)
{
    size_t i;
    for (i = 0; i < length; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = (unsigned char)(seed >> 24);
    }
}

int rig_is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) != -1;
}

static int entries(const char *folder)
{
    int count = 0;
    DIR *list = opendir(folder);
    CHECK(list != NULL);
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

int rig_descriptors(void)
{
    return entries("/proc/self/fd");
}

int rig_threads(void)
{
    return entries("/proc/self/task");
}

void rig_sleep(int milliseconds)
{
    struct timespec time;
    time.tv_sec = milliseconds / 1000;
    time.tv_nsec = milliseconds % 1000 * 1000000L;
    while (nanosleep(&time, &time) == -1 && errno == EINTR)
        ;
}

int rig_epoll(int poller, struct epoll_event *event, int milliseconds)
{
    int count;
    do {
        count = epoll_wait(poller, event, 1, milliseconds);
    } while (count == -1 && errno == EINTR);
    return count;
}

void rig_explained(const char *words)
{
    char text[1024];
    EXPECT(PENSTOCK_OK, penstock_last_error(text, sizeof text));
    if (strstr(text, words) == NULL)
        fprintf(stderr, "expected %s in: %s\n", words, text);
    CHECK(strstr(text, words) != NULL);
}
