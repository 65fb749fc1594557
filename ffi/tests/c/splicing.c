/* Tunnels that splice, in every way in which they end, with pipes that are full: nothing of a worker's pipes and buffers is left behind. */
#include "rig.h"

#include <poll.h>

enum { CLEAN, RESET_BY_CLIENT, RESET_BY_TARGET, CANCELLED, WAYS };

static char text[1 << 18];
static unsigned char block[1 << 16];

/* The sum of a metric over all workers. */
static long metric(const struct rig *rig, const char *name)
{
    char label[64], *line = text;
    long sum = 0;
    int found = 0;
    snprintf(label, sizeof label, "\n%s{worker=", name);
    EXPECT(PENSTOCK_OK, penstock_metrics_text(rig->engine, text, sizeof text, NULL));
    while ((line = strstr(line, label)) != NULL) {
        line = strchr(line, ' ');
        sum += atol(line);
        found++;
    }
    CHECK(found > 0);
    return sum;
}

/* What is kept for later is two descriptors a pipe. */
static int is_clean(const struct rig *rig, int descriptors)
{
    return metric(rig, "penstock_ring_pipes_in_use") == 0 && metric(rig, "penstock_ring_legs") == 0
           && metric(rig, "penstock_ring_buffers_free") == metric(rig, "penstock_ring_buffers_total")
           && rig_descriptors() == descriptors + 2 * metric(rig, "penstock_ring_pipes");
}

/* A completion is told before the last descriptor is closed. */
static void ensure_clean(const struct rig *rig, int descriptors)
{
    int tries;
    for (tries = 0; tries < 500 && !is_clean(rig, descriptors); tries++)
        rig_sleep(10);
    fprintf(stderr, "descriptors %d, then %d; pipes %ld, in use %ld; buffers %ld, free %ld\n", descriptors, rig_descriptors(),
            metric(rig, "penstock_ring_pipes"), metric(rig, "penstock_ring_pipes_in_use"),
            metric(rig, "penstock_ring_buffers_total"), metric(rig, "penstock_ring_buffers_free"));
    CHECK(is_clean(rig, descriptors));
}

/* Bulk, until it is spliced, and a few blocks by splicing alone. */
static uint64_t pour(const struct rig *rig, const struct rig_tunnel *tunnel)
{
    penstock_tunnel_info info;
    int i, spliced = 0;
    PENSTOCK_INIT(info);
    for (i = 0; i < 1000 && spliced < 8; i++) {
        rig_write(tunnel->client, block, sizeof block);
        rig_read(tunnel->target, block, sizeof block);
        EXPECT(PENSTOCK_OK, penstock_query(rig->engine, tunnel->id, &info));
        spliced += info.strategy[0] == PENSTOCK_STRATEGY_SPLICE;
    }
    CHECK(spliced == 8);
    return (uint64_t)i * sizeof block;
}

/* What nobody reads, until nothing more goes in: pipes are full then. */
static void fill(const struct rig_tunnel *tunnel)
{
    struct pollfd either[2];
    int i;
    either[0].fd = tunnel->client;
    either[1].fd = tunnel->target;
    either[0].events = either[1].events = POLLOUT;
    while (poll(either, 2, 5) > 0)
        for (i = 0; i < 2; i++)
            while (send(either[i].fd, block, sizeof block, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
                ;
}

static void end_somehow(const struct rig *rig, struct rig_tunnel *tunnel, int way)
{
    if (way == CLEAN) {
        CHECK(shutdown(tunnel->client, SHUT_WR) == 0);
        rig_ended(tunnel->target);
        close(tunnel->target);
        rig_ended(tunnel->client);
        close(tunnel->client);
        return;
    }
    fill(tunnel);
    if (way == CANCELLED)
        EXPECT(PENSTOCK_OK, penstock_cancel(rig->engine, tunnel->id));
    if (way == RESET_BY_CLIENT)
        rig_reset(tunnel->client);
    if (way == RESET_BY_TARGET)
        rig_reset(tunnel->target);
    if (way != RESET_BY_CLIENT)
        rig_drain(tunnel->client), close(tunnel->client);
    if (way != RESET_BY_TARGET)
        rig_drain(tunnel->target), close(tunnel->target);
}

static void ends(void)
{
    static const uint32_t causes[WAYS] = {PENSTOCK_CAUSE_FINISHED, PENSTOCK_CAUSE_RESET, PENSTOCK_CAUSE_RESET,
                                          PENSTOCK_CAUSE_CANCELLED};
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    int i, descriptors;
    rig_open(&rig, NULL);
    descriptors = rig_descriptors();
    for (i = 0; i < rig_many(200); i++) {
        uint64_t poured;
        rig_join(&rig, AF_INET, NULL, &tunnel);
        poured = pour(&rig, &tunnel);
        end_somehow(&rig, &tunnel, i % WAYS);
        rig_next(&rig, &completion);
        CHECK(completion.id == tunnel.id && completion.cause == causes[i % WAYS] && completion.bytes_spliced > 0);
        CHECK(i % WAYS != CLEAN || completion.bytes_to_target == poured);
    }
    ensure_clean(&rig, descriptors);
    /* Else none was full. */
    CHECK(metric(&rig, "penstock_ring_pipe_destroyed_total") > i / WAYS);
    rig_close(&rig);
}

/* Full, and at rest, until the engine ends it. */
static void many_full(struct rig *rig, struct rig_tunnel *tunnels, int count, const penstock_tunnel_options *options)
{
    int i;
    for (i = 0; i < count; i++) {
        rig_join(rig, AF_INET, options, &tunnels[i]);
        pour(rig, &tunnels[i]);
        fill(&tunnels[i]);
    }
}

static void ended_by(struct rig *rig, struct rig_tunnel *tunnels, int count, uint32_t cause)
{
    penstock_completion completion;
    int i;
    for (i = 0; i < count; i++) {
        rig_next(rig, &completion);
        CHECK(completion.cause == cause && completion.bytes_spliced > 0);
    }
    for (i = 0; i < count; i++)
        rig_leave(&tunnels[i]);
}

static void idle(void)
{
    struct rig rig;
    struct rig_tunnel tunnels[20];
    penstock_tunnel_options options;
    int count = rig_many(20), descriptors;
    PENSTOCK_INIT(options);
    options.idle_ms = 3000;
    rig_open(&rig, NULL);
    descriptors = rig_descriptors();
    many_full(&rig, tunnels, count, &options);
    ended_by(&rig, tunnels, count, PENSTOCK_CAUSE_IDLE_TIMEOUT);
    ensure_clean(&rig, descriptors);
    rig_close(&rig);
}

/* What is left is counted after the test. */
static void stopped(void)
{
    struct rig rig;
    struct rig_tunnel tunnels[20];
    int count = rig_many(20);
    rig_open(&rig, NULL);
    many_full(&rig, tunnels, count, NULL);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, 0));
    ended_by(&rig, tunnels, count, PENSTOCK_CAUSE_DRAINED);
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
}

int main(int argc, char **argv)
{
    RUN(ends);
    RUN(idle);
    RUN(stopped);
    return 0;
}
