//! One end of a tunnel, in the clear or with TLS of rustls' own: what it sends, what it hears, and how the stream ended.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use penstock_tests::stream::fill;
use rustls::Connection;

/// No read or write takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    /// With close_notify; in the clear, with FIN.
    InOrder,
    /// TLS without close_notify.
    Truncated,
    /// By a reset.
    Reset,
}

/// See the module.
pub(crate) struct End {
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Connection>,
}

impl End {
    /// An end in the clear.
    pub(crate) fn plain(socket: Socket) -> End {
        End { socket, tls: None }.patient()
    }

    /// An end with TLS, once hands are shaken.
    pub(crate) fn tls(socket: Socket, connection: impl Into<Connection>) -> io::Result<End> {
        let mut end = End { socket, tls: Some(connection.into()) }.patient();
        let connection = end.tls.as_mut().expect("just put there");
        while connection.is_handshaking() {
            connection.complete_io(&mut end.socket)?;
        }
        Ok(end)
    }

    fn patient(self) -> End {
        match &self.socket {
            Socket::Tcp(socket) => {
                socket.set_nodelay(true).expect("a socket");
                socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
                socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
            }
            Socket::Unix(socket) => {
                socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
                socket.set_write_timeout(Some(PATIENCE)).expect("a socket");
            }
        }
        self
    }

    /// Sends all of it.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.try_say(bytes).expect("an open stream");
    }

    /// Sends all of it, if the other side lets us.
    pub(crate) fn try_say(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(connection) = &mut self.tls else { return self.socket.write_all(bytes) };
        for piece in bytes.chunks(16 << 10) {
            connection.writer().write_all(piece)?;
            flush(connection, &mut self.socket)?;
        }
        Ok(())
    }

    /// The next `length` bytes.
    pub(crate) fn hear(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut heard = 0;
        while heard < length {
            let n = self.take(&mut bytes[heard..]);
            let n = n.unwrap_or_else(|e| panic!("after {heard} of {length} bytes: {e}"));
            assert!(n > 0, "ended after {heard} of {length} bytes");
            heard += n;
        }
        bytes
    }

    /// All that still comes, and how it ends.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Ending) {
        let (mut all, mut piece) = (Vec::new(), vec![0; 16 << 10]);
        loop {
            match self.take(&mut piece) {
                Ok(0) => return (all, Ending::InOrder),
                Ok(n) => all.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return (all, Ending::Truncated),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return (all, Ending::Reset),
                Err(e) => panic!("no end after {} bytes: {e}", all.len()),
            }
        }
    }

    /// Why nothing more can be heard, after whatever can.
    pub(crate) fn failure(&mut self) -> String {
        let mut piece = vec![0; 16 << 10];
        loop {
            match self.take(&mut piece) {
                Ok(0) => return "an end in order".to_owned(),
                Ok(_) => {}
                Err(e) => return e.to_string(),
            }
        }
    }

    /// The same, if it is known by now; of who says nothing.
    pub(crate) fn failure_so_far(&mut self) -> Option<String> {
        self.socket.set_nonblocking(true);
        let result = self.take(&mut [0]);
        self.socket.set_nonblocking(false);
        match result {
            Ok(0) => Some("an end in order".to_owned()),
            Ok(_) => panic!("nothing was to be said"),
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(e) => Some(e.to_string()),
        }
    }

    fn take(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let Some(connection) = &mut self.tls else { return self.socket.read(to) };
        loop {
            match connection.reader().read(to) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            connection.read_tls(&mut self.socket)?;
            connection.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Says that no more follows, and leaves the connection as it is.
    pub(crate) fn say_last(&mut self) {
        if let Some(connection) = &mut self.tls {
            connection.send_close_notify();
            flush(connection, &mut self.socket).expect("an open stream");
        }
    }

    /// Ends in order: the last word, if there is one, and FIN.
    pub(crate) fn finish(&mut self) {
        self.say_last();
        self.cut();
    }

    /// FIN alone.
    pub(crate) fn cut(&mut self) {
        match &self.socket {
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write).expect("an open stream"),
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write).expect("an open stream"),
        }
    }

    /// RST.
    pub(crate) fn reset(self) {
        self.reset_on_drop();
    }

    /// RST, when the time has come.
    pub(crate) fn reset_on_drop(&self) {
        if let Socket::Tcp(socket) = &self.socket {
            socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO)).expect("a socket");
        }
    }

    /// Sends `length` bytes of one pattern and at the same time hears as many of another.
    pub(crate) fn exchange(&mut self, ours: u64, theirs: u64, length: usize) {
        self.socket.set_nonblocking(true);
        let (mut said, mut heard) = (0, 0);
        let (mut piece, mut expected) = (vec![0; 64 << 10], vec![0; 64 << 10]);
        while said < length || heard < length || self.has_more_to_send() {
            let room = 16 << 10;
            if said < length && !self.has_more_to_send() {
                let piece = &mut piece[..room.min(length - said)];
                fill(ours, said as u64, piece);
                said += self.offer(piece);
            }
            self.flush_some();
            while let Some(n) = self.take_now(&mut piece) {
                let expected = &mut expected[..n];
                fill(theirs, heard as u64, expected);
                assert!(piece[..n] == *expected, "wrong within {n} bytes after {heard}");
                heard += n;
            }
            let writes = said < length || self.has_more_to_send();
            self.socket.wait(writes);
        }
        assert_eq!(heard, length, "more than was said");
        self.socket.set_nonblocking(false);
    }

    fn has_more_to_send(&self) -> bool {
        self.tls.as_ref().is_some_and(|connection| connection.wants_write())
    }

    fn offer(&mut self, bytes: &[u8]) -> usize {
        let result = match &mut self.tls {
            Some(connection) => connection.writer().write(bytes),
            None => self.socket.write(bytes),
        };
        match result {
            Err(e) if e.kind() == ErrorKind::WouldBlock => 0,
            result => result.expect("an open stream"),
        }
    }

    fn flush_some(&mut self) {
        let Some(connection) = &mut self.tls else { return };
        while connection.wants_write() {
            match connection.write_tls(&mut self.socket) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                result => drop(result.expect("an open stream")),
            }
        }
    }

    /// What is there already; none: nothing yet.
    fn take_now(&mut self, to: &mut [u8]) -> Option<usize> {
        match self.take(to) {
            Ok(0) => panic!("an end before all was heard"),
            Ok(n) => Some(n),
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(e) => panic!("{e}"),
        }
    }
}

fn flush(connection: &mut Connection, socket: &mut Socket) -> io::Result<()> {
    while connection.wants_write() {
        connection.write_tls(socket)?;
    }
    Ok(())
}

impl Socket {
    fn set_nonblocking(&self, on: bool) {
        match self {
            Socket::Tcp(socket) => socket.set_nonblocking(on).expect("a socket"),
            Socket::Unix(socket) => socket.set_nonblocking(on).expect("a socket"),
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }

    fn wait(&self, writes: bool) {
        let also = if writes { PollFlags::POLLOUT } else { PollFlags::empty() };
        let mut ready = [PollFd::new(self.descriptor(), PollFlags::POLLIN | also)];
        // Whoever has just sent all, and heard all, waits in vain.
        poll(&mut ready, PollTimeout::from(100_u8)).expect("a descriptor");
    }
}

impl Read for Socket {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.read(to),
            Socket::Unix(socket) => socket.read(to),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => socket.write(bytes),
            Socket::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
