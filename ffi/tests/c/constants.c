/* Numbers, names and versions: what programs are compiled with, and may never change. */
#include "rig.h"

#include <pthread.h>

struct number {
    uint32_t is;
    uint32_t should;
};

struct name {
    uint32_t is;
    uint32_t should;
    const char *word;
};

static const struct number statuses[] = {
    {PENSTOCK_OK, 0},
    {PENSTOCK_NULL, 1},
    {PENSTOCK_NO_ENGINE, 2},
    {PENSTOCK_FORKED, 3},
    {PENSTOCK_INVALID, 4},
    {PENSTOCK_CONFIG, 5},
    {PENSTOCK_SYSTEM, 6},
    {PENSTOCK_NOT_STARTED, 7},
    {PENSTOCK_STARTED, 8},
    {PENSTOCK_STOPPED, 9},
    {PENSTOCK_NO_STREAM, 10},
    {PENSTOCK_FULL, 11},
    {PENSTOCK_BUSY, 12},
    {PENSTOCK_NO_TUNNEL, 13},
    {PENSTOCK_EMPTY, 14},
    {PENSTOCK_NO_LISTENER, 15},
    {PENSTOCK_TERMS, 16},
    {PENSTOCK_IN_CALLBACK, 17},
    {PENSTOCK_TIMED_OUT, 18},
    {PENSTOCK_NO_SEAT, 19},
    {PENSTOCK_TRUNCATED, 20},
    {PENSTOCK_PANIC, 21},
};

static const struct number others[] = {
    {PENSTOCK_DRIVER_AUTO, 0},
    {PENSTOCK_DRIVER_URING, 1},
    {PENSTOCK_DRIVER_EPOLL, 2},
    {PENSTOCK_WEB_SOCKET_NONE, 0},
    {PENSTOCK_WEB_SOCKET_BINARY, 1},
    {PENSTOCK_WEB_SOCKET_BASE64, 2},
    {PENSTOCK_HALF_CLOSE_DEFAULT, 0},
    {PENSTOCK_HALF_CLOSE_CLOSE, 1},
    {PENSTOCK_HALF_CLOSE_FORWARD, 2},
    {PENSTOCK_VERDICT_DENY, 0},
    {PENSTOCK_VERDICT_ALLOW, 1},
    {PENSTOCK_VERDICT_PENDING, 2},
    {PENSTOCK_STRATEGY_COPY, 0},
    {PENSTOCK_STRATEGY_SPLICE, 1},
    {PENSTOCK_FEATURE_URING, 1},
    {PENSTOCK_FEATURE_EPOLL, 2},
    {PENSTOCK_FEATURE_TLS, 4},
    {PENSTOCK_FEATURE_WEB_SOCKET, 8},
    {PENSTOCK_FEATURE_VNC, 16},
    {PENSTOCK_FEATURE_KERNEL_TLS, 32},
    {PENSTOCK_LEVEL_OFF, 0},
    {PENSTOCK_LEVEL_ERROR, 1},
    {PENSTOCK_LEVEL_WARN, 2},
    {PENSTOCK_LEVEL_INFO, 3},
    {PENSTOCK_LEVEL_DEBUG, 4},
};

static const struct name sides[] = {
    {PENSTOCK_SIDE_CLIENT, 1, "client"},
    {PENSTOCK_SIDE_TARGET, 2, "target"},
    {PENSTOCK_SIDE_PENSTOCK, 3, "penstock"},
};

static const struct name phases[] = {
    {PENSTOCK_PHASE_PROXY_HEADER, 1, "proxy_header"},
    {PENSTOCK_PHASE_TLS, 2, "tls"},
    {PENSTOCK_PHASE_REQUEST, 3, "request"},
    {PENSTOCK_PHASE_ADMISSION, 4, "admission"},
    {PENSTOCK_PHASE_CONNECT, 5, "connect"},
    {PENSTOCK_PHASE_LOGIN, 6, "login"},
    {PENSTOCK_PHASE_RELAY, 7, "relay"},
    {PENSTOCK_PHASE_PAGE, 8, "page"},
};

