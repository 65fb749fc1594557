/* A host that is asked who may have what: yes, no, elsewhere, here it is, later, too late. */
#include "rig.h"

#include <netinet/in.h>
#include <pthread.h>
#include <sys/un.h>

/* What the callback answers, and what it was asked. */
struct policy {
    pthread_mutex_t mutex;
    pthread_cond_t asked;
    uint32_t verdict;
    /* To be told by penstock_decide() within the callback; NULL: nothing. */
    const penstock_decision *decision;
    int times;
    penstock_id id;
    char listener[64], client[64], method[32], target[256], path[256], token[64], head[1024];
};

static void copy(char *to, size_t room, const char *from)
{
    snprintf(to, room, "%s", from ? from : "(null)");
}

static void ensure_it_can_not_wait_for_itself(penstock_engine engine)
{
    EXPECT(PENSTOCK_IN_CALLBACK, penstock_stop(engine, 0));
    EXPECT(PENSTOCK_IN_CALLBACK, penstock_free(engine));
    EXPECT(PENSTOCK_IN_CALLBACK, penstock_run(engine));
}

static uint32_t authorise(penstock_engine engine, const penstock_request *request, void *context)
{
    struct policy *policy = (struct policy *)context;
    penstock_tunnel_info info;
    CHECK(request->size == sizeof *request && request->id != 0);
    ensure_it_can_not_wait_for_itself(engine);
    PENSTOCK_INIT(info);
    EXPECT(PENSTOCK_OK, penstock_query(engine, request->id, &info));
    CHECK(info.phase == PENSTOCK_PHASE_ADMISSION);
    pthread_mutex_lock(&policy->mutex);
    policy->id = request->id;
    copy(policy->listener, sizeof policy->listener, request->listener);
    copy(policy->client, sizeof policy->client, request->client);
    copy(policy->method, sizeof policy->method, request->method);
    copy(policy->target, sizeof policy->target, request->target);
    copy(policy->path, sizeof policy->path, request->path);
    copy(policy->token, sizeof policy->token, request->token);
    CHECK(request->common_name == NULL && request->head_length < sizeof policy->head);
    CHECK((request->head == NULL) == (request->head_length == 0));
    if (request->head != NULL)
        memcpy(policy->head, request->head, request->head_length);
    policy->head[request->head_length] = 0;
    if (policy->decision != NULL) {
        EXPECT(PENSTOCK_OK, penstock_decide(engine, request->id, policy->decision));
        EXPECT(PENSTOCK_NO_TUNNEL, penstock_decide(engine, request->id, policy->decision));
    }
    policy->times++;
    pthread_cond_broadcast(&policy->asked);
    pthread_mutex_unlock(&policy->mutex);
    return policy->verdict;
}

/* Who carries the bytes, and how the host is asked. */
struct place {
    struct rig rig;
    struct policy policy;
    int origin;
    int origin_port;
    int port;
};

static void place_open(struct place *place, const char *listener)
{
    char text[1024], address[64];
    place->origin = rig_listener(&place->origin_port);
    memset(&place->policy, 0, sizeof place->policy);
    CHECK(pthread_mutex_init(&place->policy.mutex, NULL) == 0 && pthread_cond_init(&place->policy.asked, NULL) == 0);
    snprintf(text, sizeof text,
             "[acl]\nhere = { dst = [\"127.0.0.1\"] }\n[[listen]]\nname = \"ask\"\naddress = \"127.0.0.1:0\"\npolicy = "
             "\"host\"\n%s\n",
             listener);
    place->rig.engine = rig_create_toml(text);
    EXPECT(PENSTOCK_OK, penstock_on_authorise(place->rig.engine, authorise, &place->policy));
    EXPECT(PENSTOCK_OK, penstock_completion_fd(place->rig.engine, &place->rig.completions));
    EXPECT(PENSTOCK_OK, penstock_start(place->rig.engine));
    EXPECT(PENSTOCK_OK, penstock_listener_address(place->rig.engine, "ask", 0, address, sizeof address));
    place->port = atoi(strrchr(address, ':') + 1);
}

static void place_close(struct place *place)
{
    rig_close(&place->rig);
    close(place->origin);
}

