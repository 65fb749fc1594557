/* A start that gets no further, because the system has no thread for it: whatever it had begun is undone, and the next start is the first. */
#include "rig.h"

#include <dlfcn.h>
#include <pthread.h>
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

static penstock_engine created(const char *folder, int *told_of)
{
    char text[512];
    penstock_engine engine;
    snprintf(text, sizeof text,
             RIG_TERMS "[[listen]]\nname = \"one\"\naddress = \"127.0.0.1:%d\"\nservice = \"forward\"\ntarget = \"tcp://127.0.0.1:9\"\n"
                       "[log.access]\npath = \"%s/log\"\n",
             rig_free_port(), folder);
    engine = rig_create_toml(text);
    EXPECT(PENSTOCK_OK, penstock_on_completion(engine, counted, told_of));
    return engine;
}

static void without_threads(void)
{
    char path[64];
    int client[2], target[2], told_of = 0, allowed;
    penstock_engine engine;
    penstock_status status = PENSTOCK_SYSTEM;
    snprintf(path, sizeof path, "/tmp/penstock-c-%d", (int)getpid());
    CHECK(mkdir(path, 0700) == 0);
    engine = created(path, &told_of);
    for (allowed = 0; status == PENSTOCK_SYSTEM; allowed++) {
        left = allowed;
        status = penstock_start(engine);
        /* And not that the one before still has the port. */
        if (status == PENSTOCK_SYSTEM)
            rig_explained("Resource temporarily unavailable");
    }
    left = -1;
    EXPECT(PENSTOCK_OK, status);
    /* The probe, callbacks, two workers, the log, what may wait, and who waits for the workers. */
    CHECK(allowed == 8);
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    EXPECT(PENSTOCK_OK, penstock_tunnel(engine, client[1], target[1], NULL, NULL));
    close(client[0]);
    close(target[0]);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    CHECK(told_of == 1);
    strcat(path, "/log");
    CHECK(unlink(path) == 0);
    *strrchr(path, '/') = 0;
    CHECK(rmdir(path) == 0);
}

int main(int argc, char **argv)
{
    RUN(without_threads);
    return 0;
}
