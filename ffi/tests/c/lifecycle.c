/* From creating to freeing, in order, out of order, and from many threads at once. */
#include "rig.h"

#include <pthread.h>

static penstock_engine created(void)
{
    penstock_values values;
    penstock_engine engine = 0;
    rig_values(&values);
    EXPECT(PENSTOCK_OK, penstock_create(&values, &engine));
    CHECK(engine != 0);
    return engine;
}

static int told(penstock_engine engine, const penstock_tunnel_info *tunnel, void *context)
{
    (void)engine, (void)tunnel, (void)context;
    return 0;
}

static void before_the_start(void)
{
    penstock_engine engine;
    penstock_tunnel_info info;
    penstock_counts counts;
    char text[64];
    int descriptors = rig_descriptors(), threads = rig_threads();
    PENSTOCK_INIT(info);
    PENSTOCK_INIT(counts);
    engine = created();
    CHECK(rig_descriptors() == descriptors && rig_threads() == threads);
    EXPECT(PENSTOCK_NOT_STARTED, penstock_cancel(engine, 1));
    EXPECT(PENSTOCK_NOT_STARTED, penstock_query(engine, 1, &info));
    EXPECT(PENSTOCK_NOT_STARTED, penstock_for_each(engine, told, NULL));
    EXPECT(PENSTOCK_NOT_STARTED, penstock_metrics(engine, &counts));
    EXPECT(PENSTOCK_NOT_STARTED, penstock_metrics_text(engine, text, sizeof text, NULL));
    EXPECT(PENSTOCK_NOT_STARTED, penstock_listener_address(engine, "any", 0, text, sizeof text));
    EXPECT(PENSTOCK_NOT_STARTED, penstock_run(engine));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
}

static void completed(penstock_engine engine, const penstock_completion *completion, void *context)
{
    (void)engine, (void)completion, (void)context;
}

static uint32_t authorise(penstock_engine engine, const penstock_request *request, void *context)
{
    (void)engine, (void)request, (void)context;
    return PENSTOCK_VERDICT_DENY;
}

static void after_the_start(void)
{
    penstock_engine engine = created();
    int descriptor, port, listener = rig_listener(&port);
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    EXPECT(PENSTOCK_STARTED, penstock_start(engine));
    EXPECT(PENSTOCK_STARTED, penstock_listen(engine, "any", listener));
    EXPECT(PENSTOCK_STARTED, penstock_on_completion(engine, completed, NULL));
    EXPECT(PENSTOCK_STARTED, penstock_completion_fd(engine, &descriptor));
    EXPECT(PENSTOCK_STARTED, penstock_on_authorise(engine, authorise, NULL));
    EXPECT(PENSTOCK_NO_SEAT, penstock_run(engine));
    CHECK(rig_is_open(listener));
    close(listener);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
}

static void after_the_stop(void)
{
    penstock_engine engine = created();
    penstock_tunnel_info info;
    penstock_counts counts;
    penstock_decision decision;
    int threads = rig_threads();
    PENSTOCK_INIT(info);
    PENSTOCK_INIT(counts);
    PENSTOCK_INIT(decision);
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    CHECK(rig_threads() >= threads + 2);
    EXPECT(PENSTOCK_OK, penstock_stop(engine, 0));
    EXPECT(PENSTOCK_OK, penstock_stop(engine, 1000));
    EXPECT(PENSTOCK_STOPPED, penstock_start(engine));
    EXPECT(PENSTOCK_STOPPED, penstock_run(engine));
    /* The counts are as they were. */
    EXPECT(PENSTOCK_STOPPED, penstock_query(engine, 1, &info));
    EXPECT(PENSTOCK_NO_TUNNEL, penstock_decide(engine, 1, &decision));
    EXPECT(PENSTOCK_STOPPED, penstock_cancel(engine, 1));
    EXPECT(PENSTOCK_STOPPED, penstock_for_each(engine, told, NULL));
    EXPECT(PENSTOCK_OK, penstock_metrics(engine, &counts));
    CHECK(counts.workers == 2);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    EXPECT(PENSTOCK_NO_ENGINE, penstock_free(engine));
}

