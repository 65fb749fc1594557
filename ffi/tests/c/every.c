/* Every function that takes an engine's number, called as it should be. */
#include "rig.h"

static int told(penstock_engine engine, const penstock_tunnel_info *tunnel, void *context)
{
    (void)engine, (void)tunnel, (void)context;
    return 0;
}

static void completed(penstock_engine engine, const penstock_completion *completion, void *context)
{
    (void)engine, (void)completion, (void)context;
}

static uint32_t authorise(penstock_engine engine, const penstock_request *request, void *context)
{
    (void)engine, (void)request, (void)context;
    return PENSTOCK_VERDICT_DENY;
}

static void calls_that_take_descriptors(penstock_engine engine, penstock_status expected)
{
    penstock_decision decision;
    int client[2], target[2], port, listener = rig_listener(&port);
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    EXPECT(expected, penstock_listen(engine, "any", listener));
    EXPECT(expected, penstock_tunnel(engine, client[0], target[0], NULL, NULL));
    PENSTOCK_INIT(decision);
    decision.verdict = PENSTOCK_VERDICT_ALLOW;
    decision.has_descriptor = 1;
    decision.target_descriptor = target[0];
    EXPECT(expected, penstock_decide(engine, 1, &decision));
    CHECK(rig_is_open(listener) && rig_is_open(client[0]) && rig_is_open(target[0]));
    close(listener);
    close(client[0]);
    close(client[1]);
    close(target[0]);
    close(target[1]);
}

static void calls_that_fill(penstock_engine engine, penstock_status expected)
{
    penstock_tunnel_info info;
    penstock_completion completion;
    penstock_counts counts;
    char text[64];
    size_t needed;
    int descriptor = -1;
    PENSTOCK_INIT(info);
    PENSTOCK_INIT(completion);
    PENSTOCK_INIT(counts);
    EXPECT(expected, penstock_query(engine, 1, &info));
    EXPECT(expected, penstock_next_completion(engine, &completion));
    EXPECT(expected, penstock_metrics(engine, &counts));
    EXPECT(expected, penstock_metrics_text(engine, text, sizeof text, &needed));
    EXPECT(expected, penstock_listener_address(engine, "any", 0, text, sizeof text));
    EXPECT(expected, penstock_completion_fd(engine, &descriptor));
    CHECK(descriptor == -1);
}

void rig_every_call(penstock_engine engine, penstock_status expected)
{
    calls_that_take_descriptors(engine, expected);
    calls_that_fill(engine, expected);
    EXPECT(expected, penstock_on_completion(engine, completed, NULL));
    EXPECT(expected, penstock_on_authorise(engine, authorise, NULL));
    EXPECT(expected, penstock_for_each(engine, told, NULL));
    EXPECT(expected, penstock_cancel(engine, 1));
    EXPECT(expected, penstock_run(engine));
    EXPECT(expected, penstock_start(engine));
    EXPECT(expected, penstock_stop(engine, 0));
    EXPECT(expected, penstock_free(engine));
}
