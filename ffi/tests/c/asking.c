#include "asking.h"

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

uint32_t asking_authorise(penstock_engine engine, const penstock_request *request, void *context)
{
    struct policy *policy = (struct policy *)context;
    penstock_tunnel_info info;
    CHECK(request->size == sizeof *request && request->id != 0 && request->tls == 0);
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

void asking_open(struct asking *place, const char *listener)
{
    char text[1024];
    int listening = rig_listener(&place->port);
    place->origin = rig_listener(&place->origin_port);
    memset(&place->policy, 0, sizeof place->policy);
    CHECK(pthread_mutex_init(&place->policy.mutex, NULL) == 0 && pthread_cond_init(&place->policy.asked, NULL) == 0);
    snprintf(text, sizeof text,
             "[acl]\nhere = { dst = [\"127.0.0.1\"] }\n[[listen]]\nname = \"ask\"\npolicy = \"host\"\n%s\n",
             listener);
    place->rig.engine = rig_create_toml(text);
    EXPECT(PENSTOCK_OK, penstock_listen(place->rig.engine, "ask", listening));
    EXPECT(PENSTOCK_OK, penstock_on_authorise(place->rig.engine, asking_authorise, &place->policy));
    EXPECT(PENSTOCK_OK, penstock_completion_fd(place->rig.engine, &place->rig.completions));
    EXPECT(PENSTOCK_OK, penstock_start(place->rig.engine));
}

void asking_close(struct asking *place)
{
    rig_close(&place->rig);
    close(place->origin);
}

penstock_id asking_await(struct asking *place, int times)
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
int asking_request(struct asking *place)
{
    char head[256];
    int client = rig_connect(place->port);
    snprintf(head, sizeof head, "CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n", place->origin_port);
    rig_say(client, head);
    return client;
}

/* The status of the answer. */
int asking_answered(int client)
{
    char head[2048];
    rig_read_head(client, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.", 7) == 0);
    return atoi(head + 9);
}

/* Client and target are joined, and the end is told with `user_data`. */
void asking_joined(struct asking *place, int client, int target, void *user_data)
{
    struct rig_tunnel tunnel;
    penstock_completion completion;
    tunnel.client = client;
    tunnel.target = target;
    CHECK(asking_answered(client) == 200);
    rig_echo(&tunnel);
    rig_leave(&tunnel);
    rig_next(&place->rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED && completion.phase == PENSTOCK_PHASE_RELAY);
    CHECK(completion.user_data == user_data && completion.id == place->policy.id);
    CHECK(completion.handed_over == 0 && completion.http_status == 200);
}
