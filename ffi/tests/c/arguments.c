/* What is not as the header says is refused, by the status that it says, and nothing comes of it. */
#include "rig.h"

#include <stddef.h>

/* Larger than any structure, for sizes of programs that know more fields. */
union roomy {
    penstock_values values;
    penstock_tunnel_options options;
    penstock_decision decision;
    penstock_tunnel_info info;
    penstock_completion completion;
    penstock_counts counts;
    unsigned char bytes[4096];
};

static void null_before_the_start(void)
{
    penstock_values values;
    penstock_engine engine;
    int port, listener = rig_listener(&port);
    PENSTOCK_INIT(values);
    EXPECT(PENSTOCK_NULL, penstock_create(&values, NULL));
    EXPECT(PENSTOCK_NULL, penstock_create(NULL, NULL));
    EXPECT(PENSTOCK_NULL, penstock_create_from_toml(NULL, 5, &values, &engine));
    EXPECT(PENSTOCK_NULL, penstock_create_from_toml(RIG_TERMS, strlen(RIG_TERMS), &values, NULL));
    EXPECT(PENSTOCK_OK, penstock_create(NULL, &engine));
    EXPECT(PENSTOCK_NULL, penstock_listen(engine, NULL, listener));
    CHECK(rig_is_open(listener));
    EXPECT(PENSTOCK_NULL, penstock_completion_fd(engine, NULL));
    EXPECT(PENSTOCK_OK, penstock_on_completion(engine, NULL, NULL));
    EXPECT(PENSTOCK_OK, penstock_on_authorise(engine, NULL, NULL));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    close(listener);
}

static void null_while_it_runs(void)
{
    struct rig rig;
    char text[16];
    size_t needed = 0;
    rig_open(&rig, NULL);
    EXPECT(PENSTOCK_NULL, penstock_listener_address(rig.engine, NULL, 0, text, sizeof text));
    EXPECT(PENSTOCK_NULL, penstock_query(rig.engine, 1, NULL));
    EXPECT(PENSTOCK_NULL, penstock_for_each(rig.engine, NULL, NULL));
    EXPECT(PENSTOCK_NULL, penstock_next_completion(rig.engine, NULL));
    EXPECT(PENSTOCK_NULL, penstock_decide(rig.engine, 1, NULL));
    EXPECT(PENSTOCK_NULL, penstock_metrics(rig.engine, NULL));
    EXPECT(PENSTOCK_NULL, penstock_metrics_text(rig.engine, NULL, 1, &needed));
    EXPECT(PENSTOCK_TRUNCATED, penstock_metrics_text(rig.engine, NULL, 0, NULL));
    EXPECT(PENSTOCK_TRUNCATED, penstock_metrics_text(rig.engine, NULL, 0, &needed));
    CHECK(needed > 1000);
    rig_close(&rig);
}

static void null_where_bytes_are_promised(void)
{
    struct rig rig;
    penstock_tunnel_options options;
    int client[2], target[2], i;
    rig_open(&rig, NULL);
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    for (i = 0; i < 2; i++) {
        PENSTOCK_INIT(options);
        options.client_early_length = i == 0;
        options.target_early_length = i == 1;
        EXPECT(PENSTOCK_NULL, penstock_tunnel(rig.engine, client[0], target[0], &options, NULL));
        CHECK(rig_is_open(client[0]) && rig_is_open(target[0]));
    }
    close(client[0]), close(client[1]), close(target[0]), close(target[1]);
    rig_close(&rig);
}

static void engines_that_are_none(void)
{
    penstock_engine engine;
    rig_every_call(0, PENSTOCK_NO_ENGINE);
    rig_every_call(UINT64_MAX, PENSTOCK_NO_ENGINE);
    EXPECT(PENSTOCK_OK, penstock_create(NULL, &engine));
    rig_every_call(engine + 1, PENSTOCK_NO_ENGINE);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    rig_every_call(engine, PENSTOCK_NO_ENGINE);
}

static void sizes_of_values(void)
{
    union roomy roomy;
    penstock_engine engine = 0;
    uint32_t wrong[3] = {0, 3, UINT32_MAX};
    size_t i;
    for (i = 0; i < 3; i++) {
        PENSTOCK_INIT(roomy.values);
        roomy.values.size = wrong[i];
        EXPECT(PENSTOCK_INVALID, penstock_create(&roomy.values, &engine));
    }
    CHECK(engine == 0);

    /* Of a program with a newer header: as long as it uses nothing that is new. */
    memset(&roomy, 0, sizeof roomy);
    roomy.values.size = sizeof roomy.values + 64;
    EXPECT(PENSTOCK_OK, penstock_create(&roomy.values, &engine));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    for (i = sizeof roomy.values; i < sizeof roomy.values + 64; i += 63) {
        roomy.bytes[i] = 1;
        EXPECT(PENSTOCK_INVALID, penstock_create(&roomy.values, &engine));
        roomy.bytes[i] = 0;
    }
}

static void sizes_of_options(void)
{
    struct rig rig;
    union roomy roomy;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    int client[2], target[2];
    rig_open(&rig, NULL);
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    memset(&roomy, 0, sizeof roomy);
    EXPECT(PENSTOCK_INVALID, penstock_tunnel(rig.engine, client[0], target[0], &roomy.options, NULL));
    rig_explained("size");
    roomy.options.size = sizeof roomy.options + 8;
    roomy.bytes[sizeof roomy.options] = 1;
    EXPECT(PENSTOCK_INVALID, penstock_tunnel(rig.engine, client[0], target[0], &roomy.options, NULL));
    CHECK(rig_is_open(client[0]) && rig_is_open(target[0]));
    close(client[0]), close(client[1]), close(target[0]), close(target[1]);

    roomy.bytes[sizeof roomy.options] = 0;
    rig_join(&rig, AF_UNIX, &roomy.options, &tunnel);
    rig_echo(&tunnel);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    rig_close(&rig);
}