static void stopped_before_it_was_started(void)
{
    penstock_engine engine = created();
    EXPECT(PENSTOCK_OK, penstock_stop(engine, 1000));
    EXPECT(PENSTOCK_STOPPED, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
}

static void numbers_are_not_used_again(void)
{
    penstock_engine first = created(), next;
    int i;
    EXPECT(PENSTOCK_OK, penstock_free(first));
    for (i = 0; i < 100; i++) {
        next = created();
        CHECK(next != first);
        EXPECT(PENSTOCK_OK, penstock_free(next));
        EXPECT(PENSTOCK_NO_ENGINE, penstock_free(first));
    }
}

/* Two engines know nothing of each other. */
static void two_engines(void)
{
    struct rig one, other;
    struct rig_tunnel tunnel, of_other;
    penstock_completion completion;
    rig_open(&one, NULL);
    rig_open(&other, NULL);
    rig_join(&one, AF_UNIX, NULL, &tunnel);
    rig_join(&other, AF_UNIX, NULL, &of_other);
    rig_echo(&tunnel);
    EXPECT(PENSTOCK_OK, penstock_stop(one.engine, 0));
    rig_echo(&of_other);
    rig_leave(&tunnel);
    rig_leave(&of_other);
    rig_next(&one, &completion);
    CHECK(completion.id == tunnel.id);
    rig_next(&other, &completion);
    CHECK(completion.id == of_other.id);
    rig_close(&one);
    rig_close(&other);
}

static void stop_while_busy(void)
{
    struct rig rig;
    struct rig_tunnel tunnels[20];
    penstock_completion completion;
    static unsigned char block[1 << 18];
    int i;
    rig_open(&rig, NULL);
    for (i = 0; i < 20; i++) {
        rig_join(&rig, i % 2 ? AF_UNIX : AF_INET, NULL, &tunnels[i]);
        rig_echo(&tunnels[i]);
        /* Nobody reads it: the engine holds some. */
        rig_write(tunnels[i].client, block, sizeof block / 4);
    }
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, 0));
    for (i = 0; i < 20; i++) {
        rig_next(&rig, &completion);
        CHECK(completion.cause == PENSTOCK_CAUSE_DRAINED && completion.side == PENSTOCK_SIDE_PENSTOCK);
        CHECK(completion.phase == PENSTOCK_PHASE_RELAY && completion.bytes_to_client == strlen("to the client"));
        rig_drain(tunnels[i].target);
        rig_leave(&tunnels[i]);
    }
    rig_close(&rig);
}

struct stopping {
    penstock_engine engine;
    uint64_t drain_ms;
};

static void *stopping(void *context)
{
    struct stopping *what = (struct stopping *)context;
    EXPECT(PENSTOCK_OK, penstock_stop(what->engine, what->drain_ms));
    return NULL;
}

static pthread_t start(void *(*body)(void *), void *context)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, context) == 0);
    return thread;
}

static int counted(penstock_engine engine, const penstock_tunnel_info *tunnel, void *context)
{
    (void)engine, (void)tunnel;
    ++*(int *)context;
    return 0;
}

