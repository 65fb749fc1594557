/* Clients that speak WebSocket: answered by the host already, or on terms by which the engine answers. */
#include "rig.h"

static const char request[] = "GET /websockify HTTP/1.1\r\nHost: x\r\nOrigin: http://x\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/* A message as a browser sends it: masked, of less than 126 bytes. */
static size_t frame(unsigned char *to, int opcode, const char *text)
{
    static const unsigned char mask[4] = {0x11, 0x22, 0x33, 0x44};
    size_t i, length = strlen(text);
    to[0] = (unsigned char)(0x80 | opcode);
    to[1] = (unsigned char)(0x80 | length);
    memcpy(to + 2, mask, 4);
    for (i = 0; i < length; i++)
        to[6 + i] = (unsigned char)text[i] ^ mask[i % 4];
    return 6 + length;
}

static void say_frame(int client, int opcode, const char *text)
{
    unsigned char bytes[132];
    rig_write(client, bytes, frame(bytes, opcode, text));
}

/* A message as it comes to a browser. */
static void hear_frame(int client, int opcode, const char *text)
{
    unsigned char head[2];
    rig_read(client, head, 2);
    CHECK(head[0] == (0x80 | opcode) && head[1] == strlen(text));
    rig_hear(client, text);
}

/* The browser says good-bye. Its end is passed on, and it is answered when the target has ended as well. */
static void say_goodbye(struct rig *rig, struct rig_tunnel *tunnel, penstock_completion *completion)
{
    unsigned char head[2];
    say_frame(tunnel->client, 8, "\x03\xe8");
    rig_ended(tunnel->target);
    close(tunnel->target);
    rig_read(tunnel->client, head, 2);
    CHECK(head[0] == 0x88);
    rig_drain(tunnel->client);
    close(tunnel->client);
    rig_next(rig, completion);
    CHECK(completion->cause == PENSTOCK_CAUSE_FINISHED && completion->id == tunnel->id);
}

static void binary(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_completion completion;
    unsigned char early[132];
    size_t length = frame(early, 2, "read already");
    PENSTOCK_INIT(options);
    options.web_socket = PENSTOCK_WEB_SOCKET_BINARY;
    /* In the middle of a message. */
    options.client_early = early;
    options.client_early_length = length - 3;
    options.target_early = "greeting";
    options.target_early_length = strlen("greeting");
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, &options, &tunnel);
    rig_write(tunnel.client, early + length - 3, 3);
    rig_hear(tunnel.target, "read already");
    hear_frame(tunnel.client, 2, "greeting");
    say_frame(tunnel.client, 2, "key");
    rig_hear(tunnel.target, "key");
    rig_say(tunnel.target, "picture");
    hear_frame(tunnel.client, 2, "picture");
    /* A ping is answered, and is no payload. */
    say_frame(tunnel.client, 9, "there?");
    hear_frame(tunnel.client, 10, "there?");
    say_goodbye(&rig, &tunnel, &completion);
    CHECK(completion.bytes_to_target == strlen("read already") + strlen("key"));
    CHECK(completion.http_status == 0);
    rig_close(&rig);
}

static void base64(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_completion completion;
    PENSTOCK_INIT(options);
    options.web_socket = PENSTOCK_WEB_SOCKET_BASE64;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_UNIX, &options, &tunnel);
    say_frame(tunnel.client, 1, "a2V5");
    rig_hear(tunnel.target, "key");
    rig_say(tunnel.target, "yo");
    hear_frame(tunnel.client, 1, "eW8=");
    say_goodbye(&rig, &tunnel, &completion);
    rig_close(&rig);
}

static void a_bad_frame(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_completion completion;
    PENSTOCK_INIT(options);
    options.web_socket = PENSTOCK_WEB_SOCKET_BINARY;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, &options, &tunnel);
    /* Not masked. */
    rig_say(tunnel.client, "\x82\x02hi");
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_BAD_FRAME && completion.side == PENSTOCK_SIDE_CLIENT);
    CHECK(completion.bytes_to_target == 0);
    rig_leave(&tunnel);
    rig_close(&rig);
}

