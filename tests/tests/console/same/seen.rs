//! What a client and a target see, in words that don't depend on times, addresses or explanations.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use penstock_tests::connect::PATIENCE;
use penstock_tests::wait;
use penstock_tests::web_socket::{BINARY, CLOSE, Client, Frame, PING, PONG, TEXT, close, frame};
use socket2::SockRef;

use super::cases::{Case, Server, Target};

/// Nobody here takes longer to say what he has to say.
const QUIET: Duration = Duration::from_secs(3);
/// What the target has yet to be told is told by then.
const SETTLED: Duration = Duration::from_millis(60);
/// Asks whether all that was said before has been understood.
const MARK: &[u8] = b"are you there?";

/// Plays a case, and tells what was seen.
pub(super) fn see(server: SocketAddr, target: &TcpListener, case: &Case) -> String {
    let mut browser = Client::dial(server, None).expect("it listens");
    browser.patience(QUIET);
    browser.say(case.head.replace("SERVER", &server.to_string()).as_bytes());
    let (is_console, mut seen) = answer(&head(&mut browser));
    if !is_console {
        return seen;
    }
    // Its target is another one, where nobody is.
    if case.server == Server::Shut {
        tell(&mut browser, &mut seen);
        return seen;
    }
    let heard = play(accept(target), &mut browser, case, &mut seen);
    format!("{seen}; target: {heard}")
}

/// Up to the empty line, or all there is.
fn head(browser: &mut Client) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(browser.wire().read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Whether it is a console that is answered with, and the answer in words.
fn answer(head: &str) -> (bool, String) {
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let Some(status) = status else {
        let words = if head.is_empty() { "no answer" } else { "no HTTP" };
        return (false, words.to_owned());
    };
    let mut seen = status.to_owned();
    for line in head.lines() {
        match line.split_once(": ") {
            Some(("Sec-WebSocket-Protocol", name)) => seen += &format!(" {name}"),
            Some(("WWW-Authenticate", _)) => seen += " asks for a password",
            _ => {}
        }
    }
    (status == "101", seen)
}

/// The target's end of a console that stands, or will in a moment.
fn accept(target: &TcpListener) -> TcpStream {
    target.set_nonblocking(true).expect("a socket");
    let accepted = wait::until("the target is reached", PATIENCE, || target.accept().ok());
    let (stream, _) = accepted;
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(QUIET)).expect("a socket");
    stream
}

/// A console that stands: what the target hears.
fn play(mut target: TcpStream, browser: &mut Client, case: &Case, seen: &mut String) -> String {
    // From now on both ends are known to be there.
    target.write_all(b".").expect("an open stream");
    assert_eq!(browser.frame().expect("a frame").header, 2);
    browser.say(&case.say);
    match case.target {
        Target::Listens => {}
        Target::Says(words) => target.write_all(words.as_bytes()).expect("an open stream"),
        Target::Ends(words) => {
            target.write_all(words.as_bytes()).expect("an open stream");
            target.shutdown(Shutdown::Write).expect("an open stream");
        }
        Target::Resets => {
            SockRef::from(&target).set_linger(Some(Duration::ZERO)).expect("a socket");
            drop(target);
            tell(browser, seen);
            return "gone".to_owned();
        }
    }
    if case.leaves {
        let _ = browser.socket().shutdown(Shutdown::Write);
    } else if matches!(case.target, Target::Listens | Target::Says(_)) {
        let _ = browser.try_say(&frame(PING, MARK));
    }
    tell(browser, seen);
    let mut heard = Vec::new();
    let end = target.read_to_end(&mut heard);
    let still = if end.is_err() { ", still open" } else { "" };
    quoted(&heard) + still
}

/// Listens to the end. Who has understood all that was said is told to close.
fn tell(browser: &mut Client, seen: &mut String) {
    let mut has_left = false;
    loop {
        match browser.try_next() {
            Ok(Some(Frame { first: PONG, payload, .. })) if payload == MARK => {
                // websockify drops what it has yet to pass on when it is told to close.
                std::thread::sleep(SETTLED);
                let _ = browser.try_say(&close(1000, ""));
                has_left = true;
            }
            Ok(Some(frame)) if frame.first == CLOSE => {
                if !has_left {
                    let code = frame.close().0.map_or(String::new(), |code| format!(" {code}"));
                    *seen += &format!(", close{code}");
                    let _ = browser.try_say(&close(1000, ""));
                    has_left = true;
                }
            }
            Ok(Some(frame)) => *seen += &format!(", {}", words(&frame)),
            Ok(None) => break *seen += if has_left { "" } else { ", end without close" },
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                break *seen += if has_left { ", stays open" } else { ", silence" };
            }
            Err(_) => break *seen += if has_left { "" } else { ", end without close" },
        }
    }
}

fn words(frame: &Frame) -> String {
    let kind = match frame.first {
        BINARY => "data",
        TEXT => "text",
        PING => "ping",
        PONG => "pong",
        _ => return format!("frame {:#x}", frame.first),
    };
    format!("{kind} {}", quoted(&frame.payload))
}

/// Long ones by their length.
fn quoted(bytes: &[u8]) -> String {
    match bytes.len() {
        0 => "nothing".to_owned(),
        1..=30 => format!("\"{}\"", bytes.escape_ascii()),
        more => format!("{more} bytes"),
    }
}
