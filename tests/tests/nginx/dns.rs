//! A name server that knows one answer to everything: an address of IPv4.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

use penstock_tests::loopback;

/// Starts one; it answers until the process ends.
pub(crate) fn start(answer: IpAddr) -> SocketAddr {
    let IpAddr::V4(answer) = answer else { panic!("{answer} is not of IPv4") };
    let socket = UdpSocket::bind((loopback::address(), 0)).expect("a free port");
    let address = socket.local_addr().expect("a bound address");
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            let reply = reply(&question[..length], answer.octets());
            socket.send_to(&reply, from).expect("nginx is there");
        }
    });
    address
}

/// The question again, with one record behind it whose name points to the question's.
fn reply(question: &[u8], answer: [u8; 4]) -> Vec<u8> {
    let mut reply = question.to_vec();
    // A response without error; one question, one answer.
    reply[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    let (type_and_class, seconds) = ([0, 1, 0, 1], [0, 0, 0, 60]);
    reply.extend([0xc0, 12]);
    reply.extend(type_and_class);
    reply.extend(seconds);
    reply.extend([0, 4]);
    reply.extend(answer);
    reply
}
