/* Looking at what lives: one tunnel, all of them, counts, the text of all counts, and messages. */
#include "rig.h"

#include <pthread.h>

static int user;

static void query_one(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_tunnel_info info;
    penstock_completion completion;
    PENSTOCK_INIT(options);
    options.target_name = "guest 7 \xc3\xa9";
    options.user_data = &user;
    PENSTOCK_INIT(info);
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, &options, &tunnel);
    rig_echo(&tunnel);
    /* A worker counts what it has sent, a moment later. */
    while (info.bytes_to_client == 0) {
        rig_sleep(20);
        EXPECT(PENSTOCK_OK, penstock_query(rig.engine, tunnel.id, &info));
    }
    CHECK(info.size == sizeof info && info.id == tunnel.id && info.user_data == &user);
    CHECK(info.phase == PENSTOCK_PHASE_RELAY);
    CHECK(info.bytes_to_target == strlen("to the target") && info.bytes_to_client == strlen("to the client"));
    CHECK(info.age_ms >= 20 && info.age_ms < RIG_PATIENCE && info.idle_ms <= info.age_ms && info.idle_ms >= 15);
    CHECK(info.strategy[0] == PENSTOCK_STRATEGY_COPY && info.strategy[1] == PENSTOCK_STRATEGY_COPY);
    CHECK(strncmp(info.client, "127.0.0.1:", 10) == 0);
    CHECK(strcmp(info.target, "guest 7 \xc3\xa9") == 0);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(strcmp(completion.target, info.target) == 0 && strcmp(completion.client, info.client) == 0);
    CHECK(strcmp(completion.listener, info.listener) == 0 && completion.user_data == &user);
    EXPECT(PENSTOCK_NO_TUNNEL, penstock_query(rig.engine, tunnel.id, &info));
    rig_close(&rig);
}

/* It is cut between characters. */
static void a_name_that_is_too_long(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_tunnel_info info;
    penstock_completion completion;
    char name[601];
    size_t i, length;
    for (i = 0; i < 300; i++)
        memcpy(name + 2 * i, "\xc3\xa9", 2);
    name[600] = 0;
    PENSTOCK_INIT(options);
    options.target_name = name;
    PENSTOCK_INIT(info);
    rig_open(&rig, NULL);
    rig_join(&rig, AF_UNIX, &options, &tunnel);
    rig_echo(&tunnel);
    EXPECT(PENSTOCK_OK, penstock_query(rig.engine, tunnel.id, &info));
    length = strlen(info.target);
    CHECK(length >= 250 && length < sizeof info.target && length % 2 == 0);
    CHECK(strncmp(info.target, name, length) == 0);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    rig_close(&rig);
}

/* Bulk that is under way is spliced, and is told so. */
static void query_bulk(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_info info;
    penstock_completion completion;
    static unsigned char block[1 << 16];
    int i, is_spliced = 0;
    PENSTOCK_INIT(info);
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    for (i = 0; i < 1000 && !is_spliced; i++) {
        rig_write(tunnel.target, block, sizeof block);
        rig_read(tunnel.client, block, sizeof block);
        EXPECT(PENSTOCK_OK, penstock_query(rig.engine, tunnel.id, &info));
        is_spliced = info.strategy[1] == PENSTOCK_STRATEGY_SPLICE;
    }
    CHECK(is_spliced && info.strategy[0] == PENSTOCK_STRATEGY_COPY);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    rig_close(&rig);
}

struct seen {
    int count;
    int until;
    int have[40];
    const struct rig_tunnel *tunnels;
};

static int told(penstock_engine engine, const penstock_tunnel_info *tunnel, void *context)
{
    struct seen *seen = (struct seen *)context;
    penstock_tunnel_info again;
    int i;
    CHECK(tunnel->size == sizeof *tunnel);
    PENSTOCK_INIT(again);
    EXPECT(PENSTOCK_OK, penstock_query(engine, tunnel->id, &again));
    CHECK(again.id == tunnel->id);
    for (i = 0; i < 40; i++)
        seen->have[i] += seen->tunnels[i].id == tunnel->id;
    return ++seen->count == seen->until ? 9 : 0;
}

static void all_that_live(void)
{
    struct rig rig;
    struct rig_tunnel tunnels[40];
    struct seen seen;
    penstock_completion completion;
    int i;
    rig_open(&rig, NULL);
    for (i = 0; i < 40; i++)
        rig_join(&rig, AF_UNIX, NULL, &tunnels[i]);
    for (i = 0; i < 40; i++)
        rig_echo(&tunnels[i]);
    memset(&seen, 0, sizeof seen);
    seen.tunnels = tunnels;
    EXPECT(PENSTOCK_OK, penstock_for_each(rig.engine, told, &seen));
    CHECK(seen.count == 40);
    for (i = 0; i < 40; i++)
        CHECK(seen.have[i] == 1);
    memset(&seen, 0, sizeof seen);
    seen.tunnels = tunnels;
    seen.until = 3;
    EXPECT(PENSTOCK_OK, penstock_for_each(rig.engine, told, &seen));
    CHECK(seen.count == 3);
    for (i = 0; i < 40; i++)
        rig_leave(&tunnels[i]);
    for (i = 0; i < 40; i++)
        rig_next(&rig, &completion);
    rig_close(&rig);
}

