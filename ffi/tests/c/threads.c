/* Many threads of a host: handing over, ending, and carrying bytes themselves. */
#include "rig.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#define HANDERS 4
#define TUNNELS 1000

/* Told of the tunnel that has this index, and of no other. */
struct ends {
    int told[TUNNELS];
    penstock_id id_told[TUNNELS];
    penstock_id id_given[TUNNELS];
    int total;
};

struct handing {
    struct rig *rig;
    struct ends *ends;
    int first;
    int count;
};

static void tell(struct ends *ends, const penstock_completion *completion)
{
    intptr_t index = (intptr_t)completion->user_data - 1;
    CHECK(index >= 0 && index < TUNNELS);
    __atomic_fetch_add(&ends->told[index], 1, __ATOMIC_SEQ_CST);
    ends->id_told[index] = completion->id;
    __atomic_fetch_add(&ends->total, 1, __ATOMIC_SEQ_CST);
}

static void completed(penstock_engine engine, const penstock_completion *completion, void *context)
{
    (void)engine;
    tell((struct ends *)context, completion);
}

/* A third talks and leaves, a third leaves at once, a third is cancelled. */
static void *handing(void *context)
{
    struct handing *what = (struct handing *)context;
    int i;
    for (i = what->first; i < what->first + what->count; i++) {
        struct rig_tunnel tunnel;
        penstock_tunnel_options options;
        PENSTOCK_INIT(options);
        options.user_data = (void *)(intptr_t)(i + 1);
        rig_join(what->rig, i % 2 ? AF_UNIX : AF_INET, &options, &tunnel);
        what->ends->id_given[i] = tunnel.id;
        if (i % 3 == 0)
            rig_echo(&tunnel);
        while (i % 3 == 1 && penstock_cancel(what->rig->engine, tunnel.id) == PENSTOCK_BUSY)
            rig_sleep(1);
        rig_leave(&tunnel);
    }
    return NULL;
}

static void hand_all_over(struct rig *rig, struct ends *ends, int count)
{
    pthread_t threads[HANDERS];
    struct handing parts[HANDERS];
    int i;
    for (i = 0; i < HANDERS; i++) {
        parts[i].rig = rig;
        parts[i].ends = ends;
        parts[i].count = count / HANDERS;
        parts[i].first = i * parts[i].count;
        CHECK(pthread_create(&threads[i], NULL, handing, &parts[i]) == 0);
    }
    for (i = 0; i < HANDERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
}

static void ensure_each_once(const struct ends *ends, int count)
{
    int i;
    CHECK(ends->total == count);
    for (i = 0; i < count; i++)
        CHECK(ends->told[i] == 1 && ends->id_told[i] == ends->id_given[i]);
}

static void thousand_told_by_callback(void)
{
    struct rig rig;
    penstock_values values;
    static struct ends ends;
    int count = rig_many(TUNNELS / HANDERS) * HANDERS;
    rig_values(&values);
    rig.completions = -1;
    EXPECT(PENSTOCK_OK, penstock_create(&values, &rig.engine));
    EXPECT(PENSTOCK_OK, penstock_on_completion(rig.engine, completed, &ends));
    EXPECT(PENSTOCK_OK, penstock_start(rig.engine));
    hand_all_over(&rig, &ends, count);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, RIG_PATIENCE));
    ensure_each_once(&ends, count);
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
}

static void thousand_told_by_descriptor(void)
{
    struct rig rig;
    penstock_completion completion;
    static struct ends ends;
    int count = rig_many(TUNNELS / HANDERS) * HANDERS;
    rig_open(&rig, NULL);
    hand_all_over(&rig, &ends, count);
    while (ends.total < count) {
        rig_next(&rig, &completion);
        tell(&ends, &completion);
    }
    ensure_each_once(&ends, count);
    rig_close(&rig);
}

struct seat {
    penstock_engine engine;
    penstock_status status;
};

static void *seated(void *context)
{
    struct seat *seat = (struct seat *)context;
    sigset_t mask;
    seat->status = penstock_run(seat->engine);
    /* It was blocked for as long as the thread was there. */
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    CHECK(!sigismember(&mask, SIGPIPE) && !sigismember(&mask, SIGUSR1));
    return NULL;
}

/* Both workers are threads of the host; there is no seat for a third. */
static void workers_of_the_host(void)
{
    struct rig rig;
    penstock_values values;
    penstock_completion completion;
    struct rig_tunnel tunnels[8];
    struct seat seats[2];
    pthread_t threads[2];
    int i;
    rig_values(&values);
    values.host_workers = 2;
    rig_open(&rig, &values);
    /* Handed over before anybody carries it, it waits. */
    rig_join(&rig, AF_UNIX, NULL, &tunnels[0]);
    for (i = 0; i < 2; i++) {
        seats[i].engine = rig.engine;
        CHECK(pthread_create(&threads[i], NULL, seated, &seats[i]) == 0);
    }
    for (i = 1; i < 8; i++)
        rig_join(&rig, AF_INET, NULL, &tunnels[i]);
    for (i = 0; i < 8; i++)
        rig_echo(&tunnels[i]);
    EXPECT(PENSTOCK_NO_SEAT, penstock_run(rig.engine));
    for (i = 0; i < 7; i++)
        rig_leave(&tunnels[i]);
    for (i = 0; i < 7; i++)
        rig_next(&rig, &completion);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, 0));
    for (i = 0; i < 2; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK(seats[i].status == PENSTOCK_OK);
    }
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_DRAINED);
    rig_leave(&tunnels[7]);
    EXPECT(PENSTOCK_STOPPED, penstock_run(rig.engine));
    rig_close(&rig);
}

/* Nobody ever came: what waited is told of, and the stop does not wait for threads that there are not, however long it may. */
static void an_empty_seat_at(uint64_t drain_milliseconds)
{
    struct rig rig;
    penstock_values values;
    penstock_completion completion;
    struct rig_tunnel tunnel;
    rig_values(&values);
    values.workers = 1;
    values.host_workers = 1;
    rig_open(&rig, &values);
    rig_join(&rig, AF_UNIX, NULL, &tunnel);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, drain_milliseconds));
    rig_next(&rig, &completion);
    CHECK(completion.id == tunnel.id);
    rig_leave(&tunnel);
    rig_close(&rig);
}

static void an_empty_seat(void)
{
    an_empty_seat_at(0);
}

static void an_empty_seat_at_a_drain(void)
{
    /* Longer than a test may take. */
    an_empty_seat_at(1000 * 1000);
}

/* Which processors its threads run on is for the host to say. */
static void no_thread_is_pinned(void)
{
    struct rig rig;
    cpu_set_t ours, theirs;
    struct dirent *task;
    DIR *tasks;
    int count = 0;
    CHECK(sched_getaffinity(0, sizeof ours, &ours) == 0);
    rig_open(&rig, NULL);
    tasks = opendir("/proc/self/task");
    CHECK(tasks != NULL);
    while ((task = readdir(tasks)) != NULL) {
        if (task->d_name[0] == '.' || sched_getaffinity(atoi(task->d_name), sizeof theirs, &theirs) != 0)
            continue;
        CHECK(CPU_EQUAL(&ours, &theirs));
        count++;
    }
    /* Two workers, what may wait, who waits for the workers, and this one. */
    CHECK(count >= 5);
    closedir(tasks);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    RUN(thousand_told_by_callback);
    RUN(thousand_told_by_descriptor);
    RUN(workers_of_the_host);
    RUN(an_empty_seat);
    RUN(an_empty_seat_at_a_drain);
    RUN(no_thread_is_pinned);
    return 0;
}
