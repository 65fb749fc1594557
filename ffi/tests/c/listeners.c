/* Engines of a text: what is wrong in it, where they listen, on sockets of their own and of the host's, and what they accept. */
#include "rig.h"

#include <fcntl.h>
#include <sys/un.h>

static void texts_that_are_wrong(void)
{
    static const char with_nul[] = "[log]\nlevel = \"in\0fo\"\n";
    static const char unknown[] = "[log]\nlevel = \"info\"\nlevle = 1\n";
    static const char program[] = "[[listen]]\nname = \"x\"\naddress = \"127.0.0.1:9\"\nservice = \"forward\"\ntarget = "
                                  "\"exec:/bin/cat\"\n";
    penstock_engine engine = 77;
    EXPECT(PENSTOCK_CONFIG, penstock_create_from_toml(unknown, strlen(unknown), NULL, &engine));
    rig_explained("3");
    rig_explained("levle");
    EXPECT(PENSTOCK_CONFIG, penstock_create_from_toml("[", 1, NULL, &engine));
    EXPECT(PENSTOCK_CONFIG, penstock_create_from_toml("\xff\xfe", 2, NULL, &engine));
    /* NUL is no end: what is behind it is seen. */
    EXPECT(PENSTOCK_CONFIG, penstock_create_from_toml(with_nul, sizeof with_nul - 1, NULL, &engine));
    EXPECT(PENSTOCK_CONFIG, penstock_create_from_toml(program, strlen(program), NULL, &engine));
    CHECK(engine == 77);
}

/* A listener that forwards to a port, as it may stand more than once in a text. */
static void forwarding(char *text, size_t room, const char *name, const char *address, int port)
{
    size_t length = strlen(text);
    snprintf(text + length, room - length,
             "[[listen]]\nname = \"%s\"\n%s\nservice = \"forward\"\ntarget = \"tcp://127.0.0.1:%d\"\n", name, address,
             port);
}

static int port_of(penstock_engine engine, const char *listener, size_t index)
{
    char address[64];
    EXPECT(PENSTOCK_OK, penstock_listener_address(engine, listener, index, address, sizeof address));
    CHECK(strncmp(address, "127.0.0.1:", 10) == 0);
    CHECK(atoi(address + 10) > 0);
    return atoi(address + 10);
}

static void ensure_closed(int port)
{
    CHECK(rig_try_connect(port) == -1 && errno == ECONNREFUSED);
}

static void serve_one(struct rig *rig, int port, int origin, const char *listener)
{
    penstock_completion completion;
    struct rig_tunnel tunnel;
    tunnel.client = rig_connect(port);
    tunnel.target = accept4(origin, NULL, NULL, SOCK_CLOEXEC);
    CHECK(tunnel.target >= 0);
    rig_echo(&tunnel);
    rig_leave(&tunnel);
    rig_next(rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_FINISHED && completion.phase == PENSTOCK_PHASE_RELAY);
    CHECK(completion.handed_over == 0 && completion.user_data == NULL && completion.http_status == 0);
    CHECK(strcmp(completion.listener, listener) == 0 && strncmp(completion.client, "127.0.0.1:", 10) == 0);
    CHECK(strstr(completion.target, "127.0.0.1:") != NULL);
}