static penstock_id await_asked(struct place *place, int times)
{
    penstock_id id;
    pthread_mutex_lock(&place->policy.mutex);
    while (place->policy.times < times)
        pthread_cond_wait(&place->policy.asked, &place->policy.mutex);
    CHECK(place->policy.times == times);
    id = place->policy.id;
    pthread_mutex_unlock(&place->policy.mutex);
    return id;
}

/* Asks for a CONNECT to the origin. */
static int request(struct place *place)
{
    char head[256];
    int client = rig_connect(place->port);
    snprintf(head, sizeof head, "CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n", place->origin_port);
    rig_say(client, head);
    return client;
}

/* The status of the answer. */
static int answered(int client)
{
    char head[2048];
    rig_read_head(client, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.", 7) == 0);
    return atoi(head + 9);
}

/* Client and target are joined, and the end is told with `user_data`. */
static void ensure_joined(struct place *place, int client, int target, void *user_data)
{
    struct rig_tunnel tunnel;
    penstock_completion completion;
    tunnel.client = client;
    tunnel.target = target;
    CHECK(answered(client) == 200);
    rig_echo(&tunnel);
    rig_leave(&tunnel);
    rig_next(&place->rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED && completion.phase == PENSTOCK_PHASE_RELAY);
    CHECK(completion.user_data == user_data && completion.id == place->policy.id);
    CHECK(completion.handed_over == 0 && completion.http_status == 200);
}

static void allow(void)
{
    struct place place;
    char wanted[64];
    int client, target;
    place_open(&place, "service = \"connect\"\naccess = [\"allow here\"]");
    place.policy.verdict = PENSTOCK_VERDICT_ALLOW;
    client = request(&place);
    target = accept4(place.origin, NULL, NULL, SOCK_CLOEXEC);
    ensure_joined(&place, client, target, NULL);
    snprintf(wanted, sizeof wanted, "127.0.0.1:%d", place.origin_port);
    CHECK(strcmp(place.policy.target, wanted) == 0 && strcmp(place.policy.method, "CONNECT") == 0);
    CHECK(strcmp(place.policy.listener, "ask") == 0 && strncmp(place.policy.client, "127.0.0.1:", 10) == 0);
    CHECK(strcmp(place.policy.path, "(null)") == 0 && strcmp(place.policy.token, "(null)") == 0);
    CHECK(strncmp(place.policy.head, "CONNECT ", 8) == 0 && strstr(place.policy.head, "Host: x\r\n\r\n") != NULL);
    place_close(&place);
}

static void ensure_denied(struct place *place, int client, int status)
{
    penstock_completion completion;
    CHECK(answered(client) == status);
    rig_drain(client);
    close(client);
    rig_next(&place->rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_ACCESS_DENIED && completion.phase == PENSTOCK_PHASE_ADMISSION);
    CHECK(completion.http_status == (uint32_t)status && completion.bytes_to_target == 0);
}

static void deny(void)
{
    struct place place;
    place_open(&place, "service = \"connect\"");
    place.policy.verdict = PENSTOCK_VERDICT_DENY;
    ensure_denied(&place, request(&place), 403);
    /* What is no verdict is none in favour. */
    place.policy.verdict = 7;
    ensure_denied(&place, request(&place), 403);
    place_close(&place);
}

static void deny_in_words(void)
{
    static int user;
    struct place place;
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
    place_open(&place, "service = \"connect\"");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    place.policy.decision = &decision;
    client = request(&place);
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
    place_close(&place);
}

static void elsewhere(void)
{
    struct place place;
    penstock_decision decision;
    char target[64];
    int client, user, other_port, other = rig_listener(&other_port);
    snprintf(target, sizeof target, "tcp://127.0.0.1:%d", other_port);
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.target = target;
    decision.user_data = &user;
    place_open(&place, "service = \"connect\"");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    place.policy.decision = &decision;
    client = request(&place);
    ensure_joined(&place, client, accept4(other, NULL, NULL, SOCK_CLOEXEC), &user);
    close(other);
    place_close(&place);
}

static void to_a_unix_socket(void)
{
    struct place place;
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
    place_open(&place, "service = \"connect\"");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    place.policy.decision = &decision;
    client = request(&place);
    ensure_joined(&place, client, accept4(local, NULL, NULL, SOCK_CLOEXEC), NULL);
    unlink(address.sun_path);
    close(local);
    place_close(&place);
}

/* The host has connected by itself, and read a greeting already. It is decided by another thread than was asked, later. */
static void here_it_is(void)
{
    struct place place;
    penstock_decision decision;
    penstock_id id;
    int client, target[2], not_a_stream[2], user;
    place_open(&place, "service = \"connect\"");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = request(&place);
    id = await_asked(&place, 1);
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
    CHECK(answered(client) == 200);
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
    place_close(&place);
}

/* Nobody decided in time: the client hears so, and a late descriptor stays the host's. */
static void too_late(void)
{
    struct place place;
    penstock_decision decision;
    penstock_completion completion;
    int client, target[2];
    place_open(&place, "service = \"connect\"\ntimeouts = { token = \"300ms\" }");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = request(&place);
    CHECK(answered(client) == 503);
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
    place_close(&place);
}

/* Who is waited for leaves, is cancelled, or the engine stops: one completion each, and no decision counts any more. */
static void gone_meanwhile(void)
{
    struct place place;
    penstock_decision decision;
    penstock_completion completion;
    penstock_id id;
    int client;
    PENSTOCK_INIT(decision);
    place_open(&place, "service = \"connect\"");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = request(&place);
    id = await_asked(&place, 1);
    close(client);
    rig_next(&place.rig, &completion);
    CHECK(completion.id == id && completion.cause == PENSTOCK_CAUSE_HUNG_UP);
    EXPECT(PENSTOCK_NO_TUNNEL, penstock_decide(place.rig.engine, id, &decision));

    client = request(&place);
    id = await_asked(&place, 2);
    EXPECT(PENSTOCK_OK, penstock_cancel(place.rig.engine, id));
    rig_next(&place.rig, &completion);
    CHECK(completion.id == id && completion.cause == PENSTOCK_CAUSE_CANCELLED);
    rig_drain(client);
    close(client);

    client = request(&place);
    id = await_asked(&place, 3);
    EXPECT(PENSTOCK_OK, penstock_stop(place.rig.engine, 0));
    rig_next(&place.rig, &completion);
    CHECK(completion.id == id && completion.cause == PENSTOCK_CAUSE_DRAINED);
    EXPECT(PENSTOCK_STOPPED, penstock_decide(place.rig.engine, id, &decision));
    close(client);
    place_close(&place);
}

/* A client's bytes are taken as they are, and only the host knows where to. */
static void forwarding(void)
{
    struct place place;
    struct rig_tunnel tunnel;
    penstock_decision decision;
    penstock_completion completion;
    char target[64];
    place_open(&place, "service = \"forward\"");
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
    place_close(&place);
}

static void a_browser(void)
{
    static const unsigned char hello[] = {0x81 + 1, 0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2};
    struct place place;
    penstock_decision decision;
    penstock_completion completion;
    char head[2048];
    int client, target[2];
    place_open(&place, "service = \"console\"\norigins = [\"*\"]");
    place.policy.verdict = PENSTOCK_VERDICT_PENDING;
    client = rig_connect(place.port);
    rig_say(client, "GET /websockify?token=a%20b HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    await_asked(&place, 1);
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
    place_close(&place);
}

static void nobody_to_ask(void)
{
    static const char text[] = "[[listen]]\nname = \"ask\"\naddress = \"127.0.0.1:0\"\nservice = \"forward\"\npolicy = "
                               "\"host\"\n";
    penstock_engine engine = rig_create_toml(text);
    EXPECT(PENSTOCK_CONFIG, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_on_authorise(engine, authorise, NULL));
    EXPECT(PENSTOCK_OK, penstock_on_authorise(engine, NULL, NULL));
    EXPECT(PENSTOCK_CONFIG, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_on_authorise(engine, authorise, NULL));
    EXPECT(PENSTOCK_OK, penstock_start(engine));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
}

int main(int argc, char **argv)
{
    RUN(allow);
    RUN(deny);
    RUN(deny_in_words);
    RUN(elsewhere);
    RUN(to_a_unix_socket);
    RUN(here_it_is);
    RUN(too_late);
    RUN(gone_meanwhile);
    RUN(forwarding);
    RUN(a_browser);
    RUN(nobody_to_ask);
    return 0;
}
