/* Ends that wait at a descriptor, for loops of poll and epoll. */
#include "rig.h"

#include <poll.h>
#include <pthread.h>

static void completed(penstock_engine engine, const penstock_completion *completion, void *context)
{
    (void)engine, (void)completion, (void)context;
}

static void one_way_or_the_other(void)
{
    penstock_engine engine;
    int first, second;
    EXPECT(PENSTOCK_OK, penstock_create(NULL, &engine));
    EXPECT(PENSTOCK_OK, penstock_completion_fd(engine, &first));
    EXPECT(PENSTOCK_OK, penstock_completion_fd(engine, &second));
    CHECK(first == second);
    EXPECT(PENSTOCK_INVALID, penstock_on_completion(engine, completed, NULL));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    CHECK(!rig_is_open(first));

    EXPECT(PENSTOCK_OK, penstock_create(NULL, &engine));
    EXPECT(PENSTOCK_OK, penstock_on_completion(engine, completed, NULL));
    EXPECT(PENSTOCK_INVALID, penstock_completion_fd(engine, &first));
    EXPECT(PENSTOCK_OK, penstock_on_completion(engine, NULL, NULL));
    EXPECT(PENSTOCK_OK, penstock_completion_fd(engine, &first));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
}

static int is_readable(int descriptor)
{
    struct pollfd readable;
    readable.fd = descriptor;
    readable.events = POLLIN;
    return poll(&readable, 1, 0);
}

/* Readable for as long as one waits, and not longer. */
static void level(void)
{
    struct rig rig;
    struct rig_tunnel tunnels[3];
    penstock_completion completion;
    int i;
    rig_open(&rig, NULL);
    CHECK(!is_readable(rig.completions));
    for (i = 0; i < 3; i++) {
        rig_join(&rig, AF_UNIX, NULL, &tunnels[i]);
        rig_leave(&tunnels[i]);
    }
    rig_next(&rig, &completion);
    rig_next(&rig, &completion);
    rig_next(&rig, &completion);
    PENSTOCK_INIT(completion);
    CHECK(!is_readable(rig.completions));
    EXPECT(PENSTOCK_EMPTY, penstock_next_completion(rig.engine, &completion));
    rig_join(&rig, AF_UNIX, NULL, &tunnels[0]);
    rig_leave(&tunnels[0]);
    rig_next(&rig, &completion);
    CHECK(completion.id == tunnels[0].id && !is_readable(rig.completions));
    rig_close(&rig);
}

struct handing {
    struct rig *rig;
    int count;
};

static void *handing(void *context)
{
    struct handing *what = (struct handing *)context;
    struct rig_tunnel tunnel;
    int i;
    for (i = 0; i < what->count; i++) {
        rig_join(what->rig, AF_UNIX, NULL, &tunnel);
        rig_leave(&tunnel);
    }
    return NULL;
}

/* Each edge is taken until it is empty; no end is left behind an edge that was seen. */
static void edges(void)
{
    struct rig rig;
    struct handing what;
    struct epoll_event event;
    pthread_t thread;
    int taken = 0, edge = epoll_create1(EPOLL_CLOEXEC);
    rig_open(&rig, NULL);
    event.events = EPOLLIN | EPOLLET;
    event.data.fd = rig.completions;
    CHECK(epoll_ctl(edge, EPOLL_CTL_ADD, rig.completions, &event) == 0);
    what.rig = &rig;
    what.count = rig_many(3000);
    CHECK(pthread_create(&thread, NULL, handing, &what) == 0);
    while (taken < what.count) {
        penstock_completion completion;
        penstock_status status;
        CHECK(rig_epoll(edge, &event, RIG_PATIENCE) == 1);
        PENSTOCK_INIT(completion);
        while ((status = penstock_next_completion(rig.engine, &completion)) == PENSTOCK_OK)
            taken++;
        CHECK(status == PENSTOCK_EMPTY);
    }
    pthread_join(thread, NULL);
    CHECK(taken == what.count);
    close(edge);
    rig_close(&rig);
}

/* They wait for whoever takes them after the stop, and go with the engine if nobody does. */
static void after_the_stop(void)
{
    struct rig rig;
    struct rig_tunnel tunnels[10];
    penstock_completion completion;
    int i;
    rig_open(&rig, NULL);
    for (i = 0; i < 10; i++)
        rig_join(&rig, AF_UNIX, NULL, &tunnels[i]);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, 0));
    for (i = 0; i < 5; i++) {
        rig_next(&rig, &completion);
        CHECK(completion.cause == PENSTOCK_CAUSE_DRAINED);
    }
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
    for (i = 0; i < 10; i++)
        rig_leave(&tunnels[i]);
}

/* Takers on several threads: each end is had by one of them. */
struct taking {
    struct rig *rig;
    int *taken;
};

static void *taking(void *context)
{
    struct taking *what = (struct taking *)context;
    penstock_completion completion;
    PENSTOCK_INIT(completion);
    while (__atomic_load_n(what->taken, __ATOMIC_SEQ_CST) < rig_many(1000)) {
        penstock_status status = penstock_next_completion(what->rig->engine, &completion);
        CHECK(status == PENSTOCK_OK || status == PENSTOCK_EMPTY);
        if (status == PENSTOCK_OK)
            __atomic_fetch_add(what->taken, 1, __ATOMIC_SEQ_CST);
        else
            rig_sleep(1);
    }
    return NULL;
}

static void many_takers(void)
{
    struct rig rig;
    struct taking takers[3];
    struct handing what;
    pthread_t threads[3];
    int i, taken = 0;
    rig_open(&rig, NULL);
    for (i = 0; i < 3; i++) {
        takers[i].rig = &rig;
        takers[i].taken = &taken;
        CHECK(pthread_create(&threads[i], NULL, taking, &takers[i]) == 0);
    }
    what.rig = &rig;
    what.count = rig_many(1000);
    handing(&what);
    for (i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    CHECK(taken == what.count);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    RUN(one_way_or_the_other);
    RUN(level);
    RUN(edges);
    RUN(after_the_stop);
    RUN(many_takers);
    return 0;
}
