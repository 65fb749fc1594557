//! A service of the test's own: one thread for each connection, which does with it what the test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use penstock_tests::loopback;

/// Serves until the test ends; what has been read of a connection is a whole head, or whatever came first.
pub(crate) fn start(serve: impl Fn(&str, &mut TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((loopback::address(), 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let serve = serve.clone();
            std::thread::spawn(move || serve(&head(&mut stream), &mut stream));
        }
    });
    address
}

/// A request's head; of others, the first that comes.
fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        head.extend_from_slice(&piece[..read]);
        let is_http = head.starts_with(b"GET /");
        if read == 0 || !is_http || head.windows(4).any(|end| end == b"\r\n\r\n") {
            return String::from_utf8_lossy(&head).into_owned();
        }
    }
}

/// Who asked may be gone.
pub(crate) fn say(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

/// A whole answer.
pub(crate) fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let length = body.len();
    say(stream, format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes());
}
