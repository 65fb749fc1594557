/* Ten thousand tunnels, in every way in which they end, and as many refusals: no descriptor, place or byte is left behind. */
#include "rig.h"

#define BATCH 50

/* Resident memory in KiB. */
static long resident(void)
{
    char line[256];
    long pages = 0, unused;
    FILE *file = fopen("/proc/self/statm", "re");
    CHECK(file != NULL && fgets(line, sizeof line, file) != NULL);
    CHECK(sscanf(line, "%ld %ld", &unused, &pages) == 2);
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void end_somehow(struct rig *rig, struct rig_tunnel *tunnel, int way)
{
    switch (way) {
    case 0:
        rig_echo(tunnel);
        break;
    case 1:
        EXPECT(PENSTOCK_OK, penstock_cancel(rig->engine, tunnel->id));
        break;
    case 2:
        rig_reset(tunnel->client);
        close(tunnel->target);
        return;
    case 3:
        rig_say(tunnel->client, "unread");
        rig_reset(tunnel->target);
        close(tunnel->client);
        return;
    }
    rig_leave(tunnel);
}

static void batch(struct rig *rig, int first)
{
    penstock_completion completion;
    penstock_tunnel_options options;
    int i;
    PENSTOCK_INIT(options);
    options.client_early = "early";
    options.client_early_length = 5;
    options.target_name = "a name that is copied";
    for (i = first; i < first + BATCH; i++) {
        struct rig_tunnel tunnel;
        rig_join(rig, AF_INET, i % 5 == 4 ? &options : NULL, &tunnel);
        end_somehow(rig, &tunnel, i % 5);
    }
    for (i = 0; i < BATCH; i++)
        rig_next(rig, &completion);
}

static void refusals(struct rig *rig, int count)
{
    int i;
    for (i = 0; i < count; i++) {
        penstock_tunnel_options options;
        int client[2];
        rig_pair(AF_UNIX, client);
        PENSTOCK_INIT(options);
        options.terms = "no such terms";
        EXPECT(PENSTOCK_NO_STREAM, penstock_tunnel(rig->engine, client[0], 0x7fffffff, NULL, NULL));
        EXPECT(PENSTOCK_NO_LISTENER, penstock_tunnel(rig->engine, client[0], client[1], &options, NULL));
        CHECK(close(client[0]) == 0 && close(client[1]) == 0);
    }
}

static void ten_thousand(void)
{
    struct rig rig;
    penstock_counts counts;
    int i, batches = rig_many(10000) / BATCH, warm = batches / 4, descriptors = 0;
    long memory = 0;
    PENSTOCK_INIT(counts);
    rig_open(&rig, NULL);
    for (i = 0; i < batches; i++) {
        /* Whatever is kept for later, such as pipes, is there by now. */
        if (i == warm) {
            descriptors = rig_descriptors();
            memory = resident();
        }
        batch(&rig, i * BATCH);
    }
    refusals(&rig, rig_many(10000));
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.handed_over == (uint64_t)batches * BATCH && counts.closed == counts.handed_over);
    CHECK(counts.connections == 0 && counts.tunnels == 0);
    fprintf(stderr, "%d tunnels: descriptors %d, then %d; resident %ld KiB, then %ld\n", batches * BATCH, descriptors,
            rig_descriptors(), memory, resident());
    CHECK(rig_descriptors() <= descriptors);
    /* 100 bytes a tunnel would be seen; instrumented memory is kept aside, and says nothing. */
    CHECK(getenv("PENSTOCK_TEST_SHARE") != NULL || getenv("ASAN_OPTIONS") != NULL || resident() < memory + 768);
    rig_close(&rig);
}

static void engines(void)
{
    int i;
    for (i = 0; i < rig_many(200); i++) {
        struct rig rig;
        struct rig_tunnel tunnel;
        rig_open(&rig, NULL);
        rig_join(&rig, AF_UNIX, NULL, &tunnel);
        /* Freed as it runs: completions that nobody takes go with it. */
        EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
        rig_leave(&tunnel);
    }
}

int main(int argc, char **argv)
{
    RUN(ten_thousand);
    RUN(engines);
    return 0;
}
