/* What many tests need: engines on the driver that is to be tried, connected pairs, exact reading with a limit of time. */
#ifndef RIG_H
#define RIG_H

#include "check.h"

#include <sys/epoll.h>
#include <sys/socket.h>

/* Milliseconds after which what was to come is not awaited any more. */
#define RIG_PATIENCE 30000

/* A text that is well, with terms and without a port. */
#define RIG_TERMS "[[listen]]\nname = \"terms\"\nservice = \"forward\"\ntarget = \"handed-over\"\n"

/* An engine whose completions wait at a descriptor. */
struct rig {
    penstock_engine engine;
    int completions;
};

/* A tunnel, and the far ends of its two connections. */
struct rig_tunnel {
    int client;
    int target;
    penstock_id id;
};

/* PENSTOCK_INIT, and the driver of PENSTOCK_TEST_DRIVER (auto, uring, epoll). */
void rig_values(penstock_values *values);
/* `values` may be NULL: two workers. */
void rig_open(struct rig *rig, const penstock_values *values);
void rig_open_toml(struct rig *rig, const char *text);
/* An engine of a text that is not started yet. */
penstock_engine rig_create_toml(const char *text);
/* Stops, and frees. Nothing may be left that nobody took. */
void rig_close(struct rig *rig);
/* Takes the next completion, and waits for it. */
void rig_next(struct rig *rig, penstock_completion *completion);
/* No completion comes within these milliseconds. */
void rig_none(struct rig *rig, int milliseconds);

/* A connected pair: AF_INET over loopback, or AF_UNIX. */
void rig_pair(int family, int pair[2]);
/* A TCP socket that listens on loopback, and its port. */
int rig_listener(int *port);
/* A port that nobody else takes: below those that the kernel gives to whoever asks for any. */
int rig_free_port(void);
/* Connects to loopback. */
int rig_connect(int port);
/* The same, or -1 with errno. */
int rig_try_connect(int port);
/* Joins two new pairs; `options` may be NULL. */
void rig_join(struct rig *rig, int family, const penstock_tunnel_options *options, struct rig_tunnel *tunnel);

void rig_write(int descriptor, const void *data, size_t length);
void rig_read(int descriptor, void *data, size_t length);
/* Reads what is written here, and nothing else. */
void rig_hear(int descriptor, const char *text);
void rig_say(int descriptor, const char *text);
/* A head, up to its empty line. */
void rig_read_head(int descriptor, char *head, size_t room);
/* The stream ends here, in order. */
void rig_ended(int descriptor);
/* Whatever comes, until it ends or breaks. */
void rig_drain(int descriptor);
/* What is written at one end arrives at the other, both ways. */
void rig_echo(const struct rig_tunnel *tunnel);
/* Both far ends go. */
void rig_leave(struct rig_tunnel *tunnel);
/* Closes so that the peer sees a reset. */
void rig_reset(int descriptor);

/* The last error of this thread has these words. */
void rig_explained(const char *words);
/* Bytes that differ with the seed. */
void rig_fill(unsigned char *data, size_t length, unsigned seed);
/* 1, if the number is an open descriptor. */
int rig_is_open(int descriptor);
/* Of this process. */
int rig_descriptors(void);
int rig_threads(void);
void rig_sleep(int milliseconds);
/* epoll_wait() for one event, also if it is interrupted. */
int rig_epoll(int poller, struct epoll_event *event, int milliseconds);
/* This many, or a part of it where every instruction is slow (PENSTOCK_TEST_SHARE). */
int rig_many(int count);
/* What the environment says, or else. */
const char *rig_setting(const char *name, const char *otherwise);

/* Calls every function that is about an engine; each has to answer `expected`, and to take nothing. */
void rig_every_call(penstock_engine engine, penstock_status expected);

#endif
