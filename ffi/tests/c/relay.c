/* What a tunnel carries, and all the ways in which it ends. */
#include "rig.h"

#include <pthread.h>
#include <pty.h>
#include <termios.h>

#define EARLY 65536
#define BULK (8u << 20)

static unsigned char sent[BULK], heard[BULK];

struct writing {
    int descriptor;
    size_t length;
};

static void *writing(void *context)
{
    struct writing *what = (struct writing *)context;
    rig_write(what->descriptor, sent, what->length);
    CHECK(shutdown(what->descriptor, SHUT_WR) == 0);
    return NULL;
}

/* Sends bulk one way, with its end behind it, and compares. */
static void carry(int from, int to, size_t length)
{
    struct writing what;
    pthread_t thread;
    what.descriptor = from;
    what.length = length;
    CHECK(pthread_create(&thread, NULL, writing, &what) == 0);
    rig_read(to, heard, length);
    rig_ended(to);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(memcmp(sent, heard, length) == 0);
}

static void bulk_and_half_close(int family)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    penstock_counts counts;
    size_t length = (size_t)rig_many(BULK);
    rig_fill(sent, length, 7);
    PENSTOCK_INIT(counts);
    rig_open(&rig, NULL);
    rig_join(&rig, family, NULL, &tunnel);
    carry(tunnel.target, tunnel.client, length);
    /* The other way goes on when one has ended. */
    rig_say(tunnel.client, "still there");
    rig_hear(tunnel.target, "still there");
    CHECK(shutdown(tunnel.client, SHUT_WR) == 0);
    rig_ended(tunnel.target);
    rig_next(&rig, &completion);
    CHECK(completion.size == sizeof completion);
    CHECK(completion.id == tunnel.id && completion.handed_over == 1 && completion.user_data == NULL);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED && completion.phase == PENSTOCK_PHASE_RELAY);
    CHECK(completion.bytes_to_client == length && completion.bytes_to_target == strlen("still there"));
    CHECK(completion.duration_us > 0 && completion.http_status == 0);
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    /* Through pipes or through buffers: all of it is counted, and by nobody twice. */
    CHECK(counts.bytes_copied[0] + counts.bytes_spliced[0] == strlen("still there"));
    CHECK(counts.bytes_copied[1] + counts.bytes_spliced[1] == length);
    CHECK(completion.bytes_spliced == counts.bytes_spliced[0] + counts.bytes_spliced[1]);
    CHECK(length < BULK || completion.bytes_spliced > length / 2);
    rig_leave(&tunnel);
    rig_close(&rig);
}

static void bulk_over_tcp(void)
{
    bulk_and_half_close(AF_INET);
}

static void bulk_over_unix(void)
{
    bulk_and_half_close(AF_UNIX);
}

static void early_bytes_first_and_exact(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_completion completion;
    static unsigned char client_early[EARLY], target_early[EARLY];
    rig_fill(sent, 2 * EARLY, 1);
    memcpy(client_early, sent, EARLY);
    memcpy(target_early, sent + EARLY, EARLY);
    PENSTOCK_INIT(options);
    options.client_early = client_early;
    options.client_early_length = EARLY;
    options.target_early = target_early;
    options.target_early_length = EARLY;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, &options, &tunnel);
    /* The host's memory is its own again. */
    memset(client_early, 0, EARLY);
    memset(target_early, 0, EARLY);
    rig_say(tunnel.client, "then this");
    rig_say(tunnel.target, "then that");
    rig_read(tunnel.target, heard, EARLY);
    CHECK(memcmp(heard, sent, EARLY) == 0);
    rig_hear(tunnel.target, "then this");
    rig_read(tunnel.client, heard, EARLY);
    CHECK(memcmp(heard, sent + EARLY, EARLY) == 0);
    rig_hear(tunnel.client, "then that");
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.bytes_to_target == EARLY + strlen("then this"));
    CHECK(completion.bytes_to_client == EARLY + strlen("then that"));
    rig_close(&rig);
}

