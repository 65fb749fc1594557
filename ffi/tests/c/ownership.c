/* A descriptor is the engine's with PENSTOCK_OK, and the host's as before with anything else. */
#include "rig.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/eventfd.h>

/* Refused as client and as target, and both are as they were. */
static void ensure_no_stream(struct rig *rig, int wrong)
{
    int good[2], flags, of_wrong = fcntl(wrong, F_GETFL);
    rig_pair(AF_UNIX, good);
    flags = fcntl(good[0], F_GETFL);
    EXPECT(PENSTOCK_NO_STREAM, penstock_tunnel(rig->engine, wrong, good[0], NULL, NULL));
    EXPECT(PENSTOCK_NO_STREAM, penstock_tunnel(rig->engine, good[0], wrong, NULL, NULL));
    CHECK(rig_is_open(good[0]) && fcntl(good[0], F_GETFL) == flags);
    CHECK(fcntl(wrong, F_GETFL) == of_wrong);
    rig_say(good[0], "ours");
    rig_hear(good[1], "ours");
    close(good[0]);
    close(good[1]);
}

static void ensure_no_stream_and_close(struct rig *rig, int wrong)
{
    CHECK(wrong >= 0);
    ensure_no_stream(rig, wrong);
    CHECK(close(wrong) == 0);
}

static void what_is_no_stream(void)
{
    struct rig rig;
    int pair[2], port;
    rig_open(&rig, NULL);
    ensure_no_stream(&rig, -1);
    ensure_no_stream(&rig, 1 << 20);
    ensure_no_stream(&rig, INT32_MIN);
    ensure_no_stream_and_close(&rig, open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ensure_no_stream_and_close(&rig, open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ensure_no_stream_and_close(&rig, open("/dev/null", O_RDWR | O_CLOEXEC));
    ensure_no_stream_and_close(&rig, epoll_create1(EPOLL_CLOEXEC));
    ensure_no_stream_and_close(&rig, eventfd(0, EFD_CLOEXEC));
    ensure_no_stream_and_close(&rig, rig_listener(&port));
    ensure_no_stream_and_close(&rig, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ensure_no_stream_and_close(&rig, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) == 0);
    ensure_no_stream_and_close(&rig, pair[0]);
    ensure_no_stream_and_close(&rig, pair[1]);
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    ensure_no_stream_and_close(&rig, pair[0]);
    ensure_no_stream_and_close(&rig, pair[1]);
    CHECK(pipe2(pair, O_CLOEXEC) == 0);
    ensure_no_stream_and_close(&rig, pair[0]);
    ensure_no_stream_and_close(&rig, pair[1]);
    rig_close(&rig);
}

static void the_same_one_twice(void)
{
    struct rig rig;
    int pair[2];
    rig_open(&rig, NULL);
    rig_pair(AF_UNIX, pair);
    EXPECT(PENSTOCK_NO_STREAM, penstock_tunnel(rig.engine, pair[0], pair[0], NULL, NULL));
    CHECK(rig_is_open(pair[0]));
    close(pair[0]);
    close(pair[1]);
    rig_close(&rig);
}

static void ensure_ours(penstock_engine engine, penstock_status status, const penstock_tunnel_options *options)
{
    int client[2], target[2], flags;
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    flags = fcntl(client[0], F_GETFL);
    EXPECT(status, penstock_tunnel(engine, client[0], target[0], options, NULL));
    CHECK(fcntl(client[0], F_GETFL) == flags && fcntl(target[0], F_GETFL) == flags);
    close(client[0]), close(client[1]), close(target[0]), close(target[1]);
}

static void before_and_after_its_life(void)
{
    penstock_values values;
    penstock_engine engine;
    rig_values(&values);
    EXPECT(PENSTOCK_OK, penstock_create(&values, &engine));
    ensure_ours(engine, PENSTOCK_NOT_STARTED, NULL);
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_stop(engine, 0));
    ensure_ours(engine, PENSTOCK_STOPPED, NULL);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    ensure_ours(engine, PENSTOCK_NO_ENGINE, NULL);
}

static void when_all_places_are_taken(void)
{
    struct rig rig;
    penstock_values values;
    penstock_completion completion;
    struct rig_tunnel tunnels[2];
    rig_values(&values);
    values.max_tunnels = 2;
    rig_open(&rig, &values);
    rig_join(&rig, AF_UNIX, NULL, &tunnels[0]);
    rig_join(&rig, AF_UNIX, NULL, &tunnels[1]);
    ensure_ours(rig.engine, PENSTOCK_FULL, NULL);
    rig_leave(&tunnels[0]);
    rig_next(&rig, &completion);
    rig_join(&rig, AF_UNIX, NULL, &tunnels[0]);
    rig_echo(&tunnels[0]);
    rig_echo(&tunnels[1]);
    rig_leave(&tunnels[0]);
    rig_leave(&tunnels[1]);
    rig_next(&rig, &completion);
    rig_next(&rig, &completion);
    rig_close(&rig);
}

/* A terminal has no end that could be passed on. */
static void terms_that_can_not_be(void)
{
    struct rig rig;
    penstock_tunnel_options options;
    int master, slave, pair[2];
    rig_open(&rig, NULL);
    CHECK(openpty(&master, &slave, NULL, NULL, NULL) == 0);
    rig_pair(AF_UNIX, pair);
    PENSTOCK_INIT(options);
    options.half_close = PENSTOCK_HALF_CLOSE_FORWARD;
    EXPECT(PENSTOCK_TERMS, penstock_tunnel(rig.engine, pair[0], slave, &options, NULL));
    CHECK(rig_is_open(pair[0]) && rig_is_open(slave));
    close(master), close(slave), close(pair[0]), close(pair[1]);
    rig_close(&rig);
}

/* Of what it took nothing is left in the host's hands, and it is close-on-exec and non-blocking as long as it lives. */
static void what_was_taken(void)
{
    struct rig rig;
    penstock_completion completion;
    int client[2], target[2], duplicate, i;
    rig_open(&rig, NULL);
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    duplicate = dup(client[1]);
    EXPECT(PENSTOCK_OK, penstock_tunnel(rig.engine, client[1], target[1], NULL, NULL));
    for (i = 0; i < RIG_PATIENCE && (fcntl(duplicate, F_GETFL) & O_NONBLOCK) == 0; i++)
        rig_sleep(1);
    CHECK((fcntl(duplicate, F_GETFL) & O_NONBLOCK) != 0);
    close(target[0]);
    /* The duplicate keeps the connection open, and is shut down. */
    rig_ended(client[0]);
    close(client[0]);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED);
    for (i = 0; i < RIG_PATIENCE && (rig_is_open(client[1]) || rig_is_open(target[1])); i++)
        rig_sleep(1);
    CHECK(!rig_is_open(client[1]) && !rig_is_open(target[1]));
    close(duplicate);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    RUN(what_is_no_stream);
    RUN(the_same_one_twice);
    RUN(before_and_after_its_life);
    RUN(when_all_places_are_taken);
    RUN(terms_that_can_not_be);
    RUN(what_was_taken);
    return 0;
}
