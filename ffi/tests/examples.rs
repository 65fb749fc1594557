//! What is printed for readers compiles and runs as it stands: the program in the README, and those in `examples`.

mod installed;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use installed::{C, Compiler, home, linking, made, prefix, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const SANITIZED: Compiler = Compiler {
    words: &["cc", "-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    language: "c",
};

/// Starts what the header's configuration says, and hands a tunnel over on its terms.
const CONFIGURED: &str = r#"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <penstock.h>

static uint32_t nobody(penstock_engine engine, const penstock_request *request, void *context)
{
    (void)engine, (void)request, (void)context;
    return PENSTOCK_VERDICT_DENY;
}

static int failed(void)
{
    char words[512];
    penstock_last_error(words, sizeof words);
    puts(words);
    return 1;
}

int main(int argc, char **argv)
{
    static char text[8192];
    penstock_engine engine;
    penstock_tunnel_options options;
    int client[2], target[2];
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    size_t length = file ? fread(text, 1, sizeof text, file) : 0;
    PENSTOCK_INIT(options);
    options.terms = "to-servers";
    options.target_name = "server.example:5900";
    if (penstock_create_from_toml(text, length, NULL, &engine) != PENSTOCK_OK
        || penstock_on_authorise(engine, nobody, NULL) != PENSTOCK_OK || penstock_start(engine) != PENSTOCK_OK
        || penstock_listener_address(engine, "viewers", 0, text, sizeof text) != PENSTOCK_OK)
        return failed();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, client) != 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, target) != 0)
        return 2;
    if (penstock_tunnel(engine, client[1], target[1], &options, NULL) != PENSTOCK_OK)
        return failed();
    /* It speaks TLS with the target: a ClientHello. */
    if (recv(target[0], text, 1, 0) != 1 || text[0] != 22)
        return 3;
    return penstock_free(engine);
}
"#;

/// A program that never outlives the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.stdout(Stdio::piped()).spawn().expect("a program"))
    }

    /// Ends it in order; all that it had written. It must answer 0.
    fn end(mut self) -> String {
        kill(Pid::from_raw(self.0.id() as i32), Signal::SIGTERM).expect("it lives");
        let mut said = String::new();
        let output = self.0.stdout.as_mut().expect("a pipe");
        output.read_to_string(&mut said).expect("text");
        let status = self.0.wait().expect("an end");
        assert!(status.success(), "{status}: {said}");
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody else takes: by the process id, below those that the kernel gives to whoever asks for any.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + (process::id() % 1250) as u16 * 16;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut fresh = (0..16).map(|_| NEXT.fetch_add(1, Relaxed)).take_while(|n| *n < 16);
    fresh.find_map(|n| Some(first + n).filter(is_free)).expect("a port")
}

fn connect(port: u16) -> TcpStream {
    for _ in 0..500 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
            return stream;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("nobody listens on port {port}");
}

/// An origin that hears a whole stream, and then says what it has heard.
fn echo_at_the_end() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut heard) = (stream.expect("a client"), Vec::new());
            thread::spawn(move || {
                stream.read_to_end(&mut heard).expect("a stream");
                stream.write_all(&heard).expect("sent");
            });
        }
    });
    port
}

fn example(compiler: Compiler, name: &str) -> PathBuf {
    // Tests run at the same time, and each compiles for itself.
    let test = thread::current().name().unwrap_or("example").to_owned();
    let program = made("examples").join(test);
    let source = home().join("examples").join(name).with_extension("c");
    compiler.compile(&[source], &program, &linking(&["--libs"]));
    program
}

/// Sends all of it, and its end; what comes back until the stream ends.
fn exchange(mut stream: TcpStream, said: &[u8]) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut other = stream.try_clone().expect("a duplicate");
    let said = said.to_vec();
    let writer = thread::spawn(move || {
        other.write_all(&said).expect("sent");
        other.shutdown(Shutdown::Write).expect("an end");
    });
    stream.read_to_end(&mut heard).expect("heard");
    writer.join().expect("sent");
    heard
}

fn status_of(answer: &[u8]) -> &str {
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    std::str::from_utf8(line).unwrap_or_default()
}

#[test]
fn the_readme_compiles_and_runs_as_printed() {
    let readme = home().join("../README.md");
    let readme = fs::read_to_string(readme).expect("README.md");
    let (_, code) = readme.split_once("\n```c\n").expect("a program in C");
    let (code, _) = code.split_once("\n```\n").expect("its end");
    let folder = made("readme");
    fs::write(folder.join("hello.c"), code).expect("a source");
    C.compile(&[folder.join("hello.c")], &folder.join("hello"), &linking(&["--libs"]));
    let said = run(&mut Command::new(folder.join("hello")));
    assert_eq!(said, "hello\nfinished, 5 bytes to the target\n");
}

/// The lines of its first comment that are set off below these words.
fn printed_in_the_header(words: &str) -> String {
    let header = fs::read_to_string(home().join("include/penstock.h")).expect("penstock.h");
    let (_, rest) = header.split_once(words).expect("what is printed");
    let lines = rest.lines().skip(1).map(|line| line.trim_start_matches(" *"));
    let printed = lines.take_while(|line| line.is_empty() || line.starts_with("     "));
    printed.map(|line| format!("{}\n", line.trim())).collect()
}

/// As PEM: ca, cert and key.
fn certificates(folder: &Path) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-subj", "/CN=localhost", "-days", "2"]);
    run(openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(folder));
    fs::copy(folder.join("cert.pem"), folder.join("ca.pem")).expect("a copy");
}