static void counts(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_values values;
    penstock_counts counts;
    penstock_completion completion;
    PENSTOCK_INIT(counts);
    rig_values(&values);
    values.max_tunnels = 123;
    values.memory_per_worker = 8 << 20;
    rig_open(&rig, &values);
    rig_join(&rig, AF_UNIX, NULL, &tunnel);
    rig_echo(&tunnel);
    /* A worker counts what it has sent, a moment later. */
    while (counts.bytes_copied[1] == 0) {
        rig_sleep(1);
        EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    }
    CHECK(counts.size == sizeof counts && counts.workers == 2 && counts.max_tunnels == 123);
    CHECK(counts.driver == PENSTOCK_DRIVER_URING || counts.driver == PENSTOCK_DRIVER_EPOLL);
    CHECK(values.driver == PENSTOCK_DRIVER_AUTO || counts.driver == values.driver);
    CHECK((counts.driver == PENSTOCK_DRIVER_URING) <= ((penstock_features() & PENSTOCK_FEATURE_URING) != 0));
    CHECK(counts.connections == 1 && counts.tunnels == 1 && counts.tunnels_total == 1);
    CHECK(counts.accepted == 0 && counts.handed_over == 1 && counts.closed == 0);
    CHECK(counts.bytes_copied[0] == 13 && counts.bytes_copied[1] == 13);
    CHECK(counts.handshakes[0] + counts.handshakes[1] + counts.handshakes_failed[0] + counts.handshakes_failed[1] == 0);
    CHECK(counts.upgrades == 0 && counts.requests_refused == 0 && counts.answers_stale == 0);
    CHECK(counts.completions_waiting == 0 && counts.splice_refused == 0);
    rig_leave(&tunnel);
    while (counts.completions_waiting == 0) {
        rig_sleep(1);
        EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    }
    rig_next(&rig, &completion);
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.connections == 0 && counts.tunnels == 0 && counts.closed == 1 && counts.completions_waiting == 0);
    rig_close(&rig);
}

static void text_of_all_counts(void)
{
    struct rig rig;
    char *text, cut[32];
    size_t needed = 0, exact;
    rig_open(&rig, NULL);
    EXPECT(PENSTOCK_TRUNCATED, penstock_metrics_text(rig.engine, cut, sizeof cut, &needed));
    CHECK(strlen(cut) < sizeof cut && needed > sizeof cut);
    /* It may have grown by some digits. */
    exact = needed + 256;
    text = (char *)malloc(exact);
    CHECK(text != NULL);
    EXPECT(PENSTOCK_OK, penstock_metrics_text(rig.engine, text, exact, &needed));
    CHECK(strlen(text) + 1 == needed);
    CHECK(strncmp(text, cut, strlen(cut)) == 0);
    CHECK(strstr(text, "\npenstock_handed_over_total{worker=\"1\"} 0\n") != NULL);
    CHECK(strstr(text, "penstock_build_info{version=\"" PENSTOCK_VERSION "\"} 1\n") != NULL);
    free(text);
    rig_close(&rig);
}

struct messages {
    pthread_mutex_t mutex;
    int count;
    int refused_within;
    uint32_t least;
};

static void logged(uint32_t level, const char *message, void *context)
{
    struct messages *messages = (struct messages *)context;
    CHECK(strlen(message) > 0 && strchr(message, '\n') == NULL);
    CHECK(level >= PENSTOCK_LEVEL_ERROR && level <= PENSTOCK_LEVEL_DEBUG);
    pthread_mutex_lock(&messages->mutex);
    messages->count++;
    if (level > messages->least)
        messages->least = level;
    messages->refused_within += penstock_on_log(PENSTOCK_LEVEL_OFF, NULL, NULL) == PENSTOCK_IN_CALLBACK;
    pthread_mutex_unlock(&messages->mutex);
}

static int told_so_far(struct messages *messages)
{
    int count;
    pthread_mutex_lock(&messages->mutex);
    count = messages->count;
    pthread_mutex_unlock(&messages->mutex);
    return count;
}

static void make_messages(void)
{
    struct rig rig;
    rig_open(&rig, NULL);
    rig_close(&rig);
}

static void messages_are_told(void)
{
    static struct messages first = {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0};
    static struct messages second = {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0};
    int i, before;
    EXPECT(PENSTOCK_INVALID, penstock_on_log(5, logged, &first));
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_DEBUG, logged, &first));
    make_messages();
    for (i = 0; i < RIG_PATIENCE && told_so_far(&first) == 0; i++)
        rig_sleep(1);
    CHECK(told_so_far(&first) > 0);

    /* Another one instead: the former hears nothing more, from the answer on. */
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_INFO, logged, &second));
    before = told_so_far(&first);
    CHECK(first.refused_within == before);
    make_messages();
    for (i = 0; i < RIG_PATIENCE && told_so_far(&second) == 0; i++)
        rig_sleep(1);
    CHECK(told_so_far(&first) == before && told_so_far(&second) > 0);
    CHECK(second.least <= PENSTOCK_LEVEL_INFO);

    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_DEBUG, NULL, NULL));
    before = told_so_far(&second);
    make_messages();
    rig_sleep(50);
    CHECK(told_so_far(&second) == before);

    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_OFF, logged, &first));
    before = told_so_far(&first);
    make_messages();
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_ERROR, logged, &first));
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_WARN, logged, &first));
    make_messages();
    rig_sleep(50);
    CHECK(told_so_far(&first) == before);
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_OFF, NULL, NULL));
}

int main(int argc, char **argv)
{
    /* What starts the thread of the messages, which lives as long as the process. */
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_OFF, logged, NULL));
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_OFF, NULL, NULL));
    RUN(query_one);
    RUN(a_name_that_is_too_long);
    RUN(query_bulk);
    RUN(all_that_live);
    RUN(counts);
    RUN(text_of_all_counts);
    RUN(messages_are_told);
    return 0;
}
