//! The demo console over real socketpairs, and what its page tells of a configuration.

use std::sync::Arc;

use penstock_core::config::{
    Address, Config, Console, ConsoleTarget, Destination, Door, Engine, Listener, Reach, Service,
    TokenSource, Tokens, UnixSocket, Web,
};
use penstock_core::policy::Rules;
use penstock_core::ring::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::*;

/// Patience of the tests.
const LIMIT: Duration = Duration::from_secs(60);

fn id() -> SessionId {
    SessionId { worker: 1, slot: 22, generation: 3 }
}

fn shell() -> Shell {
    let mut shell = Shell::new(id(), Instant::now());
    taken(&mut shell);
    shell
}

/// All that the shell has to say.
fn taken(shell: &mut Shell) -> String {
    let mut all = Vec::new();
    while !shell.output().is_empty() {
        all.extend(shell.output());
        shell.spoken(shell.output().len());
    }
    String::from_utf8(all).expect("UTF-8")
}

fn said(keys: &str) -> String {
    let mut shell = shell();
    shell.hear(keys.as_bytes());
    taken(&mut shell)
}

fn connect(consoles: &Consoles) -> UnixStream {
    let descriptor = consoles.open(id()).expect("a console");
    UnixStream::from_std(std::os::unix::net::UnixStream::from(descriptor)).expect("an event loop")
}

async fn until(stream: &mut UnixStream, end: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        let read = timeout(LIMIT, stream.read_buf(&mut all)).await.expect("in time");
        assert!(read.expect("open") > 0, "an early end: {:?}", String::from_utf8_lossy(&all));
    }
    String::from_utf8(all).expect("UTF-8")
}

#[tokio::test]
async fn it_greets_and_prompts_and_answers_and_ends() {
    let consoles = Consoles::new();
    let mut stream = connect(&consoles);
    assert!(until(&mut stream, "demo> ").await.contains("demo console"));
    stream.write_all(b"who\r").await.expect("room");
    let answer = until(&mut stream, "demo> ").await;
    assert_eq!(answer, "who\r\nyou are on session 1-22-3\r\ndemo> ");
    stream.write_all(b"exit\runread").await.expect("room");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.expect("an orderly end");
    assert!(rest.ends_with("Goodbye.\r\n"), "{rest:?}");
}

