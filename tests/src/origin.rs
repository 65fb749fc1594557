//! A server for the far end of a tunnel. Each connection begins with one line that says what it wants:
//!
//! ```text
//! echo                  gives back what comes, until the client finishes
//! send SEED LENGTH      sends that much of a pattern, then waits for the client to finish
//! flood                 sends as fast as it can, without end
//! ```

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::stream::Pattern;

/// Starts an origin in this process, on 127.0.0.1; it serves until the process ends.
///
/// # Panics
/// When no port is free.
pub fn start() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    thread::spawn(move || serve(&listener));
    address
}

/// Serves each connection on a thread of its own, for ever.
pub fn serve(listener: &TcpListener) {
    for stream in listener.incoming().filter_map(Result::ok) {
        // The stack only holds a buffer or two: thousands of these threads must fit.
        let thread = thread::Builder::new().stack_size(256 << 10);
        // A client that goes away in the middle is what many tests are about.
        thread.spawn(move || drop(answer(stream))).expect("a thread");
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let wish = line(&mut stream)?;
    match *wish.split(' ').collect::<Vec<_>>() {
        ["echo"] => io::copy(&mut stream.try_clone()?, &mut stream).map(drop),
        ["send", seed, length] => {
            let (seed, length) = (number(seed)?, number(length)?);
            Pattern::new(seed).send(&mut stream, length)?;
            io::copy(&mut stream, &mut io::sink()).map(drop)
        }
        ["flood"] => {
            // Hundreds of floods that nobody reads are to fill the buffers of the proxy, not the kernel's memory for TCP.
            socket2::SockRef::from(&stream).set_send_buffer_size(256 << 10)?;
            loop {
                stream.write_all(&[b'.'; 64 << 10])?;
            }
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn line(stream: &mut TcpStream) -> io::Result<String> {
    let (mut line, mut byte) = (String::new(), [0]);
    loop {
        stream.read_exact(&mut byte)?;
        match byte[0] {
            b'\n' => return Ok(line),
            other => line.push(other.into()),
        }
    }
}

fn number(text: &str) -> io::Result<u64> {
    text.parse().map_err(|_| io::ErrorKind::InvalidInput.into())
}
