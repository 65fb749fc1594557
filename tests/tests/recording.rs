//! Recordings by the real daemon: what passed is in the file, exactly and in order, and a file that can't be written holds up nobody.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

use penstock_tests::{Driver, Setup, both_drivers, loopback, process, wait};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

both_drivers! {
    a_console_is_recorded_as_websockify_does,
    a_serial_console_without_browser_is_recorded_for_terminals,
    what_cannot_be_recorded_goes_on_and_is_counted,
}

/// Bytes of every kind, more than splicing would wait for.
const BULK: usize = 1 << 20;

fn echoes() -> SocketAddr {
    let listener = TcpListener::bind((loopback::address(), 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut from = stream.try_clone().expect("a descriptor");
                let _ = std::io::copy(&mut from, &mut &stream);
            });
        }
    });
    address
}

fn setup(driver: Driver, service: &str, record: &Path, format: &str) -> (Setup, SocketAddr) {
    let setup = Setup::without_listeners(driver);
    let address = SocketAddr::new(setup.address(), 6080);
    let (target, record) = (echoes(), record.display());
    let lines = format!(
        "name = \"c\"\naddress = \"{address}\"\nservice = \"{service}\"\ntarget = \"tcp://{target}\"\n\
         record = {{ path = \"{record}\", format = \"{format}\" }}"
    );
    (setup.listener(&lines), address)
}

fn browser(address: SocketAddr) -> WebSocket<TcpStream> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let head = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        said.push(byte[0]);
    }
    assert!(said.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&said));
    WebSocket::from_raw_socket(stream, Role::Client, None)
}

/// Says something, and hears it again.
fn talk(browser: &mut WebSocket<TcpStream>, bytes: &[u8]) {
    browser.send(Message::binary(bytes.to_vec())).expect("sent");
    let mut heard = Vec::new();
    while heard.len() < bytes.len() {
        heard.extend_from_slice(&browser.read().expect("an answer").into_data());
    }
    assert!(heard == bytes, "the echo differs");
}

/// What a recording of websockify's format says of one side.
fn said(text: &str, mark: char) -> Vec<u8> {
    let mut said = Vec::new();
    for line in
        text.lines().filter_map(|line| line.strip_prefix(['\'']).and_then(|l| l.strip_prefix(mark)))
    {
        let (_, data) = line.split_once(mark).expect("a time");
        let mut rest = data.strip_suffix("',").expect("an end").bytes();
        while let Some(byte) = rest.next() {
            said.push(match byte {
                b'\\' => match rest.next().expect("an escape") {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'x' => {
                        let digits =
                            [rest.next(), rest.next()].map(|digit| digit.expect("a digit"));
                        let digits = String::from_utf8(digits.to_vec()).expect("ASCII");
                        u8::from_str_radix(&digits, 16).expect("a number")
                    }
                    other => other,
                },
                plain => plain,
            });
        }
    }
    said
}

fn a_console_is_recorded_as_websockify_does(driver: Driver) {
    let dir = process::directory();
    let (setup, address) = setup(driver, "console", &dir.path().join("rec"), "websockify");
    let penstock = setup.start();
    let bulk: Vec<u8> = (0..BULK).map(|at| (at * 7 + at / 251) as u8).collect();
    let mut browser = browser(address);
    talk(&mut browser, b"it's \\ here\n");
    talk(&mut browser, &bulk);
    browser.close(None).expect("said");
    while browser.read().is_ok() {}
    assert_eq!(penstock.metric("penstock_bytes_total", &[("mover", "splice")]), 0.0);
    assert_eq!(penstock.metric("penstock_recordings_total", &[]), 1.0);
    let read = || fs::read_to_string(dir.path().join("rec.1")).expect("a recording");
    let ended = || read().ends_with("'EOF'];\n");
    wait::until_true("the recording has ended", Duration::from_secs(20), ended);
    let text = read();
    assert!(text.starts_with("var VNC_frame_data = [\n"));
    let expected = [b"it's \\ here\n", &bulk[..]].concat();
    assert!(said(&text, '}') == expected, "what the browser said");
    assert!(said(&text, '{') == expected, "what it heard");
}

fn a_serial_console_without_browser_is_recorded_for_terminals(driver: Driver) {
    let dir = process::directory();
    let (setup, address) = setup(driver, "forward", &dir.path().join("line"), "asciicast");
    let penstock = setup.start();
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all("grüße\r\n".as_bytes()).expect("sent");
    let mut heard = [0; 9];
    stream.read_exact(&mut heard).expect("an echo");
    drop(stream);
    penstock.records(1);
    assert!(penstock.stop().success());
    let text = fs::read_to_string(dir.path().join("line.1.cast")).expect("a recording");
    let events: Vec<serde_json::Value> =
        text.lines().skip(1).map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for code in ["i", "o"] {
        let of_it = events.iter().filter(|event| event[1] == code);
        let said: String = of_it.filter_map(|event| event[2].as_str()).collect();
        assert_eq!(said, "grüße\r\n", "{code} in {text}");
    }
}

fn what_cannot_be_recorded_goes_on_and_is_counted(driver: Driver) {
    let dir = process::directory();
    let (setup, address) = setup(driver, "console", &dir.path().join("rec"), "websockify");
    let penstock = setup.start();
    // Somebody clears away what was there at the start.
    drop(dir);
    let mut browser = browser(address);
    talk(&mut browser, &[7; BULK]);
    penstock.wait_for_metric("penstock_recordings_failed_total", &[], 1.0);
    assert_eq!(penstock.metric("penstock_recordings_total", &[]), 0.0);
    wait::until_true("it is told", Duration::from_secs(20), || {
        penstock.said().contains("a recording can't be written")
    });
}
