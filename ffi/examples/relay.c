/*
 * Hands every client of a port over to the engine, together with a connection to a target.
 *
 *   cc relay.c -o relay $(pkg-config --cflags --libs penstock)
 *   ./relay 127.0.0.1 5900 192.0.2.7 5901
 *
 * One thread accepts and connects, one client after the other; the engine's threads carry the bytes. A host that has to wait for slow
 * targets connects as connect_proxy.c does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <penstock.h>

/* A socket that listens at this place, or is connected to it; or -1. */
static int open_socket(const char *host, const char *port, int (*use)(int, const struct addrinfo *))
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *found, *at;
    int descriptor = -1, error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "relay: %s: %s\n", host, gai_strerror(error));
        return -1;
    }
    for (at = found; at != NULL && descriptor == -1; at = at->ai_next) {
        descriptor = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (descriptor != -1 && use(descriptor, at) != 0) {
            fprintf(stderr, "relay: %s port %s: %m\n", host, port);
            close(descriptor);
            descriptor = -1;
        }
    }
    freeaddrinfo(found);
    return descriptor;
}

static int listen_at(int descriptor, const struct addrinfo *place)
{
    int one = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind(descriptor, place->ai_addr, place->ai_addrlen) == 0 ? listen(descriptor, SOMAXCONN) : -1;
}

static int connect_to(int descriptor, const struct addrinfo *place)
{
    return connect(descriptor, place->ai_addr, place->ai_addrlen);
}

/* What went wrong in a call, in words. */
static int failed(const char *call, penstock_status status)
{
    char particulars[512] = "";
    penstock_last_error(particulars, sizeof particulars);
    fprintf(stderr, "relay: %s: %s %s\n", call, penstock_status_text(status), particulars);
    return 1;
}

int main(int argc, char **argv)
{
    penstock_engine engine;
    penstock_status status;
    int listener;
    if (argc != 5) {
        fprintf(stderr, "usage: relay ADDRESS PORT TARGET-HOST TARGET-PORT\n");
        return 2;
    }
    if ((listener = open_socket(argv[1], argv[2], listen_at)) == -1)
        return 1;
    if ((status = penstock_create(NULL, &engine)) != PENSTOCK_OK)
        return failed("penstock_create", status);
    if ((status = penstock_start(engine)) != PENSTOCK_OK)
        return failed("penstock_start", status);
    for (;;) {
        int target, client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client == -1 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS))
            sleep(1);
        if (client == -1)
            continue;
        if ((target = open_socket(argv[3], argv[4], connect_to)) == -1) {
            close(client);
            continue;
        }
        /* With PENSTOCK_OK both are the engine's, and closed by it. */
        if ((status = penstock_tunnel(engine, client, target, NULL, NULL)) != PENSTOCK_OK) {
            failed("penstock_tunnel", status);
            close(client);
            close(target);
        }
    }
}
