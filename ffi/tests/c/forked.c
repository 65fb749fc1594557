/* An engine stays in the process that made it; a child can have its own. */
#include "rig.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

/* A child has no threads of its parent's, and so what their stacks pointed to is lost in it: it ends as a program that nobody asks for leaks. */
static void end_well(void)
{
    execlp("true", "true", (char *)0);
    _exit(127);
}

static void ensure_well(pid_t child)
{
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void carry_one(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    rig_echo(&tunnel);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED);
    rig_close(&rig);
}

static void a_child_and_its_parent(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    pid_t child;
    int round;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    rig_echo(&tunnel);
    for (round = 0; round < 3; round++) {
        child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(120);
            rig_every_call(rig.engine, PENSTOCK_FORKED);
            rig_every_call(UINT64_MAX, PENSTOCK_NO_ENGINE);
            carry_one();
            rig_every_call(rig.engine, PENSTOCK_FORKED);
            end_well();
        }
        /* The parent goes on meanwhile, and with what it had. */
        rig_echo(&tunnel);
        carry_one();
        ensure_well(child);
        rig_echo(&tunnel);
    }
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.id == tunnel.id);
    rig_close(&rig);
}

/* One that was not started yet is the parent's as well. */
static void before_the_start(void)
{
    penstock_values values;
    penstock_engine engine;
    pid_t child;
    rig_values(&values);
    EXPECT(PENSTOCK_OK, penstock_create(&values, &engine));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        rig_every_call(engine, PENSTOCK_FORKED);
        end_well();
    }
    ensure_well(child);
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
}

/* As the first process of a PID namespace, whose own child is the first of another one. */
static void as_first(void)
{
    penstock_values values;
    penstock_engine engine, own;
    pid_t child;
    CHECK(getpid() == 1);
    rig_values(&values);
    EXPECT(PENSTOCK_OK, penstock_create(&values, &engine));
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    CHECK(unshare(CLONE_NEWPID) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(getpid() == 1);
        rig_every_call(engine, PENSTOCK_FORKED);
        EXPECT(PENSTOCK_OK, penstock_create(&values, &own));
        CHECK(own != engine);
        EXPECT(PENSTOCK_OK, penstock_start(own));
        rig_every_call(engine, PENSTOCK_FORKED);
        EXPECT(PENSTOCK_OK, penstock_free(own));
        end_well();
    }
    ensure_well(child);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    end_well();
}

/* As in containers within containers: the id says nothing. */
static void of_the_same_id(void)
{
    pid_t outer = fork(), inner;
    CHECK(outer >= 0);
    if (outer == 0) {
        if (unshare(CLONE_NEWPID) != 0) {
            fprintf(stderr, "  skipped: only root can have PID namespaces here\n");
            end_well();
        }
        inner = fork();
        CHECK(inner >= 0);
        if (inner == 0)
            as_first();
        ensure_well(inner);
        end_well();
    }
    ensure_well(outer);
}

/* A child that lives on holds copies of all descriptors. Connections end all the same, as they are shut down. */
static void a_child_that_lives_on(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    int until[2];
    pid_t child;
    char byte;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    rig_echo(&tunnel);
    rig_pair(AF_UNIX, until);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(until[0]);
        CHECK(read(until[1], &byte, 1) == 0);
        end_well();
    }
    close(until[1]);
    CHECK(shutdown(tunnel.target, SHUT_WR) == 0);
    rig_ended(tunnel.client);
    CHECK(shutdown(tunnel.client, SHUT_WR) == 0);
    rig_ended(tunnel.target);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED);
    rig_leave(&tunnel);
    /* Also if the engine brings it about. */
    rig_join(&rig, AF_INET, NULL, &tunnel);
    rig_echo(&tunnel);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, 0));
    rig_ended(tunnel.client);
    rig_ended(tunnel.target);
    rig_next(&rig, &completion);
    rig_close(&rig);
    close(until[0]);
    ensure_well(child);
    rig_leave(&tunnel);
}

static void logged(uint32_t level, const char *message, void *context)
{
    (void)level, (void)message;
    *(pid_t *)context = getpid();
}

static void messages_stay_with_the_parent(void)
{
    static pid_t last;
    pid_t child;
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_DEBUG, logged, &last));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(120);
        last = 0;
        EXPECT(PENSTOCK_FORKED, penstock_on_log(PENSTOCK_LEVEL_DEBUG, logged, &last));
        carry_one();
        CHECK(last == 0);
        end_well();
    }
    ensure_well(child);
    carry_one();
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_OFF, NULL, NULL));
    CHECK(last == 0 || last == getpid());
}

static int descriptors_of_a_program(void)
{
    int count = 0;
    FILE *list = popen("ls /proc/self/fd | wc -l", "re");
    CHECK(list != NULL && fscanf(list, "%d", &count) == 1);
    CHECK(pclose(list) == 0);
    return count;
}

static void programs_inherit_nothing(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_completion completion;
    static unsigned char block[1 << 20];
    int before = descriptors_of_a_program();
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    /* With pipes in use. */
    rig_write(tunnel.client, block, sizeof block);
    CHECK(descriptors_of_a_program() == before);
    close(tunnel.client);
    rig_drain(tunnel.target);
    close(tunnel.target);
    rig_next(&rig, &completion);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    RUN(a_child_and_its_parent);
    RUN(before_the_start);
    RUN(a_child_that_lives_on);
    RUN(programs_inherit_nothing);
    /* What starts the thread of the messages, which lives as long as the process. */
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_OFF, logged, NULL));
    EXPECT(PENSTOCK_OK, penstock_on_log(PENSTOCK_LEVEL_OFF, NULL, NULL));
    RUN(messages_stay_with_the_parent);
    RUN(of_the_same_id);
    return 0;
}
