//! Two ends of the harness' own, in memory and over sockets: what arrives, what is noticed, and what goes by unopened.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::*;

fn terms() -> (Client, Server) {
    let keys = Keys::generate().unwrap();
    (Client::new(&keys).unwrap(), Server::new(&keys).unwrap())
}

/// Two ends of a connection.
fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    for socket in [&near, &far] {
        socket.set_nonblocking(true).unwrap();
        socket.set_nodelay(true).unwrap();
    }
    (near, far)
}

fn streams(client: &Client, server: &Server, resumes: bool) -> (Stream, Stream) {
    let (near, far) = sockets();
    let near = Stream::client(near, client, resumes).unwrap();
    (near, Stream::server(far, server, resumes).unwrap())
}

const SCRATCH: usize = 1 << 20;

/// Until something comes.
fn receive(stream: &mut Stream, scratch: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match stream.receive(scratch) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
}

fn shake((near, far): (&mut Stream, &mut Stream)) -> std::io::Result<()> {
    let mut scratch = vec![0; SCRATCH];
    near.start()?;
    while !(near.is_open() && far.is_open()) {
        for stream in [&mut *near, &mut *far] {
            match stream.receive(&mut scratch) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                other => panic!("{other:?}"),
            }
        }
    }
    Ok(())
}

fn pair() -> (Stream, Stream) {
    let (client, server) = terms();
    let (mut near, mut far) = streams(&client, &server, false);
    shake((&mut near, &mut far)).unwrap();
    (near, far)
}

#[test]
fn messages_of_every_size_arrive_both_ways() {
    let (mut near, mut far) = pair();
    let mut scratch = vec![0; SCRATCH];
    for length in [1, 2, 16_383, 16_384, 16_385, 100_000] {
        let message: Vec<u8> = (0..length).map(|i| (i * 7 % 251) as u8).collect();
        for turn in 0..2 {
            let (from, to) = match turn {
                0 => (&mut near, &mut far),
                _ => (&mut far, &mut near),
            };
            from.send(&message).unwrap();
            let mut received: Vec<u8> = Vec::new();
            while received.len() < message.len() {
                from.flush().unwrap();
                let length = receive(to, &mut scratch).unwrap();
                received.extend(&scratch[..length]);
            }
            assert!(received == message, "{length} bytes");
        }
    }
}

/// Nobody has opened a session before.
#[test]
fn a_session_is_taken_up_again_where_that_is_wanted_and_only_there() {
    let (client, server) = terms();
    let mut scratch = vec![0; SCRATCH];
    let mut resumed = |resumes| {
        let (mut near, mut far) = streams(&client, &server, resumes);
        shake((&mut near, &mut far)).unwrap();
        // Tickets come with the first answer.
        far.send(b"x").unwrap();
        assert_eq!(receive(&mut near, &mut scratch).unwrap(), 1);
        assert_eq!(near.resumed(), far.resumed());
        near.resumed()
    };
    let kinds = [false, false, true, true, true, false].map(&mut resumed);
    assert_eq!(kinds, [false, false, false, true, true, false].map(Some));
}

