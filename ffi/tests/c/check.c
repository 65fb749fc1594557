#include "check.h"

#include "rig.h"

void check_failed(const char *file, int line, const char *what)
{
    int error = errno;
    char particulars[512] = "";
    penstock_last_error(particulars, sizeof particulars);
    fprintf(stderr, "%s:%d: %s\n  errno: %s\n  last error: %s\n", file, line, what, strerror(error), particulars);
    /* Not exit(): other threads are still at work. */
    _exit(1);
}

void check_status(const char *file, int line, const char *call, penstock_status expected, penstock_status came)
{
    char what[512];
    if (came == expected)
        return;
    snprintf(what, sizeof what, "%s\n  expected: %s\n  came:     %s", call, penstock_status_text(expected),
             penstock_status_text(came));
    check_failed(file, line, what);
}

/* What the kernel still has of a thread that was joined is gone soon. */
static void ensure_left(const char *name, const char *what, int (*count)(void), int before)
{
    char message[256];
    int tries, now = count();
    for (tries = 0; now != before && tries < 500; tries++) {
        rig_sleep(10);
        now = count();
    }
    snprintf(message, sizeof message, "%s leaves %s: there were %d, now %d", name, what, before, now);
    if (now != before)
        check_failed(__FILE__, __LINE__, message);
}

/* The first engine of a process has the library make what it keeps for all of them. */
static void warm_up(void)
{
    static int is_warm;
    struct rig rig;
    if (is_warm++)
        return;
    rig_open(&rig, NULL);
    rig_close(&rig);
}

void check_run(int argc, char **argv, const char *name, void (*test)(void))
{
    int descriptors, threads;
    if (argc > 1 && strcmp(argv[1], name) != 0)
        return;
    warm_up();
    descriptors = rig_descriptors();
    threads = rig_threads();
    fprintf(stderr, "%s\n", name);
    /* Whatever hangs is killed, and the last line says what it was. */
    alarm(240);
    test();
    alarm(0);
    ensure_left(name, "descriptors", rig_descriptors, descriptors);
    ensure_left(name, "threads", rig_threads, threads);
}
