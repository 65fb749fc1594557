/* Ends told by a callback: each once, on one thread, and a callback may call anything but what would wait for itself. */
#include "rig.h"

#include <pthread.h>

struct place {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    int count;
    int is_within;
    int was_wrong;
    int again;
    int may_go_on;
    penstock_completion last;
};

static void place_init(struct place *place)
{
    memset(place, 0, sizeof *place);
    CHECK(pthread_mutex_init(&place->mutex, NULL) == 0);
    CHECK(pthread_cond_init(&place->changed, NULL) == 0);
}

static void place_await(struct place *place, int count)
{
    pthread_mutex_lock(&place->mutex);
    while (place->count < count)
        pthread_cond_wait(&place->changed, &place->mutex);
    CHECK(place->count == count);
    pthread_mutex_unlock(&place->mutex);
}

static void count_one(struct place *place, const penstock_completion *completion)
{
    pthread_mutex_lock(&place->mutex);
    place->was_wrong += place->is_within++;
    place->was_wrong += place->count > 0 && !pthread_equal(place->thread, pthread_self());
    place->thread = pthread_self();
    place->last = *completion;
    place->is_within--;
    place->count++;
    pthread_cond_broadcast(&place->changed);
    pthread_mutex_unlock(&place->mutex);
}

static void completed(penstock_engine engine, const penstock_completion *completion, void *context)
{
    (void)engine;
    CHECK(completion->size == sizeof *completion);
    count_one((struct place *)context, completion);
}

static void open_told(struct rig *rig, penstock_completed told, struct place *place)
{
    penstock_values values;
    rig_values(&values);
    rig->completions = -1;
    place_init(place);
    EXPECT(PENSTOCK_OK, penstock_create(&values, &rig->engine));
    EXPECT(PENSTOCK_OK, penstock_on_completion(rig->engine, told, place));
    EXPECT(PENSTOCK_OK, penstock_start(rig->engine));
}

static void each_end_is_told(void)
{
    struct rig rig;
    struct place place;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    int i;
    open_told(&rig, completed, &place);
    for (i = 1; i <= 20; i++) {
        rig_join(&rig, AF_UNIX, NULL, &tunnel);
        rig_echo(&tunnel);
        rig_leave(&tunnel);
        place_await(&place, i);
        CHECK(place.last.id == tunnel.id && place.last.cause == PENSTOCK_CAUSE_FINISHED);
    }
    CHECK(!place.was_wrong && !pthread_equal(place.thread, pthread_self()));
    PENSTOCK_INIT(completion);
    EXPECT(PENSTOCK_INVALID, penstock_next_completion(rig.engine, &completion));
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
}

/* All were told when the stop has answered, and none comes later. */
static void all_are_told_by_the_stop(void)
{
    struct rig rig;
    struct place place;
    struct rig_tunnel tunnels[30];
    int i;
    open_told(&rig, completed, &place);
    for (i = 0; i < 30; i++)
        rig_join(&rig, AF_UNIX, NULL, &tunnels[i]);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, 0));
    CHECK(place.count == 30 && !place.was_wrong && place.last.cause == PENSTOCK_CAUSE_DRAINED);
    for (i = 0; i < 30; i++)
        rig_leave(&tunnels[i]);
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
    CHECK(place.count == 30);
}

static int told(penstock_engine engine, const penstock_tunnel_info *tunnel, void *context)
{
    penstock_tunnel_info info;
    PENSTOCK_INIT(info);
    EXPECT(PENSTOCK_OK, penstock_query(engine, tunnel->id, &info));
    ++*(int *)context;
    return 0;
}

static void wait_for_itself(penstock_engine engine)
{
    EXPECT(PENSTOCK_IN_CALLBACK, penstock_stop(engine, 0));
    EXPECT(PENSTOCK_IN_CALLBACK, penstock_free(engine));
    EXPECT(PENSTOCK_IN_CALLBACK, penstock_run(engine));
}

