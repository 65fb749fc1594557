//! VNC through nova's proxy and ours: who is let in without a password, and by which name a server is recognised.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use penstock_tests::loopback;
use penstock_tests::web_socket::{BINARY, CLOSE, Client, frame, request};

use crate::cell::{BOTH, Cell, LIMIT, Proxy, Server, Whose, Wish};

const VERSION: &[u8; 12] = b"RFB 003.008\n";

/// A server that offers one kind of security, lets everybody in, and says its name.
fn server(security: u8, name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((loopback::address(), 5900)).expect("an address of ours");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Who is not let in goes in the middle of it.
            std::thread::spawn(move || serve(stream, security, name));
        }
    });
    address
}

fn serve(mut stream: TcpStream, security: u8, name: &str) -> io::Result<()> {
    stream.write_all(VERSION)?;
    stream.read_exact(&mut [0; 12])?;
    stream.write_all(&[1, security])?;
    stream.read_exact(&mut [0; 1])?;
    stream.write_all(&[0; 4])?;
    stream.read_exact(&mut [0; 1])?;
    stream.write_all(&[[0; 20].as_slice(), &(name.len() as u32).to_be_bytes()].concat())?;
    stream.write_all(name.as_bytes())?;
    io::copy(&mut stream, &mut io::sink()).map(|_| ())
}

/// A browser's noVNC, as far as the name of the screen.
struct Viewer {
    client: Client,
    bytes: Vec<u8>,
}

impl Viewer {
    /// The next bytes; none: it is over.
    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.bytes.len() < count {
            let frame = self.client.frame().ok().filter(|frame| frame.first != CLOSE)?;
            if frame.first == BINARY {
                self.bytes.extend(frame.payload);
            }
        }
        Some(self.bytes.drain(..count).collect())
    }

    fn say(&mut self, bytes: &[u8]) -> Option<()> {
        self.client.try_say(&frame(BINARY, bytes)).ok()
    }

    /// The screen's name, if it comes so far.
    fn name(&mut self) -> Option<String> {
        assert_eq!(self.take(12)?, VERSION);
        self.say(VERSION)?;
        let count = usize::from(self.take(1)?[0]);
        let offered = self.take(count)?;
        if count == 0 {
            return None;
        }
        assert_eq!(offered, [1], "nobody is asked for a password");
        self.say(&[1])?;
        if self.take(4)? != [0; 4] {
            return None;
        }
        self.say(&[1])?;
        let length = self.take(24)?[20..].try_into().expect("four bytes");
        let name = self.take(u32::from_be_bytes(length) as usize)?;
        String::from_utf8(name).ok()
    }
}

/// What a browser sees.
fn seen(server: &Server, token: &str) -> Option<String> {
    let mut client = Client::dial(server.address, None).expect("it listens");
    client.patience(LIMIT);
    let lines = "Origin: http://gate.example\r\n";
    client.upgrade(&request("gate.example", &format!("/websockify?token={token}"), lines));
    Viewer { client, bytes: Vec::new() }.name()
}

#[test]
fn a_server_lets_in_by_what_is_allowed_and_says_the_instance_s_name() {
    let cell = Cell::new(None, "");
    let own = "QEMU (instance-00000001)";
    let wish = |at| Wish { base: "http://gate.example/vnc.html", ..Wish::new("novnc", at) };
    let wishes = [(1, own), (2, own), (1, "QEMU (instance-00000009)")];
    let made = cell.authorize(&wishes.map(|(security, name)| wish(server(security, name))));
    assert_eq!(made[0].name, "instance-00000001");
    for whose in BOTH {
        let server = cell.serve(whose, Proxy::Novnc);
        assert_eq!(seen(&server, &made[0].token).as_deref(), Some(own), "{}", server.said());
        // A password is no scheme of nova's, and nothing is passed on that is not allowed.
        assert_eq!(seen(&server, &made[1].token), None, "{}", server.said());
        // nova has asked the compute service; here the instance is the third of the cell, and another one listens.
        let expected = if whose == Whose::Nova { Some(wishes[2].1) } else { None };
        assert_eq!(seen(&server, &made[2].token).as_deref(), expected, "{}", server.said());
    }
}