/// With certificates and a port of ours in their places.
#[test]
fn the_headers_configuration_starts() {
    let folder = made("configuration");
    certificates(&folder);
    let printed = printed_in_the_header("A configuration, for penstock_create_from_toml():\n");
    let ours = printed.replace("/etc/penstock/", &format!("{}/", folder.display()));
    let text = ours.replace("0.0.0.0:3128", &format!("127.0.0.1:{}", free_port()));
    assert!(text.matches("[[listen]]").count() == 2 && ours != printed && text != ours, "{text}");
    fs::write(folder.join("penstock.toml"), text).expect("written");
    fs::write(folder.join("configured.c"), CONFIGURED).expect("a source");
    let program = folder.join("configured");
    C.compile(&[folder.join("configured.c")], &program, &linking(&["--libs"]));
    run(Command::new(&program).arg(folder.join("penstock.toml")));
}

/// By the command in its first line, and by the environment.
#[test]
fn the_makefile_makes_both() {
    let folder = made("make");
    run(Command::new("cp").arg("-rT").arg(home().join("examples")).arg(&folder));
    let makefile = fs::read_to_string(folder.join("Makefile")).expect("a Makefile");
    let printed = makefile.lines().next().and_then(|line| line.strip_prefix("# make "));
    let place = format!("PKG_CONFIG_PATH={}", prefix().join("lib/pkgconfig").display());
    let as_printed =
        printed.expect("a command").replace("PKG_CONFIG_PATH=/opt/penstock/lib/pkgconfig", &place);
    for (program, word) in [("make", &*as_printed), ("env", &*format!("{place} make"))] {
        let mut make = Command::new(program);
        make.env_remove("PKG_CONFIG_PATH").current_dir(&folder);
        run(make.args(word.split(' ')).arg("--always-make"));
        for program in ["relay", "connect_proxy"] {
            fs::remove_file(folder.join(program)).expect("made");
        }
    }
}

#[test]
fn the_relay_relays() {
    let (port, origin) = (free_port(), echo_at_the_end());
    let mut command = Command::new(example(C, "relay"));
    command.args(["127.0.0.1", &port.to_string(), "127.0.0.1", &origin.to_string()]);
    let _relay = Running::start(&mut command);
    let sent: Vec<u8> =
        (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    connect(port);
    for _ in 0..3 {
        assert!(exchange(connect(port), &sent) == sent);
    }
}

fn connect_head(port: u16) -> String {
    format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n")
}

/// What it answers to a request, and the rest of its answer.
fn asked(proxy: u16, request: &str) -> String {
    let answer = exchange(connect(proxy), request.as_bytes());
    status_of(&answer).to_owned()
}

fn connect_proxy(program: &Path) -> (Running, u16) {
    let port = free_port();
    let mut command = Command::new(program);
    (Running::start(command.args(["127.0.0.1", &port.to_string()])), port)
}

#[test]
fn the_proxy_serves_refuses_and_ends() {
    let (proxy, port) = connect_proxy(&example(SANITIZED, "connect_proxy"));
    let origin = echo_at_the_end();
    // Behind its request, a client may have sent more already.
    let head = connect_head(origin);
    let answer = exchange(connect(port), format!("{head}early").as_bytes());
    assert_eq!(
        String::from_utf8_lossy(&answer),
        "HTTP/1.1 200 Connection established\r\n\r\nearly"
    );
    // In pieces.
    let mut stream = connect(port);
    for piece in head.as_bytes().chunks(7) {
        stream.write_all(piece).expect("sent");
        thread::sleep(Duration::from_millis(5));
    }
    let mut reader = BufReader::new(stream.try_clone().expect("a duplicate"));
    let mut line = String::new();
    reader.read_line(&mut line).expect("an answer");
    assert_eq!(line, "HTTP/1.1 200 Connection established\r\n");

    assert_eq!(asked(port, "GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(asked(port, "CONNECT nowhere HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(asked(port, "CONNECT [::1:5 HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 Bad Request");
    assert_eq!(asked(port, &connect_head(free_port())), "HTTP/1.1 503 Service Unavailable");
    let long = format!("CONNECT x:1 HTTP/1.1\r\nA: {}", "a".repeat(8192 - 25));
    assert_eq!(asked(port, &long), "HTTP/1.1 431 Request Header Fields Too Large");
    // Some leave before they are served.
    drop(connect(port));
    connect(port).write_all(b"CONN").expect("sent");
    let said = proxy.end();
    let ends: Vec<&str> = said.lines().collect();
    assert_eq!(ends.len(), 2, "{said}");
    assert!(ends[0].contains("finished by") && ends[0].contains(" 5 bytes out, 5 in"), "{said}");
    assert!(ends[1].contains("drained by penstock"), "{said}");
}

/// Descriptors are back when tunnels have ended.
#[test]
fn the_proxy_leaves_nothing_behind() {
    let (proxy, port) = connect_proxy(&example(C, "connect_proxy"));
    let folder = format!("/proc/{}/fd", proxy.0.id());
    let descriptors = || fs::read_dir(&folder).expect("its descriptors").count();
    let (origin, mut before) = (echo_at_the_end(), 0);
    for round in 0..600 {
        let answer = exchange(connect(port), connect_head(origin).as_bytes());
        assert_eq!(status_of(&answer), "HTTP/1.1 200 Connection established");
        if round == 100 {
            before = descriptors();
        }
    }
    let is_back = |_| {
        thread::sleep(Duration::from_millis(20));
        descriptors() <= before
    };
    assert!((0..500).any(is_back), "{} descriptors, {before} before", descriptors());
    assert_eq!(proxy.end().lines().count(), 600);
}