static void what_is_accepted(void)
{
    struct rig rig;
    penstock_counts counts;
    char text[1024] = "", address[80], cut[6];
    int target, origin = rig_listener(&target), ports[3], i;
    PENSTOCK_INIT(counts);
    for (i = 0; i < 3; i++)
        ports[i] = rig_free_port();
    snprintf(address, sizeof address, "address = [\"127.0.0.1:%d\", \"127.0.0.1:%d\"]", ports[0], ports[1]);
    forwarding(text, sizeof text, "one", address, target);
    snprintf(address, sizeof address, "address = \"127.0.0.1:%d\"", ports[2]);
    forwarding(text, sizeof text, "two", address, target);
    rig_open_toml(&rig, text);
    CHECK(port_of(rig.engine, "one", 0) == ports[0] && port_of(rig.engine, "one", 1) == ports[1]);
    CHECK(port_of(rig.engine, "two", 0) == ports[2]);
    EXPECT(PENSTOCK_NO_LISTENER, penstock_listener_address(rig.engine, "one", 2, address, sizeof address));
    EXPECT(PENSTOCK_NO_LISTENER, penstock_listener_address(rig.engine, "three", 0, address, sizeof address));
    EXPECT(PENSTOCK_TRUNCATED, penstock_listener_address(rig.engine, "one", 0, cut, sizeof cut));
    CHECK(strcmp(cut, "127.0") == 0);
    serve_one(&rig, ports[0], origin, "one");
    serve_one(&rig, ports[1], origin, "one");
    serve_one(&rig, ports[2], origin, "two");
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.accepted == 3 && counts.handed_over == 0 && counts.tunnels_total == 3 && counts.closed == 3);
    EXPECT(PENSTOCK_OK, penstock_stop(rig.engine, 0));
    ensure_closed(ports[0]);
    ensure_closed(ports[2]);
    rig_close(&rig);
    close(origin);
}

/* Nothing is half started: the first address was free, and is free again. */
static void an_address_in_use(void)
{
    struct rig rig;
    char text[1024] = "", address[64];
    int target, origin = rig_listener(&target), taken_port, taken, threads = rig_threads();
    int free_port = rig_free_port();
    taken = rig_listener(&taken_port);
    snprintf(address, sizeof address, "address = \"127.0.0.1:%d\"", free_port);
    forwarding(text, sizeof text, "free", address, target);
    snprintf(address, sizeof address, "address = \"127.0.0.1:%d\"", taken_port);
    forwarding(text, sizeof text, "taken", address, target);
    rig.engine = rig_create_toml(text);
    EXPECT(PENSTOCK_OK, penstock_completion_fd(rig.engine, &rig.completions));
    EXPECT(PENSTOCK_SYSTEM, penstock_start(rig.engine));
    snprintf(address, sizeof address, "%d", taken_port);
    rig_explained(address);
    CHECK(rig_threads() == threads);
    ensure_closed(free_port);
    /* And it may be tried again. */
    close(taken);
    EXPECT(PENSTOCK_OK, penstock_start(rig.engine));
    serve_one(&rig, taken_port, origin, "taken");
    rig_close(&rig);
    close(origin);
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strncpy(address->sun_path, path, sizeof address->sun_path - 1);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int unix_listener(const char *path)
{
    struct sockaddr_un address;
    int listener = unix_socket(path, &address);
    unlink(path);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 16) == 0);
    return listener;
}

static int unix_connect(const char *path)
{
    struct sockaddr_un address;
    int connection = unix_socket(path, &address);
    CHECK(connect(connection, (struct sockaddr *)&address, sizeof address) == 0);
    return connection;
}

