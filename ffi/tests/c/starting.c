/* A start that gets no further: whatever it had begun is undone, and the engine is as good as new. */
#include "rig.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

typedef int maker(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* So many threads may still be made; below 0: any number. */
static int left = -1;

/* The library makes its threads by this one. */
#ifdef __cplusplus
extern "C"
#endif
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *context)
{
    maker *real;
    void *found = dlsym(RTLD_NEXT, "pthread_create");
    memcpy(&real, &found, sizeof real);
    if (left == 0)
        return EAGAIN;
    if (left > 0)
        left--;
    return real(thread, attributes, body, context);
}

static void counted(penstock_engine engine, const penstock_completion *completion, void *context)
{
    (void)engine, (void)completion;
    ++*(int *)context;
}

static void make_path(char *path, size_t size)
{
    snprintf(path, size, "/tmp/penstock-c-%d", (int)getpid());
}

static void make_folder(void)
{
    char path[64];
    make_path(path, sizeof path);
    CHECK(mkdir(path, 0700) == 0);
}

/* Its access log is in that folder. */
static penstock_engine created(int *told_of)
{
    char text[512], path[64];
    penstock_engine engine;
    make_path(path, sizeof path);
    snprintf(text, sizeof text,
             RIG_TERMS "[[listen]]\nname = \"one\"\naddress = \"127.0.0.1:%d\"\nservice = \"forward\"\ntarget = \"tcp://127.0.0.1:9\"\n"
                       "[log.access]\npath = \"%s/log\"\n",
             rig_free_port(), path);
    engine = rig_create_toml(text);
    *told_of = 0;
    EXPECT(PENSTOCK_OK, penstock_on_completion(engine, counted, told_of));
    return engine;
}

/* As if nothing had been tried before: the host hears of ends. */
static void ensure_it_works(penstock_engine engine, const int *told_of)
{
    char folder[64], log[80];
    int client[2], target[2];
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    EXPECT(PENSTOCK_OK, penstock_tunnel(engine, client[1], target[1], NULL, NULL));
    close(client[0]);
    close(target[0]);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    CHECK(*told_of == 1);
    make_path(folder, sizeof folder);
    snprintf(log, sizeof log, "%s/log", folder);
    CHECK(unlink(log) == 0 && rmdir(folder) == 0);
}

static void without_a_log(void)
{
    int told_of, descriptors, threads;
    penstock_engine engine = created(&told_of);
    descriptors = rig_descriptors(), threads = rig_threads();
    EXPECT(PENSTOCK_SYSTEM, penstock_start(engine));
    CHECK(rig_descriptors() == descriptors && rig_threads() == threads);
    make_folder();
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    ensure_it_works(engine, &told_of);
}

static void without_threads(void)
{
    int told_of, tries;
    penstock_status status = PENSTOCK_SYSTEM;
    penstock_engine engine = created(&told_of);
    make_folder();
    for (tries = 0; status == PENSTOCK_SYSTEM; tries++) {
        left = tries;
        status = penstock_start(engine);
        /* And not that the one before still has the port. */
        if (status == PENSTOCK_SYSTEM)
            rig_explained("Resource temporarily unavailable");
    }
    left = -1;
    EXPECT(PENSTOCK_OK, status);
    /* The probe, callbacks, two workers, the log, what may wait, and who waits for the workers: the eighth has them all. */
    CHECK(tries == 8);
    ensure_it_works(engine, &told_of);
}

/* Once it has answered, whatever was written is there, and nobody is left who writes. */
static void what_stop_leaves(void)
{
    char text[512], path[64], name[80];
    int client[2], target[2], tries, threads = rig_threads();
    penstock_engine engine;
    penstock_tunnel_options options;
    struct stat log;
    make_folder();
    make_path(path, sizeof path);
    snprintf(text, sizeof text,
             "[[listen]]\nname = \"seen\"\nservice = \"console\"\ntarget = \"handed-over\"\norigins = [\"*\"]\n"
             "record = { path = \"%s/record\", format = \"websockify\" }\n[log.access]\npath = \"%s/log\"\n",
             path, path);
    engine = rig_create_toml(text);
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    CHECK(rig_threads() > threads);
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    PENSTOCK_INIT(options);
    options.terms = "seen";
    EXPECT(PENSTOCK_OK, penstock_tunnel(engine, client[1], target[1], &options, NULL));
    EXPECT(PENSTOCK_OK, penstock_stop(engine, 0));
    snprintf(name, sizeof name, "%s/log", path);
    CHECK(stat(name, &log) == 0 && log.st_size > 0);
    /* What the kernel still has of a thread that was joined is gone soon. */
    for (tries = 0; rig_threads() != threads && tries < 500; tries++)
        rig_sleep(10);
    CHECK(rig_threads() == threads);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    close(client[0]), close(target[0]);
    CHECK(unlink(name) == 0 && rmdir(path) == 0);
}

/* As a shell or a service usually has. Many cores are no reason to have no room. */
static void few_descriptors(void)
{
    struct rlimit before, few;
    penstock_values values;
    penstock_counts counts;
    penstock_engine engine;
    PENSTOCK_INIT(counts);
    rig_values(&values);
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = before;
    few.rlim_cur = 1024;
    CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
    values.workers = 16;
    values.memory_per_worker = 1 << 20;
    EXPECT(PENSTOCK_OK, penstock_create(&values, &engine));
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_metrics(engine, &counts));
    CHECK(counts.max_tunnels >= 300 && counts.max_tunnels < 512);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    values.workers = 64;
    EXPECT(PENSTOCK_OK, penstock_create(&values, &engine));
    EXPECT(PENSTOCK_CONFIG, penstock_start(engine));
    rig_explained("ulimit -n");
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    values.workers = 2;
    values.max_tunnels = 500;
    EXPECT(PENSTOCK_OK, penstock_create(&values, &engine));
    EXPECT(PENSTOCK_CONFIG, penstock_start(engine));
    rig_explained("500 tunnels");
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

int main(int argc, char **argv)
{
    RUN(without_a_log);
    RUN(without_threads);
    RUN(what_stop_leaves);
    RUN(few_descriptors);
    return 0;
}
