/* What panics within the library comes to the host as an answer, and takes nothing with it. */
#include "rig.h"

#include <sys/syscall.h>
#include <time.h>

static __thread int is_broken;

#ifdef __cplusplus
extern "C" int clock_gettime(clockid_t clock, struct timespec *time) noexcept;
#endif

/* In place of the C library's: Rust holds that a clock can't fail. */
int clock_gettime(clockid_t clock, struct timespec *time)
#ifdef __cplusplus
    noexcept
#endif
{
    if (is_broken) {
        is_broken = 0;
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_clock_gettime, clock, time);
}

static void caught(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_info info;
    penstock_completion completion;
    size_t needed;
    PENSTOCK_INIT(info);
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, NULL, &tunnel);
    rig_echo(&tunnel);
    is_broken = 1;
    EXPECT(PENSTOCK_PANIC, penstock_query(rig.engine, tunnel.id, &info));
    CHECK(!is_broken);
    rig_explained("a bug in penstock: called `Result::unwrap()`");
    is_broken = 1;
    EXPECT(PENSTOCK_PANIC, penstock_metrics_text(rig.engine, NULL, 0, &needed));

    /* What was locked is not for ever. */
    EXPECT(PENSTOCK_OK, penstock_query(rig.engine, tunnel.id, &info));
    EXPECT(PENSTOCK_TRUNCATED, penstock_metrics_text(rig.engine, NULL, 0, &needed));
    rig_echo(&tunnel);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.bytes_to_target == 26);
    rig_close(&rig);
}

/* Nothing is known of what was begun: it can only be freed. */
static void at_the_start(void)
{
    penstock_values values;
    penstock_engine engine;
    rig_values(&values);
    EXPECT(PENSTOCK_OK, penstock_create(&values, &engine));
    is_broken = 1;
    EXPECT(PENSTOCK_PANIC, penstock_start(engine));
    CHECK(!is_broken);
    EXPECT(PENSTOCK_STOPPED, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_stop(engine, 0));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
}

int main(int argc, char **argv)
{
    RUN(caught);
    RUN(at_the_start);
    return 0;
}