/* Whom the host cuts off is told so by a frame. */
static void cancelled(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_completion completion;
    unsigned char head[2];
    PENSTOCK_INIT(options);
    options.web_socket = PENSTOCK_WEB_SOCKET_BINARY;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, &options, &tunnel);
    say_frame(tunnel.client, 2, "key");
    rig_hear(tunnel.target, "key");
    EXPECT(PENSTOCK_OK, penstock_cancel(rig.engine, tunnel.id));
    rig_read(tunnel.client, head, 2);
    CHECK(head[0] == 0x88);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_CANCELLED);
    rig_close(&rig);
}

static void answer_pings(int client)
{
    unsigned char head[2];
    int i;
    for (i = 0; i < 3; i++) {
        char payload[126];
        rig_read(client, head, 2);
        CHECK(head[0] == 0x89 && head[1] < 126);
        rig_read(client, payload, head[1]);
        payload[head[1]] = 0;
        say_frame(client, 10, payload);
    }
}

static void heartbeat(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_completion completion;
    PENSTOCK_INIT(options);
    options.web_socket = PENSTOCK_WEB_SOCKET_BINARY;
    options.heartbeat_ms = 100;
    rig_open(&rig, NULL);
    rig_join(&rig, AF_INET, &options, &tunnel);
    answer_pings(tunnel.client);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    rig_close(&rig);
}

/* On a console's terms the request is the engine's to answer, as much of it as the host has read. */
static void terms_of_a_console(void)
{
    static const char text[] = "[[listen]]\nname = \"browsers\"\nservice = \"console\"\ntarget = \"handed-over\"\n"
                               "origins = [\"*\"]\nheartbeat = \"off\"\n";
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_tunnel_info info;
    penstock_completion completion;
    penstock_counts counts;
    char head[2048];
    PENSTOCK_INIT(options);
    PENSTOCK_INIT(info);
    PENSTOCK_INIT(counts);
    options.terms = "browsers";
    options.client_early = request;
    options.client_early_length = 40;
    rig_open_toml(&rig, text);
    rig_join(&rig, AF_INET, &options, &tunnel);
    rig_say(tunnel.client, request + 40);
    rig_read_head(tunnel.client, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0 && strstr(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL);
    say_frame(tunnel.client, 2, "key");
    rig_hear(tunnel.target, "key");
    rig_say(tunnel.target, "picture");
    hear_frame(tunnel.client, 2, "picture");
    EXPECT(PENSTOCK_OK, penstock_query(rig.engine, tunnel.id, &info));
    CHECK(strcmp(info.listener, "browsers") == 0);
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.upgrades == 1);
    say_goodbye(&rig, &tunnel, &completion);
    CHECK(completion.http_status == 101 && completion.handed_over == 1);
    CHECK(strcmp(completion.listener, "browsers") == 0);

    options.heartbeat_ms = 100;
    rig_join(&rig, AF_INET, &options, &tunnel);
    rig_say(tunnel.client, request + 40);
    rig_read_head(tunnel.client, head, sizeof head);
    answer_pings(tunnel.client);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);

    /* What is no request for WebSocket is refused, and the target hears nothing of it. */
    options.client_early = "nonsense\r\n\r\n";
    options.client_early_length = strlen("nonsense\r\n\r\n");
    rig_join(&rig, AF_INET, &options, &tunnel);
    rig_read_head(tunnel.client, head, sizeof head);
    CHECK(strncmp(head, "HTTP/1.1 400 ", 13) == 0);
    rig_drain(tunnel.client);
    rig_ended(tunnel.target);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_BAD_REQUEST && completion.http_status == 400);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    RUN(binary);
    RUN(base64);
    RUN(a_bad_frame);
    RUN(cancelled);
    RUN(heartbeat);
    RUN(terms_of_a_console);
    return 0;
}