#[test]
fn another_certificate_is_refused() {
    let ((client, _), (_, server)) = (terms(), terms());
    let (mut near, mut far) = streams(&client, &server, false);
    near.start().unwrap();
    let mut scratch = vec![0; SCRATCH];
    far.receive(&mut scratch).unwrap_err();
    let error = receive(&mut near, &mut scratch).unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn who_speaks_no_tls_is_told() {
    let (near, mut far) = sockets();
    let (client, _) = terms();
    let mut near = Stream::client(near, &client, false).unwrap();
    near.start().unwrap();
    std::io::Write::write_all(&mut far, b"SSH-2.0-OpenSSH\r\n").unwrap();
    let error = receive(&mut near, &mut vec![0; SCRATCH]).unwrap_err();
    assert!(error.to_string().contains("no TLS: \"SSH-2.0"), "{error}");
}

#[test]
fn an_end_in_order_is_an_end() {
    let (mut near, mut far) = pair();
    near.send(b"last").unwrap();
    near.finish();
    let mut scratch = vec![0; SCRATCH];
    assert_eq!(receive(&mut far, &mut scratch).unwrap(), 4);
    drop(near);
    assert_eq!(receive(&mut far, &mut scratch).unwrap(), 0);
}

/// Takes the sealed bytes that one end sends, changes them, and hands them to the other.
struct Wire {
    near: Stream,
    far: Stream,
    /// Where `near` sends to, and where `far` receives from.
    ends: (TcpStream, TcpStream),
}

impl Wire {
    fn new() -> Wire {
        let (client, server) = terms();
        let ((near, near_end), (far_end, far)) = (sockets(), sockets());
        let mut near = Stream::client(near, &client, false).unwrap();
        let mut far = Stream::server(far, &server, false).unwrap();
        near.start().unwrap();
        let mut wire = Wire {
            near: Stream::plain(near_end.try_clone().unwrap()),
            far: Stream::plain(far_end.try_clone().unwrap()),
            ends: (near_end, far_end),
        };
        let mut scratch = vec![0; SCRATCH];
        while !(near.is_open() && far.is_open()) {
            wire.carry(|bytes| bytes);
            wire.carry_back();
            let _ = (near.receive(&mut scratch), far.receive(&mut scratch));
        }
        (wire.near, wire.far) = (near, far);
        wire
    }

    fn carry(&self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        carry(&self.ends.0, &self.ends.1, change);
    }

    fn carry_back(&self) {
        carry(&self.ends.1, &self.ends.0, |bytes| bytes);
    }
}

/// What is there now.
fn carry(mut from: &TcpStream, mut to: &TcpStream, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    use std::io::{Read, Write};
    let mut bytes = vec![0; SCRATCH];
    if let Ok(length) = from.read(&mut bytes) {
        bytes.truncate(length);
        to.write_all(&change(bytes)).unwrap();
    }
}

/// Bulk of full records, one by one, each changed by its number on its way, until the reader complains or has had 200 of them.
fn bulk(change: impl Fn(usize, Vec<u8>) -> Vec<u8>) -> (u64, Option<String>) {
    let mut wire = Wire::new();
    let mut scratch = vec![0; SCRATCH];
    let mut discarded = 0;
    for number in 0..200 {
        assert_eq!(wire.near.send_anything(1 << 14, &mut scratch).unwrap(), 1 << 14);
        wire.carry(|bytes| change(number, bytes));
        match wire.far.discard(&mut scratch) {
            Ok(length) => discarded += length as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return (discarded, Some(error.to_string())),
        }
    }
    (discarded, None)
}

#[test]
fn bulk_is_counted_to_the_byte_though_few_records_are_opened() {
    assert_eq!(bulk(|_, bytes| bytes), (200 << 14, None));
}

#[test]
fn a_lost_or_doubled_record_is_noticed_when_the_next_one_is_opened() {
    for (number, copies) in [(0, 0), (10, 2), (100, 0), (100, 2)] {
        let change = |n, bytes: Vec<u8>| match n == number {
            true => bytes.repeat(copies),
            false => bytes,
        };
        let (_, error) = bulk(change);
        let error = error.expect("a refusal");
        assert!(error.contains("altered"), "{number} came {copies} times: {error}");
    }
}

#[test]
fn an_altered_byte_is_noticed_in_what_is_opened() {
    let altered = |number| {
        move |n, mut bytes: Vec<u8>| {
            bytes[1000] ^= u8::from(n == number);
            bytes
        }
    };
    for opened in [0, 63, 64, 128] {
        assert!(bulk(altered(opened)).1.is_some(), "{opened}");
    }
    assert_eq!(bulk(altered(100)), (200 << 14, None));
}

#[test]
fn pieces_of_any_size_make_the_same_bulk() {
    let mut wire = Wire::new();
    let mut scratch = vec![0; SCRATCH];
    let mut discarded = 0;
    for number in 0..150 {
        wire.near.send_anything(20_000, &mut scratch).unwrap();
        let mut sealed = Vec::new();
        wire.carry(|bytes| {
            sealed = bytes;
            Vec::new()
        });
        for piece in sealed.chunks(1 + number * 97) {
            std::io::Write::write_all(&mut &wire.ends.1, piece).unwrap();
            match wire.far.discard(&mut scratch) {
                Ok(length) => discarded += length,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
    }
    while let Ok(length) = wire.far.discard(&mut scratch) {
        discarded += length;
    }
    assert_eq!(discarded, 150 * 20_000);
}
