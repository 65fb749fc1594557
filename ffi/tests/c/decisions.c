/* A host that decides by penstock_decide(): elsewhere, here it is, later, too late. */
#include "asking.h"

#include <sys/un.h>

static void elsewhere(void)
{
    struct asking place;
    penstock_decision decision;
    char target[64];
    int client, user, other_port, other = rig_listener(&other_port);
    snprintf(target, sizeof target, "tcp://127.0.0.1:%d", other_port);
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.target = target;
    decision.user_data = &user;
    asking_open(&place, ASKING_CONNECT);
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    place.policy.decision = &decision;
    client = asking_request(&place);
    asking_joined(&place, client, accept4(other, NULL, NULL, SOCK_CLOEXEC), &user);
    close(other);
    asking_close(&place);
}

static void to_a_unix_socket(void)
{
    struct asking place;
    struct sockaddr_un address;
    penstock_decision decision;
    char target[128];
    int client, local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/penstock-c-%d.console", (int)getpid());
    unlink(address.sun_path);
    CHECK(bind(local, (struct sockaddr *)&address, sizeof address) == 0 && listen(local, 4) == 0);
    snprintf(target, sizeof target, "unix:%s", address.sun_path);
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.target = target;
    asking_open(&place, ASKING_CONNECT);
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    place.policy.decision = &decision;
    client = asking_request(&place);
    asking_joined(&place, client, accept4(local, NULL, NULL, SOCK_CLOEXEC), NULL);
    unlink(address.sun_path);
    close(local);
    asking_close(&place);
}

/* The host has connected by itself, and read a greeting already. It is decided by another thread than was asked, later. */
static void here_it_is(void)
{
    struct asking place;
    penstock_decision decision;
    penstock_id id;
    int client, target[2], not_a_stream[2], user;
    asking_open(&place, ASKING_CONNECT);
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = asking_request(&place);
    id = asking_await(&place, 1);
    rig_pair(AF_UNIX, target);
    CHECK(pipe(not_a_stream) == 0);
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.target = "guest 7";
    decision.has_descriptor = 1;
    decision.target_descriptor = not_a_stream[0];
    decision.target_early = "RFB 003.008\n";
    decision.target_early_length = 12;
    decision.user_data = &user;
    EXPECT(PENSTOCK_NO_STREAM, penstock_decide(place.rig.engine, id, &decision));
    CHECK(rig_is_open(not_a_stream[0]));
    decision.target_descriptor = target[1];
    EXPECT(PENSTOCK_OK, penstock_decide(place.rig.engine, id, &decision));
    EXPECT(PENSTOCK_NO_TUNNEL, penstock_decide(place.rig.engine, id, &decision));
    CHECK(asking_answered(client) == 200);
    rig_hear(client, "RFB 003.008\n");
    {
        struct rig_tunnel tunnel;
        penstock_completion completion;
        tunnel.client = client;
        tunnel.target = target[0];
        rig_echo(&tunnel);
        rig_leave(&tunnel);
        rig_next(&place.rig, &completion);
        CHECK(strcmp(completion.target, "guest 7") == 0 && completion.user_data == &user);
    }
    CHECK(!rig_is_open(target[1]));
    close(not_a_stream[0]);
    close(not_a_stream[1]);
    asking_close(&place);
}

/* Nobody decided in time: the client hears so, and a late descriptor stays the host's. */
static void too_late(void)
{
    struct asking place;
    penstock_decision decision;
    penstock_completion completion;
    int client, target[2];
    asking_open(&place, ASKING_CONNECT "\ntimeouts = { token = \"300ms\" }");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = asking_request(&place);
    CHECK(asking_answered(client) == 503);
    rig_drain(client);
    close(client);
    rig_next(&place.rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_TOKEN_LOOKUP_FAILED && completion.http_status == 503);
    rig_pair(AF_UNIX, target);
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.has_descriptor = 1;
    decision.target_descriptor = target[1];
    EXPECT(PENSTOCK_NO_TUNNEL, penstock_decide(place.rig.engine, completion.id, &decision));
    rig_say(target[1], "ours");
    rig_hear(target[0], "ours");
    close(target[0]), close(target[1]);
    asking_close(&place);
}

