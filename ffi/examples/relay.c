/*
 * Hands every client of a port over to the engine, together with a connection to a target.
 *
 *   cc relay.c -o relay $(pkg-config --cflags --libs penstock)
 *   ./relay 127.0.0.1 5900 192.0.2.7 5901
 *
 * One thread accepts and connects, one client after the other, and the engine's threads carry the bytes. A host that can't wait for a
 * slow target connects as connect_proxy.c does.
 */
#define _GNU_SOURCE
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <penstock.h>

static struct addrinfo *place(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo(host, port, &hints, &found);
    if (error != 0) {
        fprintf(stderr, "relay: %s port %s: %s\n", host, port, gai_strerror(error));
        exit(1);
    }
    return found;
}

static int failed(const char *what)
{
    perror(what);
    return 1;
}

int main(int argc, char **argv)
{
    struct addrinfo *here, *there;
    penstock_engine engine;
    int listener, one = 1;
    if (argc != 5) {
        fprintf(stderr, "usage: relay ADDRESS PORT TARGET-HOST TARGET-PORT\n");
        return 2;
    }
    here = place(argv[1], argv[2]);
    there = place(argv[3], argv[4]);
    listener = socket(here->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener == -1 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(listener, here->ai_addr, here->ai_addrlen) != 0 || listen(listener, SOMAXCONN) != 0)
        return failed("relay: listen");
    if (penstock_create(NULL, &engine) != PENSTOCK_OK || penstock_start(engine) != PENSTOCK_OK) {
        char why[512];
        penstock_last_error(why, sizeof why);
        fprintf(stderr, "relay: %s\n", why);
        return 1;
    }
    for (;;) {
        int target, client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client == -1) {
            /* Of whoever has left meanwhile, nothing comes; without descriptors, some may be free soon. */
            failed("relay: accept");
            usleep(100000);
            continue;
        }
        target = socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (target == -1 || connect(target, there->ai_addr, there->ai_addrlen) != 0)
            failed("relay: connect");
        else if (penstock_tunnel(engine, client, target, NULL, NULL) == PENSTOCK_OK)
            continue;
        /* Without PENSTOCK_OK both are still ours. */
        close(client);
        if (target != -1)
            close(target);
    }
}
