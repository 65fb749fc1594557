/* A host's signals are its own: no disposition is changed, handlers run on its threads, and no peer can have it killed. */
#include "rig.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

/* Leaves while bulk is on its way to it, so that the engine writes to a connection that was reset. */
static void reset_amid_bulk(struct rig *rig, int family)
{
    static unsigned char block[1 << 16];
    struct rig_tunnel tunnel;
    penstock_completion completion;
    int i;
    rig_join(rig, family, NULL, &tunnel);
    for (i = 0; i < 16; i++) {
        rig_write(tunnel.target, block, sizeof block);
        rig_read(tunnel.client, block, sizeof block);
    }
    rig_write(tunnel.target, block, sizeof block);
    rig_reset(tunnel.client);
    while (send(tunnel.target, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    close(tunnel.target);
    rig_next(rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_RESET || completion.cause == PENSTOCK_CAUSE_FINISHED);
}

static void peers_that_reset(void)
{
    struct rig rig;
    int i;
    rig_open(&rig, NULL);
    for (i = 0; i < rig_many(60); i++)
        reset_amid_bulk(&rig, i % 2 ? AF_UNIX : AF_INET);
    rig_close(&rig);
}

static void *seated(void *engine)
{
    EXPECT(PENSTOCK_OK, penstock_run(*(penstock_engine *)engine));
    return NULL;
}

/* On a thread of the host's, SIGPIPE is blocked meanwhile; and none is left for it when it is not any more. */
static void peers_that_reset_a_host_worker(void)
{
    struct rig rig;
    penstock_values values;
    pthread_t thread;
    int i;
    rig_values(&values);
    values.workers = values.host_workers = 1;
    rig_open(&rig, &values);
    CHECK(pthread_create(&thread, NULL, seated, &rig.engine) == 0);
    for (i = 0; i < rig_many(60); i++)
        reset_amid_bulk(&rig, i % 2 ? AF_UNIX : AF_INET);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, 0));
    CHECK(pthread_join(thread, NULL) == 0);
    rig_close(&rig);
}

static int was_on_host, was_elsewhere;
static pid_t host_thread;

static void handle(int signal)
{
    (void)signal;
    if (syscall(SYS_gettid) == host_thread)
        was_on_host++;
    else
        was_elsewhere++;
}

static void handlers_run_on_the_hosts_threads(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    struct sigaction action, former;
    int i;
    host_thread = (pid_t)syscall(SYS_gettid);
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    CHECK(sigaction(SIGUSR1, &action, &former) == 0);
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    for (i = 0; i < 200; i++) {
        CHECK(kill(getpid(), SIGUSR1) == 0);
        rig_say(tunnel.client, "x");
        rig_hear(tunnel.target, "x");
    }
    CHECK(was_on_host == 200 && was_elsewhere == 0);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED);
    rig_close(&rig);
    CHECK(sigaction(SIGUSR1, &former, NULL) == 0);
}

/* No signal came, and so no call of the host's is interrupted, though rings come and go. */
static void the_hosts_calls_are_not_interrupted(void)
{
    int i, poller = epoll_create1(EPOLL_CLOEXEC);
    for (i = 0; i < rig_many(40); i++) {
        struct epoll_event event;
        struct rig rig;
        penstock_features();
        rig_open(&rig, NULL);
        CHECK(epoll_wait(poller, &event, 1, 20) == 0);
        rig_close(&rig);
        CHECK(epoll_wait(poller, &event, 1, 20) == 0);
    }
    close(poller);
}

/* The mask of a thread of this process, as the kernel tells it. */
static unsigned long long blocked(const char *thread)
{
    char path[300], line[256];
    unsigned long long mask = 0;
    FILE *status;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", thread);
    status = fopen(path, "re");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "SigBlk:", 7) == 0)
            mask = strtoull(line + 7, NULL, 16);
    fclose(status);
    return mask;
}

static void all_are_blocked_on_the_engines_threads(void)
{
    static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE,
                                  SIGALRM, SIGTERM, SIGCHLD, SIGPROF, SIGIO,   SIGWINCH};
    struct rig rig;
    struct dirent *thread;
    DIR *threads;
    sigset_t before, after;
    int others = 0;
    size_t i;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
    rig_open(&rig, NULL);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
    for (i = 1; i < 65; i++)
        CHECK(sigismember(&before, (int)i) == sigismember(&after, (int)i));
    threads = opendir("/proc/self/task");
    CHECK(threads != NULL);
    while ((thread = readdir(threads)) != NULL) {
        if (thread->d_name[0] == '.' || atoi(thread->d_name) == getpid())
            continue;
        others++;
        for (i = 0; i < sizeof signals / sizeof signals[0]; i++)
            CHECK(blocked(thread->d_name) >> (signals[i] - 1) & 1);
    }
    closedir(threads);
    CHECK(others >= 2);
    rig_close(&rig);
}

static void dispositions_stay(void)
{
    struct sigaction before[65], after;
    struct rig rig;
    int i;
    for (i = 1; i < 65; i++)
        sigaction(i, NULL, &before[i]);
    rig_open(&rig, NULL);
    rig_close(&rig);
    for (i = 1; i < 65; i++) {
        if (i == 32 || i == 33)
            continue;
        CHECK(sigaction(i, NULL, &after) == 0);
        CHECK(after.sa_handler == before[i].sa_handler && after.sa_flags == before[i].sa_flags);
    }
}

int main(int argc, char **argv)
{
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    RUN(peers_that_reset);
    RUN(peers_that_reset_a_host_worker);
    RUN(handlers_run_on_the_hosts_threads);
    RUN(the_hosts_calls_are_not_interrupted);
    RUN(all_are_blocked_on_the_engines_threads);
    RUN(dispositions_stay);
    return 0;
}