/* While it drains, what lives goes on, and nothing new is taken. */
static void drain(void)
{
    struct rig rig;
    struct stopping what;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    penstock_tunnel_info info;
    pthread_t thread;
    int client[2], target[2], count = 0;
    PENSTOCK_INIT(info);
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    what.engine = rig.engine;
    what.drain_ms = RIG_PATIENCE;
    thread = start(stopping, &what);
    while (penstock_start(rig.engine) == PENSTOCK_STARTED)
        rig_sleep(1);
    EXPECT(PENSTOCK_STOPPED, penstock_start(rig.engine));
    rig_echo(&tunnel);
    EXPECT(PENSTOCK_STOPPED, penstock_tunnel(rig.engine, client[0], target[0], NULL, NULL));
    CHECK(rig_is_open(client[0]) && rig_is_open(target[0]));
    /* Whose end is awaited can still be seen, and be ended. */
    EXPECT(PENSTOCK_OK, penstock_query(rig.engine, tunnel.id, &info));
    CHECK(info.id == tunnel.id);
    EXPECT(PENSTOCK_OK, penstock_for_each(rig.engine, counted, &count));
    CHECK(count == 1);
    EXPECT(PENSTOCK_OK, penstock_cancel(rig.engine, tunnel.id));
    pthread_join(thread, NULL);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_CANCELLED);
    EXPECT(PENSTOCK_STOPPED, penstock_cancel(rig.engine, tunnel.id));
    close(client[0]), close(client[1]), close(target[0]), close(target[1]);
    rig_close(&rig);
}

/* The first stop would wait for long; the second makes its end come at once, and both hear of the same. */
static void stop_from_two_threads(void)
{
    struct rig rig;
    struct stopping patient, hasty;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    pthread_t threads[2];
    rig_open(&rig, NULL);
    rig_join(&rig, AF_UNIX, NULL, &tunnel);
    patient.engine = hasty.engine = rig.engine;
    patient.drain_ms = 3600000;
    hasty.drain_ms = 0;
    threads[0] = start(stopping, &patient);
    rig_sleep(50);
    threads[1] = start(stopping, &hasty);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_DRAINED);
    rig_leave(&tunnel);
    rig_close(&rig);
}

/* Calls until the engine is gone. */
static void *caller(void *context)
{
    penstock_engine engine = *(penstock_engine *)context;
    penstock_status status;
    penstock_counts counts;
    penstock_completion completion;
    PENSTOCK_INIT(counts);
    PENSTOCK_INIT(completion);
    do {
        int client[2], target[2];
        rig_pair(AF_UNIX, client);
        rig_pair(AF_UNIX, target);
        close(client[0]);
        close(target[0]);
        status = penstock_tunnel(engine, client[1], target[1], NULL, NULL);
        if (status != PENSTOCK_OK) {
            CHECK(close(client[1]) == 0);
            CHECK(close(target[1]) == 0);
        }
        CHECK(status == PENSTOCK_OK || status == PENSTOCK_STOPPED || status == PENSTOCK_NO_ENGINE ||
              status == PENSTOCK_BUSY || status == PENSTOCK_FULL);
        status = penstock_metrics(engine, &counts);
        CHECK(status == PENSTOCK_OK || status == PENSTOCK_NO_ENGINE);
        status = penstock_for_each(engine, told, NULL);
        CHECK(status == PENSTOCK_OK || status == PENSTOCK_NO_ENGINE || status == PENSTOCK_STOPPED ||
              status == PENSTOCK_TIMED_OUT);
        status = penstock_next_completion(engine, &completion);
        CHECK(status == PENSTOCK_OK || status == PENSTOCK_NO_ENGINE || status == PENSTOCK_EMPTY);
    } while (status != PENSTOCK_NO_ENGINE);
    return NULL;
}

static void free_while_others_call(void)
{
    int round;
    for (round = 0; round < rig_many(20); round++) {
        struct rig rig;
        pthread_t threads[4];
        int i;
        rig_open(&rig, NULL);
        for (i = 0; i < 4; i++)
            threads[i] = start(caller, &rig.engine);
        rig_sleep(20);
        EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
        for (i = 0; i < 4; i++)
            pthread_join(threads[i], NULL);
    }
}

int main(int argc, char **argv)
{
    RUN(before_the_start);
    RUN(after_the_start);
    RUN(after_the_stop);
    RUN(stopped_before_it_was_started);
    RUN(numbers_are_not_used_again);
    RUN(two_engines);
    RUN(stop_while_busy);
    RUN(drain);
    RUN(stop_from_two_threads);
    RUN(free_while_others_call);
    return 0;
}