static void sockets_of_the_host(void)
{
    struct rig rig;
    penstock_completion completion;
    struct rig_tunnel tunnel;
    char text[1024] = "", path[64], address[80], own[64];
    int target, origin = rig_listener(&target), own_port = rig_free_port(), port, tcp = rig_listener(&port), local;
    snprintf(path, sizeof path, "/tmp/penstock-c-%d.sock", (int)getpid());
    local = unix_listener(path);
    snprintf(own, sizeof own, "address = \"127.0.0.1:%d\"", own_port);
    forwarding(text, sizeof text, "mine", own, target);
    rig.engine = rig_create_toml(text);
    EXPECT(PENSTOCK_OK, penstock_completion_fd(rig.engine, &rig.completions));
    EXPECT(PENSTOCK_NO_LISTENER, penstock_listen(rig.engine, "nobody's", tcp));
    /* The terms that every engine has by itself: whoever connected there would get nowhere. */
    EXPECT(PENSTOCK_NO_LISTENER, penstock_listen(rig.engine, "handed-over", tcp));
    EXPECT(PENSTOCK_OK, penstock_listen(rig.engine, "mine", tcp));
    EXPECT(PENSTOCK_OK, penstock_listen(rig.engine, "mine", local));
    EXPECT(PENSTOCK_OK, penstock_start(rig.engine));
    CHECK(port_of(rig.engine, "mine", 1) == port);
    EXPECT(PENSTOCK_OK, penstock_listener_address(rig.engine, "mine", 2, address, sizeof address));
    CHECK(strncmp(address, "unix:", 5) == 0 && strcmp(address + 5, path) == 0);
    serve_one(&rig, port_of(rig.engine, "mine", 0), origin, "mine");
    serve_one(&rig, port, origin, "mine");
    tunnel.client = unix_connect(path);
    tunnel.target = accept4(origin, NULL, NULL, SOCK_CLOEXEC);
    rig_echo(&tunnel);
    rig_leave(&tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.client[0] == 0 && strcmp(completion.listener, "mine") == 0);
    rig_close(&rig);
    ensure_closed(port);
    CHECK(!rig_is_open(tcp) && !rig_is_open(local));
    unlink(path);
    close(origin);
}

static void ensure_no_listener(penstock_engine engine, int socket)
{
    EXPECT(PENSTOCK_NO_STREAM, penstock_listen(engine, "mine", socket));
    CHECK(socket == -1 || rig_is_open(socket));
}

static void what_is_no_listening_socket(void)
{
    char text[1024] = "";
    penstock_engine engine;
    int pair[2], file = open("/dev/null", O_RDWR | O_CLOEXEC), datagram = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    forwarding(text, sizeof text, "mine", "address = \"127.0.0.1:9\"", 10);
    engine = rig_create_toml(text);
    rig_pair(AF_INET, pair);
    ensure_no_listener(engine, pair[0]);
    ensure_no_listener(engine, file);
    ensure_no_listener(engine, datagram);
    ensure_no_listener(engine, silent);
    ensure_no_listener(engine, -1);
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    close(pair[0]), close(pair[1]), close(file), close(datagram), close(silent);
}

/* What was listened on and never started goes with the engine. */
static void freed_before_the_start(void)
{
    char text[1024] = "";
    penstock_engine engine;
    int port, listener = rig_listener(&port);
    forwarding(text, sizeof text, "mine", "address = \"127.0.0.1:9\"", 10);
    engine = rig_create_toml(text);
    EXPECT(PENSTOCK_OK, penstock_listen(engine, "mine", listener));
    EXPECT(PENSTOCK_OK, penstock_free(engine));
    CHECK(!rig_is_open(listener));
    ensure_closed(port);
}

/* Values that are not 0 hold instead of the text's. */
static void values_beside_a_text(void)
{
    static const char text[] = "[engine]\nworkers = 3\nmax_tunnels = 50\n" RIG_TERMS;
    penstock_values values;
    penstock_counts counts;
    struct rig rig;
    PENSTOCK_INIT(counts);
    rig_values(&values);
    values.workers = 0;
    EXPECT(PENSTOCK_OK, penstock_create_from_toml(text, strlen(text), &values, &rig.engine));
    EXPECT(PENSTOCK_OK, penstock_start(rig.engine));
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.workers == 3 && counts.max_tunnels == 50);
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
    values.workers = 1;
    values.max_tunnels = 7;
    EXPECT(PENSTOCK_OK, penstock_create_from_toml(text, strlen(text), &values, &rig.engine));
    EXPECT(PENSTOCK_OK, penstock_start(rig.engine));
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.workers == 1 && counts.max_tunnels == 7);
    EXPECT(PENSTOCK_OK, penstock_free(rig.engine));
}

int main(int argc, char **argv)
{
    RUN(texts_that_are_wrong);
    RUN(what_is_accepted);
    RUN(an_address_in_use);
    RUN(sockets_of_the_host);
    RUN(what_is_no_listening_socket);
    RUN(freed_before_the_start);
    RUN(values_beside_a_text);
    return 0;
}