/* Too late, while the client still reads its answer: whoever got PENSTOCK_OK gets back what is its own. */
static void too_late_and_remembered(void)
{
    struct asking place;
    penstock_decision decision;
    penstock_completion completion;
    int client;
    asking_open(&place, ASKING_CONNECT "\ntimeouts = { token = \"300ms\" }");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = asking_request(&place);
    CHECK(asking_answered(client) == 503);
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.user_data = &place;
    EXPECT(PENSTOCK_OK, penstock_decide(place.rig.engine, asking_await(&place, 1), &decision));
    rig_drain(client);
    close(client);
    rig_next(&place.rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_TOKEN_LOOKUP_FAILED && completion.user_data == &place);
    asking_close(&place);
}

/* Who is waited for leaves, is cancelled, or the engine stops: one completion each, and no decision counts any more. */
static void gone_meanwhile(void)
{
    struct asking place;
    penstock_decision decision;
    penstock_completion completion;
    penstock_id id;
    int client;
    PENSTOCK_INIT(decision);
    asking_open(&place, ASKING_CONNECT);
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = asking_request(&place);
    id = asking_await(&place, 1);
    close(client);
    rig_next(&place.rig, &completion);
    CHECK(completion.id == id && completion.cause == PENSTOCK_CAUSE_HUNG_UP);
    EXPECT(PENSTOCK_NO_TUNNEL, penstock_decide(place.rig.engine, id, &decision));

    client = asking_request(&place);
    id = asking_await(&place, 2);
    EXPECT(PENSTOCK_OK, penstock_cancel(place.rig.engine, id));
    rig_next(&place.rig, &completion);
    CHECK(completion.id == id && completion.cause == PENSTOCK_CAUSE_CANCELLED);
    rig_drain(client);
    close(client);

    client = asking_request(&place);
    id = asking_await(&place, 3);
    EXPECT(PENSTOCK_OK, penstock_stop(place.rig.engine, 0));
    rig_next(&place.rig, &completion);
    CHECK(completion.id == id && completion.cause == PENSTOCK_CAUSE_DRAINED);
    EXPECT(PENSTOCK_NO_TUNNEL, penstock_decide(place.rig.engine, id, &decision));
    close(client);
    asking_close(&place);
}

static void ensure_undecided(struct asking *place, penstock_decision *decision, const char *field)
{
    char text[512];
    EXPECT(PENSTOCK_INVALID, penstock_decide(place->rig.engine, place->policy.id, decision));
    EXPECT(PENSTOCK_OK, penstock_last_error(text, sizeof text));
    if (strstr(text, field) == NULL)
        fprintf(stderr, "expected %s in: %s\n", field, text);
    CHECK(strstr(text, field) != NULL);
    PENSTOCK_INIT(*decision);
}

/* Each is refused, and the client still waits for one that is well. */
static void wrong_decisions(void)
{
    struct asking place;
    penstock_decision decision;
    penstock_completion completion;
    int client, pair[2];
    asking_open(&place, ASKING_CONNECT);
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = asking_request(&place);
    asking_await(&place, 1);
    memset(&decision, 0, sizeof decision);
    ensure_undecided(&place, &decision, "size");
    decision.verdict = PENSTOCK_VERDICT_PENDING;
    ensure_undecided(&place, &decision, "verdict");
    decision.verdict = 3;
    ensure_undecided(&place, &decision, "verdict");
    decision.http_status = 299;
    ensure_undecided(&place, &decision, "http_status");
    decision.http_status = 600;
    ensure_undecided(&place, &decision, "http_status");
    decision.reserved = 1;
    ensure_undecided(&place, &decision, "reserved");
    rig_pair(AF_UNIX, pair);
    decision.has_descriptor = 2;
    decision.target_descriptor = pair[0];
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    ensure_undecided(&place, &decision, "has_descriptor");
    CHECK(rig_is_open(pair[0]));
    close(pair[0]), close(pair[1]);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.target = "tcp://no port";
    ensure_undecided(&place, &decision, "target");
    decision.headers = "no colon\r\n";
    ensure_undecided(&place, &decision, "headers");
    decision.headers = "X: y\r\n\r\n<script>";
    ensure_undecided(&place, &decision, "headers");
    decision.headers = "Content-Length: 5\r\n";
    ensure_undecided(&place, &decision, "headers");
    EXPECT(PENSTOCK_OK, penstock_decide(place.rig.engine, place.policy.id, &decision));
    CHECK(asking_answered(client) == 403);
    rig_drain(client);
    close(client);
    rig_next(&place.rig, &completion);
    asking_close(&place);
}

int main(int argc, char **argv)
{
    RUN(elsewhere);
    RUN(to_a_unix_socket);
    RUN(here_it_is);
    RUN(too_late);
    RUN(too_late_and_remembered);
    RUN(gone_meanwhile);
    RUN(wrong_decisions);
    return 0;
}