static void half_close_that_closes(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_completion completion;
    PENSTOCK_INIT(options);
    options.half_close = PENSTOCK_HALF_CLOSE_CLOSE;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, &options, &tunnel);
    rig_say(tunnel.client, "the last word");
    CHECK(shutdown(tunnel.client, SHUT_WR) == 0);
    rig_hear(tunnel.target, "the last word");
    rig_ended(tunnel.target);
    rig_ended(tunnel.client);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED && completion.side == PENSTOCK_SIDE_CLIENT);
    rig_close(&rig);
}

static void reset_by(int by_client)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    char byte;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    rig_echo(&tunnel);
    rig_reset(by_client ? tunnel.client : tunnel.target);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_RESET);
    CHECK(completion.side == (by_client ? PENSTOCK_SIDE_CLIENT : PENSTOCK_SIDE_TARGET));
    CHECK(read(by_client ? tunnel.target : tunnel.client, &byte, 1) <= 0);
    close(by_client ? tunnel.target : tunnel.client);
    rig_close(&rig);
}

static void resets(void)
{
    reset_by(0);
    reset_by(1);
}

static void time_outs(void)
{
    struct rig rig;
    struct rig_tunnel idle, mortal, lasting;
    penstock_tunnel_options options;
    penstock_completion completion;
    rig_open(&rig, NULL);
    PENSTOCK_INIT(options);
    options.idle_ms = options.lifetime_ms = PENSTOCK_NEVER;
    options.user_data = &lasting;
    rig_join(&rig, AF_UNIX, &options, &lasting);
    options.idle_ms = 300;
    options.user_data = &idle;
    rig_join(&rig, AF_UNIX, &options, &idle);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_IDLE_TIMEOUT && completion.user_data == &idle);
    CHECK(completion.duration_us >= 300000);

    options.idle_ms = 0;
    options.lifetime_ms = 3000;
    options.user_data = &mortal;
    rig_join(&rig, AF_UNIX, &options, &mortal);
    rig_echo(&mortal);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_LIFETIME_END && completion.user_data == &mortal);
    CHECK(completion.side == PENSTOCK_SIDE_PENSTOCK && completion.duration_us >= 3000000);
    rig_ended(mortal.client);
    rig_echo(&lasting);
    rig_leave(&idle), rig_leave(&mortal), rig_leave(&lasting);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED && completion.user_data == &lasting);
    rig_close(&rig);
}

static void cancel(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    rig_echo(&tunnel);
    EXPECT(PENSTOCK_OK, penstock_cancel(rig.engine, tunnel.id));
    rig_next(&rig, &completion);
    CHECK(completion.id == tunnel.id && completion.cause == PENSTOCK_CAUSE_CANCELLED);
    EXPECT(PENSTOCK_OK, penstock_cancel(rig.engine, tunnel.id));
    rig_none(&rig, 50);
    rig_leave(&tunnel);
    rig_close(&rig);
}

/* A console on a serial line: raw, both ways, and a target without an end. */
static void a_terminal_as_target(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    struct termios raw;
    penstock_completion completion;
    int client[2], slave;
    rig_open(&rig, NULL);
    CHECK(openpty(&tunnel.target, &slave, NULL, NULL, NULL) == 0);
    CHECK(tcgetattr(slave, &raw) == 0);
    cfmakeraw(&raw);
    CHECK(tcsetattr(slave, TCSANOW, &raw) == 0);
    rig_pair(AF_UNIX, client);
    tunnel.client = client[0];
    EXPECT(PENSTOCK_OK, penstock_tunnel(rig.engine, client[1], slave, NULL, &tunnel.id));
    rig_echo(&tunnel);
    close(tunnel.client);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED && completion.id == tunnel.id);
    close(tunnel.target);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    RUN(bulk_over_tcp);
    RUN(bulk_over_unix);
    RUN(early_bytes_first_and_exact);
    RUN(half_close_that_closes);
    RUN(resets);
    RUN(time_outs);
    RUN(cancel);
    RUN(a_terminal_as_target);
    return 0;
}
