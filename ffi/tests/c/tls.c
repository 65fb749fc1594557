/* Terms with TLS, beside OpenSSL's own client and server; what the host has read already are bytes of TLS. */
#include "rig.h"

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

/* A program, and what it reads and writes. */
struct program {
    pid_t pid;
    int pipes;
};

static char folder[64], cert[96], key[96];

static pid_t start(char *const *arguments, int input)
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", 1, 0) == 0);
    if (input >= 0) {
        CHECK(posix_spawn_file_actions_adddup2(&actions, input, 0) == 0);
        CHECK(posix_spawn_file_actions_adddup2(&actions, input, 1) == 0);
    }
    CHECK(posix_spawnp(&pid, arguments[0], &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static void await_end(pid_t pid)
{
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static void certificate(void)
{
    const char *arguments[] = {"openssl", "req",    "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                               "-nodes",  "-keyout", key,     "-out",    cert, "-days",    "2",
                               "-subj",   "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                               "-addext", "basicConstraints=critical,CA:FALSE", NULL};
    struct stat file;
    snprintf(folder, sizeof folder, "/tmp/penstock-c-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    await_end(start((char *const *)arguments, -1));
    CHECK(stat(cert, &file) == 0 && stat(key, &file) == 0);
}

static void remove_certificate(void)
{
    CHECK(unlink(cert) == 0 && unlink(key) == 0 && rmdir(folder) == 0);
}

/* A TLS client of OpenSSL's, and the connection that it has made to us. */
static int client_of_openssl(struct program *program)
{
    char place[64];
    const char *arguments[] = {"openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", cert,
                               "-servername", "localhost", "-verify_hostname", "localhost", "-connect", place, NULL};
    int port, pair[2], connection, listener = rig_listener(&port);
    snprintf(place, sizeof place, "127.0.0.1:%d", port);
    rig_pair(AF_UNIX, pair);
    program->pid = start((char *const *)arguments, pair[1]);
    close(pair[1]);
    program->pipes = pair[0];
    connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(connection >= 0);
    close(listener);
    return connection;
}

static void open_terms(struct rig *rig)
{
    char text[1024];
    snprintf(text, sizeof text,
             "[[listen]]\nname = \"clients\"\nservice = \"forward\"\ntarget = \"handed-over\"\n"
             "tls = { cert = \"%s\", key = \"%s\" }\n"
             "[[listen]]\nname = \"targets\"\nservice = \"forward\"\ntarget = \"handed-over\"\n"
             "upstream_tls = { ca = \"%s\", server_name = \"localhost\" }\n"
             "[[listen]]\nname = \"nameless\"\nservice = \"forward\"\ntarget = \"handed-over\"\nupstream_tls = { ca = \"%s\" }\n",
             cert, key, cert, cert);
    rig_open_toml(rig, text);
}

/* So many bytes of the ClientHello are read by the host, at first. */
static void early_bytes_of_a_hello(struct rig *rig, size_t early)
{
    struct program program;
    penstock_tunnel_options options;
    penstock_completion completion;
    penstock_id id;
    int target[2], connection = client_of_openssl(&program);
    char read_already[512];
    rig_read(connection, read_already, early);
    rig_pair(AF_UNIX, target);
    PENSTOCK_INIT(options);
    options.terms = "clients";
    options.client_early = read_already;
    options.client_early_length = early;
    EXPECT(PENSTOCK_OK, penstock_tunnel(rig->engine, connection, target[1], &options, &id));
    rig_say(program.pipes, "within TLS\n");
    rig_hear(target[0], "within TLS\n");
    rig_say(target[0], "as well\n");
    rig_hear(program.pipes, "as well\n");
    close(program.pipes);
    close(target[0]);
    rig_next(rig, &completion);
    CHECK(completion.id == id && strcmp(completion.listener, "clients") == 0);
    CHECK(completion.bytes_to_target == strlen("within TLS\n") && completion.bytes_spliced == 0);
    await_end(program.pid);
}

static void clients(void)
{
    struct rig rig;
    penstock_counts counts;
    PENSTOCK_INIT(counts);
    open_terms(&rig);
    early_bytes_of_a_hello(&rig, 0);
    early_bytes_of_a_hello(&rig, 1);
    early_bytes_of_a_hello(&rig, 5);
    early_bytes_of_a_hello(&rig, 200);
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.handshakes[0] == 4 && counts.handshakes[1] == 0 && counts.handshakes_failed[0] == 0);
    rig_close(&rig);
}

static void what_is_no_tls(void)
{
    struct rig rig;
    struct rig_tunnel tunnel;
    penstock_tunnel_options options;
    penstock_completion completion;
    penstock_counts counts;
    PENSTOCK_INIT(counts);
    open_terms(&rig);
    PENSTOCK_INIT(options);
    options.terms = "clients";
    options.client_early = "GET / HTTP/1.1\r\n\r\n";
    options.client_early_length = 18;
    rig_join(&rig, AF_INET, &options, &tunnel);
    rig_next(&rig, &completion);
    CHECK(completion.cause == PENSTOCK_CAUSE_TLS_FAILED && completion.phase == PENSTOCK_PHASE_TLS);
    CHECK(completion.side == PENSTOCK_SIDE_CLIENT && completion.bytes_to_target == 0);
    rig_ended(tunnel.target);
    rig_leave(&tunnel);
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.handshakes_failed[0] == 1);
    rig_close(&rig);
}

/* WebSocket stands above TLS: who speaks it already can't have TLS below. */
static void terms_that_can_not_be(void)
{
    struct rig rig;
    penstock_tunnel_options options;
    int client[2], target[2];
    open_terms(&rig);
    rig_pair(AF_UNIX, client);
    rig_pair(AF_UNIX, target);
    PENSTOCK_INIT(options);
    options.terms = "clients";
    options.web_socket = PENSTOCK_WEB_SOCKET_BINARY;
    EXPECT(PENSTOCK_TERMS, penstock_tunnel(rig.engine, client[1], target[1], &options, NULL));
    CHECK(rig_is_open(client[1]) && rig_is_open(target[1]));
    close(client[0]), close(client[1]), close(target[0]), close(target[1]);
    rig_close(&rig);
}

/* What was read of a target before its TLS is somebody's between, and of whom nobody knows the name nothing can be proven. */
static void in_vain(void)
{
    struct rig rig;
    penstock_tunnel_options options;
    penstock_completion completion;
    int client[2], target[2];
    open_terms(&rig);
    rig_pair(AF_INET, client);
    rig_pair(AF_INET, target);
    PENSTOCK_INIT(options);
    options.terms = "targets";
    options.target_early = "RFB";
    options.target_early_length = 3;
    EXPECT(PENSTOCK_TERMS, penstock_tunnel(rig.engine, client[1], target[1], &options, NULL));
    rig_explained("target_early");
    options.terms = "nameless";
    options.target_early = NULL;
    options.target_early_length = 0;
    EXPECT(PENSTOCK_TERMS, penstock_tunnel(rig.engine, client[1], target[1], &options, NULL));
    rig_explained("server_name");
    options.target_name = "vm 7";
    EXPECT(PENSTOCK_TERMS, penstock_tunnel(rig.engine, client[1], target[1], &options, NULL));
    CHECK(rig_is_open(client[1]) && rig_is_open(target[1]));
    options.target_name = "vm7.example:5900";
    EXPECT(PENSTOCK_OK, penstock_tunnel(rig.engine, client[1], target[1], &options, NULL));
    close(client[0]), close(target[0]);
    rig_next(&rig, &completion);
    rig_close(&rig);
}

/* Towards a target, verified by its name. */
static void targets(void)
{
    char place[64];
    const char *arguments[] = {"openssl", "s_server", "-quiet", "-naccept", "1", "-cert",
                               cert,      "-key",     key,      "-accept",  place, NULL};
    struct rig rig;
    penstock_tunnel_options options;
    penstock_completion completion;
    penstock_counts counts;
    struct program program;
    int port = rig_free_port(), pair[2], client[2], connection = -1, tries;
    PENSTOCK_INIT(counts);
    open_terms(&rig);
    snprintf(place, sizeof place, "127.0.0.1:%d", port);
    rig_pair(AF_UNIX, pair);
    program.pid = start((char *const *)arguments, pair[1]);
    close(pair[1]);
    program.pipes = pair[0];
    for (tries = 0; connection < 0; tries++) {
        CHECK(tries < RIG_PATIENCE / 10);
        rig_sleep(10);
        connection = rig_try_connect(port);
    }
    rig_pair(AF_UNIX, client);
    PENSTOCK_INIT(options);
    options.terms = "targets";
    options.client_early = "read already\n";
    options.client_early_length = strlen("read already\n");
    EXPECT(PENSTOCK_OK, penstock_tunnel(rig.engine, client[1], connection, &options, NULL));
    rig_hear(program.pipes, "read already\n");
    rig_say(program.pipes, "from within\n");
    rig_hear(client[0], "from within\n");
    EXPECT(PENSTOCK_OK, penstock_metrics(rig.engine, &counts));
    CHECK(counts.handshakes[0] == 0 && counts.handshakes[1] == 1);
    close(client[0]);
    rig_next(&rig, &completion);
    close(program.pipes);
    await_end(program.pid);
    rig_close(&rig);
}

int main(int argc, char **argv)
{
    certificate();
    RUN(clients);
    RUN(what_is_no_tls);
    RUN(terms_that_can_not_be);
    RUN(in_vain);
    RUN(targets);
    remove_certificate();
    return 0;
}