/* What is filled: no byte behind its size is touched, and a size that is not set is refused. */
static void sizes_of_answers(void)
{
    struct rig rig;
    union roomy roomy;
    struct rig_tunnel tunnel;
    size_t i;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_UNIX, NULL, &tunnel);
    rig_echo(&tunnel);

    memset(&roomy, 0, sizeof roomy);
    EXPECT(PENSTOCK_INVALID, penstock_query(rig.engine, tunnel.id, &roomy.info));
    rig_explained("size");
    EXPECT(PENSTOCK_INVALID, penstock_metrics(rig.engine, &roomy.counts));
    EXPECT(PENSTOCK_INVALID, penstock_next_completion(rig.engine, &roomy.completion));

    memset(&roomy, 0xa5, sizeof roomy);
    roomy.info.size = offsetof(penstock_tunnel_info, age_ms);
    EXPECT(PENSTOCK_OK, penstock_query(rig.engine, tunnel.id, &roomy.info));
    CHECK(roomy.info.size == offsetof(penstock_tunnel_info, age_ms) && roomy.info.id == tunnel.id);
    for (i = offsetof(penstock_tunnel_info, age_ms); i < sizeof roomy; i++)
        CHECK(roomy.bytes[i] == 0xa5);

    memset(&roomy, 0, sizeof roomy);
    roomy.counts.size = sizeof roomy.counts + 64;
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &roomy.counts));
    CHECK(roomy.counts.workers == 2);

    rig_leave(&tunnel);
    memset(&roomy, 0, sizeof roomy);
    roomy.completion.size = sizeof roomy.completion + 64;
    for (i = 0; i < RIG_PATIENCE && penstock_next_completion(rig.engine, &roomy.completion) == PENSTOCK_EMPTY; i++)
        rig_sleep(1);
    CHECK(roomy.completion.id == tunnel.id);
    rig_close(&rig);
}

static void wrong_values(void)
{
    penstock_values good, values[6];
    static const char *const field[6] = {"driver", "workers", "host_workers", "reserved", "host_workers", "memory"};
    penstock_engine engine;
    size_t i;
    PENSTOCK_INIT(good);
    good.workers = 2;
    for (i = 0; i < 6; i++)
        values[i] = good;
    values[0].driver = 3;
    values[1].workers = 257;
    values[2].host_workers = 3;
    values[3].reserved = 1;
    values[4].host_workers = UINT32_MAX;
    values[5].memory_per_worker = 1;
    for (i = 0; i < 6; i++) {
        EXPECT(PENSTOCK_INVALID, penstock_create(&values[i], &engine));
        rig_explained(field[i]);
        EXPECT(PENSTOCK_INVALID, penstock_create_from_toml(RIG_TERMS, strlen(RIG_TERMS), &values[i], &engine));
    }
}

static void ensure_refused(struct rig *rig, const penstock_tunnel_options *options, penstock_status status,
                           const char *field)
{
    int client[2], target[2];
    penstock_id id = 77;
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    EXPECT(status, penstock_tunnel(rig->engine, client[0], target[0], options, &id));
    rig_explained(field);
    CHECK(id == 77);
    CHECK(rig_is_open(client[0]) && rig_is_open(target[0]));
    close(client[0]), close(client[1]), close(target[0]), close(target[1]);
}

static void wrong_options(void)
{
    struct rig rig;
    penstock_tunnel_options options;
    static char early[65537];
    rig_open(&rig, NULL);
    PENSTOCK_INIT(options);
    options.web_socket = 3;
    ensure_refused(&rig, &options, PENSTOCK_INVALID, "web_socket");
    PENSTOCK_INIT(options);
    options.half_close = 3;
    ensure_refused(&rig, &options, PENSTOCK_INVALID, "half_close");
    PENSTOCK_INIT(options);
    options.reserved = 1;
    ensure_refused(&rig, &options, PENSTOCK_INVALID, "reserved");
    PENSTOCK_INIT(options);
    options.client_early = early;
    options.client_early_length = sizeof early;
    ensure_refused(&rig, &options, PENSTOCK_INVALID, "client_early_length");
    PENSTOCK_INIT(options);
    options.target_early = early;
    options.target_early_length = sizeof early;
    ensure_refused(&rig, &options, PENSTOCK_INVALID, "target_early_length");
    PENSTOCK_INIT(options);
    options.terms = "nobody's";
    ensure_refused(&rig, &options, PENSTOCK_NO_LISTENER, "nobody's");
    PENSTOCK_INIT(options);
    options.target_name = "\xff\xfe";
    ensure_refused(&rig, &options, PENSTOCK_INVALID, "target_name");
    rig_close(&rig);
}

static void unknown_ids(void)
{
    struct rig rig;
    penstock_tunnel_info info;
    static const penstock_id ids[4] = {0, 1, 255ull << 56 | 7, UINT64_MAX};
    size_t i;
    PENSTOCK_INIT(info);
    rig_open(&rig, NULL);
    for (i = 0; i < 4; i++) {
        EXPECT(PENSTOCK_NO_TUNNEL, penstock_query(rig.engine, ids[i], &info));
        EXPECT(PENSTOCK_OK, penstock_cancel(rig.engine, ids[i]));
    }
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    RUN(null_before_the_start);
    RUN(null_while_it_runs);
    RUN(null_where_bytes_are_promised);
    RUN(engines_that_are_none);
    RUN(sizes_of_values);
    RUN(sizes_of_options);
    RUN(sizes_of_answers);
    RUN(wrong_values);
    RUN(wrong_options);
    RUN(unknown_ids);
    return 0;
}