static const struct name causes[] = {
    {PENSTOCK_CAUSE_FINISHED, 1, "finished"},
    {PENSTOCK_CAUSE_HUNG_UP, 2, "hung_up"},
    {PENSTOCK_CAUSE_RESET, 3, "reset"},
    {PENSTOCK_CAUSE_BROKEN, 4, "broken"},
    {PENSTOCK_CAUSE_TRUNCATED, 5, "truncated"},
    {PENSTOCK_CAUSE_TLS_FAILED, 6, "tls_failed"},
    {PENSTOCK_CAUSE_BAD_FRAME, 7, "bad_frame"},
    {PENSTOCK_CAUSE_CERTIFICATE_REFUSED, 8, "certificate_refused"},
    {PENSTOCK_CAUSE_NOT_LET_IN, 9, "not_let_in"},
    {PENSTOCK_CAUSE_NO_COMMON_SECURITY, 10, "no_common_security"},
    {PENSTOCK_CAUSE_BAD_GREETING, 11, "bad_greeting"},
    {PENSTOCK_CAUSE_UNKNOWN_MESSAGE, 12, "unknown_message"},
    {PENSTOCK_CAUSE_INJECTED, 13, "injected"},
    {PENSTOCK_CAUSE_OTHER_CONSOLE, 14, "other_console"},
    {PENSTOCK_CAUSE_SECRET_MISSING, 15, "secret_missing"},
    {PENSTOCK_CAUSE_HANDSHAKE_TIMEOUT, 16, "handshake_timeout"},
    {PENSTOCK_CAUSE_CONNECT_TIMEOUT, 17, "connect_timeout"},
    {PENSTOCK_CAUSE_IDLE_TIMEOUT, 18, "idle_timeout"},
    {PENSTOCK_CAUSE_USER_IDLE, 19, "user_idle"},
    {PENSTOCK_CAUSE_DEAD_PEER, 20, "dead_peer"},
    {PENSTOCK_CAUSE_LIFETIME_END, 21, "lifetime_end"},
    {PENSTOCK_CAUSE_FLUSH_TIMEOUT, 22, "flush_timeout"},
    {PENSTOCK_CAUSE_BAD_PROXY_HEADER, 23, "bad_proxy_header"},
    {PENSTOCK_CAUSE_BAD_REQUEST, 24, "bad_request"},
    {PENSTOCK_CAUSE_TOO_LARGE, 25, "too_large"},
    {PENSTOCK_CAUSE_METHOD_REFUSED, 26, "method_refused"},
    {PENSTOCK_CAUSE_ORIGIN_REFUSED, 27, "origin_refused"},
    {PENSTOCK_CAUSE_UNAUTHORIZED, 28, "unauthorized"},
    {PENSTOCK_CAUSE_TOKEN_REFUSED, 29, "token_refused"},
    {PENSTOCK_CAUSE_TOKEN_LOOKUP_FAILED, 30, "token_lookup_failed"},
    {PENSTOCK_CAUSE_ACCESS_DENIED, 31, "access_denied"},
    {PENSTOCK_CAUSE_LOCAL_TARGET, 32, "local_target"},
    {PENSTOCK_CAUSE_LOOP, 33, "loop"},
    {PENSTOCK_CAUSE_NAME_NOT_FOUND, 34, "name_not_found"},
    {PENSTOCK_CAUSE_NAME_LOOKUP_FAILED, 35, "name_lookup_failed"},
    {PENSTOCK_CAUSE_CONNECT_REFUSED, 36, "connect_refused"},
    {PENSTOCK_CAUSE_UNREACHABLE, 37, "unreachable"},
    {PENSTOCK_CAUSE_OVERLOADED, 38, "overloaded"},
    {PENSTOCK_CAUSE_IN_USE, 39, "in_use"},
    {PENSTOCK_CAUSE_EXHAUSTED, 40, "exhausted"},
    {PENSTOCK_CAUSE_POOL_PINNED, 41, "pool_pinned"},
    {PENSTOCK_CAUSE_DRAINED, 42, "drained"},
    {PENSTOCK_CAUSE_CANCELLED, 43, "cancelled"},
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static void versions_agree(void)
{
    char text[64];
    CHECK(strcmp(penstock_version(), PENSTOCK_VERSION) == 0);
    CHECK(penstock_abi_version() == PENSTOCK_ABI_VERSION);
    snprintf(text, sizeof text, "%d.%d.%d", PENSTOCK_VERSION_MAJOR, PENSTOCK_VERSION_MINOR, PENSTOCK_VERSION_PATCH);
    CHECK(strcmp(text, PENSTOCK_VERSION) == 0);
    CHECK(PENSTOCK_VERSION_NUMBER ==
          PENSTOCK_VERSION_MAJOR * 1000000 + PENSTOCK_VERSION_MINOR * 1000 + PENSTOCK_VERSION_PATCH);
}

static void numbers_stay(void)
{
    size_t i;
    for (i = 0; i < COUNT(statuses); i++)
        CHECK(statuses[i].is == statuses[i].should);
    for (i = 0; i < COUNT(others); i++)
        CHECK(others[i].is == others[i].should);
    CHECK(PENSTOCK_NEVER == UINT64_MAX);
}

static void features_are_told(void)
{
    uint32_t known = PENSTOCK_FEATURE_URING | PENSTOCK_FEATURE_EPOLL | PENSTOCK_FEATURE_TLS |
                     PENSTOCK_FEATURE_WEB_SOCKET | PENSTOCK_FEATURE_VNC;
    uint32_t always = known & ~(uint32_t)PENSTOCK_FEATURE_URING;
    CHECK((penstock_features() & always) == always);
    CHECK((penstock_features() & ~known) == 0);
}

static void structures_are_set_up(void)
{
    penstock_tunnel_options options;
    unsigned char *bytes = (unsigned char *)&options;
    size_t i;
    memset(&options, 0xa5, sizeof options);
    PENSTOCK_INIT(options);
    CHECK(options.size == sizeof options);
    for (i = sizeof options.size; i < sizeof options; i++)
        CHECK(bytes[i] == 0);
}

static void each_status_has_a_sentence(void)
{
    size_t i, j;
    const char *unknown = penstock_status_text(UINT32_MAX);
    CHECK(strlen(unknown) > 0);
    CHECK(strcmp(penstock_status_text(COUNT(statuses)), unknown) == 0);
    for (i = 0; i < COUNT(statuses); i++) {
        CHECK(strlen(penstock_status_text(statuses[i].is)) > 0);
        CHECK(strcmp(penstock_status_text(statuses[i].is), unknown) != 0);
        for (j = 0; j < i; j++)
            CHECK(strcmp(penstock_status_text(statuses[i].is), penstock_status_text(statuses[j].is)) != 0);
    }
}

static void each_word(const struct name *table, size_t count, const char *(*name)(uint32_t))
{
    size_t i;
    for (i = 0; i < count; i++) {
        CHECK(table[i].is == table[i].should);
        CHECK(strcmp(name(table[i].is), table[i].word) == 0);
    }
    CHECK(strcmp(name(0), "unknown") == 0);
    CHECK(strcmp(name((uint32_t)count + 1), "unknown") == 0);
    CHECK(strcmp(name(UINT32_MAX), "unknown") == 0);
}

static void ends_have_words(void)
{
    each_word(sides, COUNT(sides), penstock_side_name);
    each_word(phases, COUNT(phases), penstock_phase_name);
    each_word(causes, COUNT(causes), penstock_cause_name);
}

static void *of_another_thread(void *unused)
{
    char text[16] = "?";
    EXPECT(PENSTOCK_OK, penstock_last_error(text, sizeof text));
    CHECK(text[0] == 0);
    return unused;
}

static void the_last_error_is_this_threads(void)
{
    char text[512] = "?", again[512], cut[8];
    pthread_t thread;
    penstock_engine engine;
    EXPECT(PENSTOCK_NULL, penstock_create(NULL, NULL));
    EXPECT(PENSTOCK_OK, penstock_last_error(text, sizeof text));
    CHECK(strlen(text) > sizeof cut);

    /* Who had too little room asks again, and hears the same; and what goes well takes nothing back. */
    memset(cut, 'x', sizeof cut);
    EXPECT(PENSTOCK_TRUNCATED, penstock_last_error(cut, sizeof cut));
    CHECK(strlen(cut) < sizeof cut && strncmp(text, cut, strlen(cut)) == 0);
    EXPECT(PENSTOCK_TRUNCATED, penstock_last_error(cut, 1));
    CHECK(cut[0] == 0);
    EXPECT(PENSTOCK_OK, penstock_create(NULL, &engine));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    EXPECT(PENSTOCK_OK, penstock_last_error(again, sizeof again));
    CHECK(strcmp(text, again) == 0);

    EXPECT(PENSTOCK_NULL, penstock_last_error(NULL, sizeof again));
    CHECK(pthread_create(&thread, NULL, of_another_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(int argc, char **argv)
{
    RUN(the_last_error_is_this_threads);
    RUN(versions_agree);
    RUN(numbers_stay);
    RUN(features_are_told);
    RUN(structures_are_set_up);
    RUN(each_status_has_a_sentence);
    RUN(ends_have_words);
    return 0;
}