#[tokio::test]
async fn it_ends_when_its_peer_does() {
    let consoles = Consoles::new();
    let mut stream = connect(&consoles);
    stream.write_all(b"echo last\r").await.expect("room");
    stream.shutdown().await.expect("open");
    let mut rest = String::new();
    timeout(LIMIT, stream.read_to_string(&mut rest)).await.expect("an end").expect("in order");
    assert!(rest.contains("\r\nlast\r\n"), "{rest:?}");
    drop(connect(&consoles));
    while consoles.places.available_permits() < CONSOLES_MAX {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_flood_is_as_long_as_was_asked() {
    let consoles = Consoles::new();
    let mut stream = connect(&consoles);
    until(&mut stream, "demo> ").await;
    stream.write_all(b"flood 1000\r").await.expect("room");
    let all = until(&mut stream, "demo> ").await;
    let flood = all.strip_prefix("flood 1000\r\n").expect("an echo");
    let (flood, told) = flood.split_at(1000 << 10);
    assert!(flood.ends_with(" \r\n") && told.starts_with("1000 KiB in "), "{told:?}");
}

#[tokio::test]
async fn a_flood_that_is_not_read_waits_and_can_be_stopped() {
    let consoles = Consoles::new();
    let mut stream = connect(&consoles);
    until(&mut stream, "demo> ").await;
    stream.write_all(b"flood 16384\r").await.expect("room");
    sleep(Duration::from_millis(200)).await;
    stream.write_all(b"ignored\x03").await.expect("room");
    sleep(Duration::from_millis(50)).await;
    let all = until(&mut stream, "^C\r\ndemo> ").await;
    assert!(all.len() < 2 << 20, "{} bytes", all.len());
}

#[tokio::test]
async fn consoles_beyond_the_limit_are_refused() {
    let consoles = Consoles::new();
    let _held: Vec<_> = (0..CONSOLES_MAX).map(|_| connect(&consoles)).collect();
    assert_eq!(consoles.open(id()).expect_err("all are in use").errno, Errno::EAGAIN);
}

#[test]
fn keys_are_echoed_as_a_serial_line_does() {
    assert_eq!(said("echo a\r"), "echo a\r\na\r\ndemo> ");
    assert_eq!(said("\r\n\n"), "\r\ndemo> \r\ndemo> ");
    assert_eq!(said("ä\x7f\x08"), "ä\x08 \x08", "a character of two bytes is one");
    assert_eq!(said("abc\x15"), "abc\rdemo> \x1b[K");
    assert_eq!(said("abc\x03"), "abc^C\r\ndemo> ");
    assert_eq!(said("a\x1b[A\x1b[1;5C\x1bOPb"), "ab", "arrows and function keys mean nothing");
    assert_eq!(said("\t"), "\x07");
    assert!(said("\x04").ends_with("Goodbye.\r\n"));
    assert_eq!(said("a\x04"), "a\x07");
}

#[test]
fn commands_answer_in_lines_for_terminals() {
    for command in ["help", "date", "uptime", "colors", "who", "flood 1", "nonsense"] {
        let text = said(&format!("{command}\r"));
        assert!(text.ends_with("\r\ndemo> "), "{text:?}");
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{command}");
    }
    for bad in ["flood 0", "flood x", "flood 16385", "flood 99999999999"] {
        assert!(said(&format!("{bad}\r")).contains("a number of KiB"), "{bad}");
    }
    assert_eq!(commands::flood_line(7).len(), 64);
}

#[test]
fn a_line_and_its_output_are_bounded() {
    let mut shell = shell();
    for _ in 0..100_000 {
        if shell.takes_input() {
            shell.hear(b"x");
        }
    }
    assert!(!shell.takes_input() && shell.output().len() <= 9000, "{}", shell.output().len());
    shell.spoken(shell.output().len());
    shell.hear(b"\r");
    assert!(taken(&mut shell).len() < 400);
}

#[test]
fn commands_that_say_much_wait_until_that_was_taken() {
    for line in ["?\r", "colors\r", "\x0c", "echo a\r"] {
        let mut shell = shell();
        let keys = line.repeat(10_000);
        shell.hear(keys.as_bytes());
        assert!(!shell.takes_input() && shell.output().len() <= 10 << 10, "{line:?}");
        let prompts = taken(&mut shell).matches("demo> ").count();
        assert_eq!(prompts, 10_000, "{line:?}");
        assert!(shell.takes_input());
    }
    let mut shell = shell();
    shell.hear(("exit\r".to_owned() + &"?\r".repeat(1000)).as_bytes());
    assert!(shell.is_over() && shell.output().len() < 100);
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_left_after_a_minute_and_who_says_nothing_is_not() {
    let consoles = Consoles::new();
    let mut stream = connect(&consoles);
    until(&mut stream, "demo> ").await;
    sleep(10 * STALLED).await;
    stream.write_all(b"flood 16384\r").await.expect("it is there still");
    let begun = Moment::now();
    // Keys that are sent are no sign that anything is taken.
    while consoles.places.available_permits() < CONSOLES_MAX && begun.elapsed() < 2 * STALLED {
        let _ = stream.try_write(b"x");
        sleep(Duration::from_secs(1)).await;
    }
    let kept = begun.elapsed();
    assert!(kept > STALLED && kept < STALLED + Duration::from_secs(10), "{kept:?}");
}

#[tokio::test(start_paused = true)]
async fn who_takes_little_is_not_left() {
    let consoles = Consoles::new();
    let mut stream = connect(&consoles);
    until(&mut stream, "demo> ").await;
    stream.write_all(b"flood 16384\r").await.expect("room");
    let mut bytes = vec![0; 512 << 10];
    for _ in 0..12 {
        sleep(STALLED / 3).await;
        stream.read_exact(&mut bytes).await.expect("it goes on");
    }
    assert_eq!(consoles.places.available_permits(), CONSOLES_MAX - 1);
}

#[tokio::test(start_paused = true)]
async fn all_consoles_together_have_a_pace() {
    const SENT: usize = 4 << 20;
    for others in [0, 3] {
        let consoles = Consoles::new();
        let _others: Vec<_> = (0..others).map(|_| connect(&consoles)).collect();
        let (mut from, mut to) = connect(&consoles).into_split();
        let begun = Moment::now();
        let sending = tokio::spawn(async move {
            let keys = [b'x'; 64 << 10];
            for _ in 0..SENT / keys.len() {
                to.write_all(&keys).await.expect("open");
            }
            to
        });
        let mut echoed = 0;
        let mut bytes = vec![0; 64 << 10];
        while echoed < SENT {
            echoed += from.read(&mut bytes).await.expect("open");
        }
        // As much is heard as is said.
        let expected = (1 + others as u32) * PAUSE * (2 * SENT / BURST - 2) as u32;
        assert!(begun.elapsed() >= expected, "{:?} for {expected:?}", begun.elapsed());
        sending.await.expect("it ended");
    }
}

#[test]
fn any_split_of_the_keys_shows_the_same() {
    let keys = "echo ä\x1b[3~b\x7fc\r\nab\x03who\r\x04".as_bytes();
    let shown = |size| {
        let mut shell = shell();
        let pieces = keys.chunks(size).map(|piece| {
            shell.hear(piece);
            let taken = shell.output().to_vec();
            shell.spoken(taken.len());
            taken
        });
        pieces.collect::<Vec<_>>().concat()
    };
    let whole = shown(keys.len());
    for size in 1..8 {
        assert_eq!(shown(size), whole, "{size}");
    }
}

fn listener(name: &str, port: u16, service: Service) -> Listener {
    let address = Address::Tcp(([0, 0, 0, 0], port).into());
    Listener::new(name, vec![address], service, Rules::default())
}

fn destination(text: &str) -> Destination {
    Destination { text: text.into(), readonly: false, reach: Reach::Door(Arc::new(Door::Demo)) }
}

fn console(to: ConsoleTarget, web: Option<Web>) -> Service {
    Service::Console(Box::new(Console { web: web.map(Arc::new), ..Console::new(to) }))
}

#[test]
fn what_is_served_is_told_escaped_and_without_secrets() {
    let source = TokenSource::Redis {
        host: "redis-canary".into(),
        port: 6379,
        database: 0,
        password: Some("password-canary".into()),
        namespace: None,
    };
    let tokens =
        Tokens { source, timeout: LIMIT, single_use: false, bind_client: false, expiry: None };
    let mut local = listener("<b>\"local\"", 1, Service::Forward(destination("tcp://a&b:5900")));
    local.addresses = vec![Address::Unix(UnixSocket {
        path: "/run/x".into(),
        mode: 0o600,
        owner: None,
        group: None,
    })];
    let by_token = console(ConsoleTarget::Tokens(tokens.into()), Some(Web::Directory("/w".into())));
    let demo = console(ConsoleTarget::Fixed(destination("demo:")), Some(Web::Demo));
    let listeners = vec![
        listener("spice-proxy", 3128, Service::Connect),
        local,
        listener("by-token", 6081, by_token),
        listener("demo", 6080, demo),
        listener("libvirt", 16509, Service::Forward(destination("qemu:///system"))),
    ];
    let rows = served::rows(&Config { engine: Engine::default(), listeners });
    assert!(!rows.contains("canary") && !rows.contains("<b>"), "{rows}");
    for told in [
        "&lt;b&gt;&quot;local&quot;",
        "forwards to tcp://a&amp;b:5900",
        "socat - UNIX-CONNECT:/run/x",
        "SPICE_PROXY=http://HOST:3128 remote-viewer",
        "http://HOST:6081/vnc.html?path=%3Ftoken%3DTOKEN",
        "http://HOST:6080/<",
        "virsh -c qemu+tcp://HOST:16509/system list",
    ] {
        assert!(rows.contains(told), "{told} in {rows}");
    }
}
