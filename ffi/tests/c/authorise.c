/* A host that is asked who may have what, and says yes or no. */
#include "asking.h"

static void allow(void)
{
    struct asking place;
    char wanted[64];
    int client, target;
    asking_open(&place, ASKING_CONNECT);
    place.policy.verdict = PENSTOCK_VERDICT_ALLOW;
    client = asking_request(&place);
    target = accept4(place.origin, NULL, NULL, SOCK_CLOEXEC);
    asking_joined(&place, client, target, NULL);
    snprintf(wanted, sizeof wanted, "127.0.0.1:%d", place.origin_port);
    CHECK(strcmp(place.policy.target, wanted) == 0 && strcmp(place.policy.method, "CONNECT") == 0);
    CHECK(strcmp(place.policy.listener, "ask") == 0 && strncmp(place.policy.client, "127.0.0.1:", 10) == 0);
    CHECK(strcmp(place.policy.path, "(null)") == 0 && strcmp(place.policy.token, "(null)") == 0);
    CHECK(strncmp(place.policy.head, "CONNECT ", 8) == 0 && strstr(place.policy.head, "Host: x\r\n\r\n") != NULL);
    asking_close(&place);
}

static void ensure_denied(struct asking *place, int client, int status)
{
    penstock_completion completion;
    CHECK(asking_answered(client) == status);
    rig_drain(client);
    close(client);
    rig_next(&place->rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_ACCESS_DENIED && completion.phase == PENSTOCK_PHASE_ADMISSION);
    CHECK(completion.http_status == (uint32_t)status && completion.bytes_to_target == 0);
}

static void deny(void)
{
    struct asking place;
    asking_open(&place, ASKING_CONNECT);
    place.policy.verdict = PENSTOCK_VERDICT_DENY;
    ensure_denied(&place, asking_request(&place), 403);
    /* What is no verdict is none in favour. */
    place.policy.verdict = 7;
    ensure_denied(&place, asking_request(&place), 403);
    asking_close(&place);
}

static void deny_in_words(void)
{
    static int user;
    struct asking place;
    penstock_decision decision;
    penstock_completion completion;
    char head[2048], body[8192];
    int client;
    ssize_t length = 0, count;
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_DENY;
    decision.http_status = 407;
    decision.message = "ask <Bob>";
    decision.headers = "Proxy-Authenticate: Basic realm=\"x\"\r\nX-Why: because\r\n";
    decision.user_data = &user;
    asking_open(&place, ASKING_CONNECT);
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    place.policy.decision = &decision;
    client = asking_request(&place);
    rig_read_head(client, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 407 ", 13) == 0);
    CHECK(strstr(head, "\r\nProxy-Authenticate: Basic realm=\"x\"\r\n") != NULL);
    CHECK(strstr(head, "\r\nX-Why: because\r\n") != NULL);
    while ((count = read(client, body + length, sizeof body - 1 - (size_t)length)) > 0)
        length += count;
    body[length] = 0;
    CHECK(strstr(body, "Bob") != NULL && strstr(body, "<Bob>") == NULL);
    close(client);
    rig_next(&place.rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_ACCESS_DENIED && completion.http_status == 407);
    CHECK(completion.user_data == &user && strcmp(completion.detail, "ask <Bob>") == 0);
    asking_close(&place);
}

/* A client's bytes are taken as they are, and only the host knows where to. */
static void forwarding(void)
{
    struct asking place;
    struct rig_tunnel tunnel;
    penstock_decision decision;
    penstock_completion completion;
    char target[64];
    asking_open(&place, "service = \"forward\"");
    snprintf(target, sizeof target, "127.0.0.1:%d", place.origin_port);
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.target = target;
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    place.policy.decision = &decision;
    tunnel.client = rig_connect(place.port);
    tunnel.target = accept4(place.origin, NULL, NULL, SOCK_CLOEXEC);
    rig_echo(&tunnel);
    rig_leave(&tunnel);
    rig_next(&place.rig, &completion);
    CHECK(strcmp(place.policy.method, "(null)") == 0 && strcmp(place.policy.target, "(null)") == 0);
    CHECK(place.policy.head[0] == 0);
    /* Denied: it only ends. */
    decision.verdict = PENSTOCK_VERDICT_DENY;
    decision.target = NULL;
    tunnel.client = rig_connect(place.port);
    rig_ended(tunnel.client);
    close(tunnel.client);
    rig_next(&place.rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_ACCESS_DENIED && completion.http_status == 0);
    asking_close(&place);
}

static void a_browser(void)
{
    static const unsigned char hello[] = {0x81 + 1, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2};
    struct asking place;
    penstock_decision decision;
    penstock_completion completion;
    char head[2048];
    int client, target[2];
    asking_open(&place, "service = \"console\"\norigins = [\"*\"]");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = rig_connect(place.port);
    rig_say(client, "GET /websockify?token=a%20b HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    asking_await(&place, 1);
    CHECK(strcmp(place.policy.method, "GET") == 0 && strcmp(place.policy.path, "/websockify?token=a%20b") == 0);
    CHECK(strcmp(place.policy.token, "a b") == 0 && strcmp(place.policy.target, "(null)") == 0);
    rig_pair(AF_UNIX, target);
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.has_descriptor = 1;
    decision.target_descriptor = target[1];
    EXPECT(PENSTOCK_OK, penstock_decide(place.rig.engine, place.policy.id, &decision));
    rig_read_head(client, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    CHECK(strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL);
    rig_write(client, hello, sizeof hello);
    rig_hear(target[0], "hi");
    rig_say(target[0], "yo");
    rig_hear(client, "\x82\x02yo");
    close(client), close(target[0]);
    rig_next(&place.rig, &completion);
    CHECK(completion.http_status == 101 && completion.bytes_to_target == 2);
    asking_close(&place);
}

static void nobody_to_ask(void)
{
    static const char text[] = "[[listen]]\nname = \"ask\"\nservice = \"forward\"\npolicy = "
                               "\"host\"\n";
    penstock_engine engine = rig_create_toml(text);
    EXPECT(PENSTOCK_CONFIG, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_on_authorise(engine, asking_authorise, NULL));
    EXPECT(PENSTOCK_OK, penstock_on_authorise(engine, NULL, NULL));
    EXPECT(PENSTOCK_CONFIG, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_on_authorise(engine, asking_authorise, NULL));
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
}

int main(int argc, char **argv)
{
    RUN(allow);
    RUN(deny);
    RUN(deny_in_words);
    RUN(forwarding);
    RUN(a_browser);
    RUN(nobody_to_ask);
    return 0;
}