/* Joins a tunnel from within, looks at it and ends it; so each end begins the next, five times. */
static void calling_back(penstock_engine engine, const penstock_completion *completion, void *context)
{
    struct place *place = (struct place *)context;
    penstock_counts counts;
    penstock_decision decision;
    penstock_engine another;
    char text[64];
    int client[2], target[2], live = 0;
    penstock_id id;
    wait_for_itself(engine);
    PENSTOCK_INIT(counts);
    PENSTOCK_INIT(decision);
    EXPECT(PENSTOCK_OK, penstock_metrics(engine, &counts));
    EXPECT(PENSTOCK_TRUNCATED, penstock_metrics_text(engine, text, sizeof text, NULL));
    EXPECT(PENSTOCK_NO_TUNNEL, penstock_decide(engine, completion->id, &decision));
    EXPECT(PENSTOCK_STARTED, penstock_on_completion(engine, completed, NULL));
    if (place->again++ < 5) {
        penstock_tunnel_info info;
        PENSTOCK_INIT(info);
        rig_pair(AF_UNIX, client);
        rig_pair(AF_UNIX, target);
        EXPECT(PENSTOCK_OK, penstock_tunnel(engine, client[1], target[1], NULL, &id));
        EXPECT(PENSTOCK_OK, penstock_query(engine, id, &info));
        EXPECT(PENSTOCK_OK, penstock_for_each(engine, told, &live));
        CHECK(live == 1);
        EXPECT(PENSTOCK_OK, penstock_cancel(engine, id));
        rig_ended(client[0]);
        rig_ended(target[0]);
        close(client[0]);
        close(target[0]);
    }
    /* Another engine is none of this one's business. */
    EXPECT(PENSTOCK_OK, penstock_create(NULL, &another));
    EXPECT(PENSTOCK_OK, penstock_free(another));
    count_one(place, completion);
}

static void callbacks_that_call_back(void)
{
    struct rig rig;
    struct place place;
    struct rig_tunnel tunnel;
    open_told(&rig, calling_back, &place);
    rig_join(&rig, AF_UNIX, NULL, &tunnel);
    rig_leave(&tunnel);
    place_await(&place, 6);
    CHECK(place.last.cause == PENSTOCK_CAUSE_CANCELLED && !place.was_wrong);
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
}

static void slow(penstock_engine engine, const penstock_completion *completion, void *context)
{
    struct place *place = (struct place *)context;
    (void)engine;
    pthread_mutex_lock(&place->mutex);
    while (!place->may_go_on)
        pthread_cond_wait(&place->changed, &place->mutex);
    pthread_mutex_unlock(&place->mutex);
    count_one(place, completion);
}

/* A callback that waits holds up no bytes. */
static void a_slow_callback(void)
{
    struct rig rig;
    struct place place;
    struct rig_tunnel tunnel, other;
    int i;
    open_told(&rig, slow, &place);
    rig_join(&rig, AF_UNIX, NULL, &other);
    rig_join(&rig, AF_UNIX, NULL, &tunnel);
    rig_leave(&tunnel);
    for (i = 0; i < 20; i++)
        rig_echo(&other);
    pthread_mutex_lock(&place.mutex);
    CHECK(place.count == 0);
    place.may_go_on = 1;
    pthread_cond_broadcast(&place.changed);
    pthread_mutex_unlock(&place.mutex);
    place_await(&place, 1);
    rig_leave(&other);
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
    CHECK(place.count == 2);
}

static void nobody_is_told(void)
{
    struct rig rig;
    penstock_values values;
    penstock_completion completion;
    penstock_counts counts;
    struct rig_tunnel tunnel;
    rig_values(&values);
    PENSTOCK_INIT(counts);
    PENSTOCK_INIT(completion);
    EXPECT(PENSTOCK_OK, penstock_create(&values, &rig.engine));
    EXPECT(PENSTOCK_OK, penstock_on_completion(rig.engine, NULL, NULL));
    EXPECT(PENSTOCK_OK, penstock_start(rig.engine));
    rig_join(&rig, AF_UNIX, NULL, &tunnel);
    rig_leave(&tunnel);
    while (counts.closed == 0) {
        rig_sleep(1);
        EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    }
    EXPECT(PENSTOCK_INVALID, penstock_next_completion(rig.engine, &completion));
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
}

int main(int argc, char **argv)
{
    RUN(each_end_is_told);
    RUN(all_are_told_by_the_stop);
    RUN(callbacks_that_call_back);
    RUN(a_slow_callback);
    RUN(nobody_is_told);
    return 0;
}
