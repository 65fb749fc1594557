//! The rig itself, on programs that are known to be good: when these fail, no other failure means anything.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use penstock_tests::peers::{Guest, Helper, Nginx, Squid, screenshot};
use penstock_tests::stream::{End, Pattern};
use penstock_tests::{connect, loopback, origin, process};

#[test]
fn the_oracle_opens_a_tunnel_and_logs_it() {
    let squid = Squid::start();
    let origin = origin::start();
    let mut tunnel = connect::tunnel(squid.address(), origin);
    tunnel.write_all(b"send 1 1000\n").expect("an open tunnel");
    Pattern::new(1).receive(&mut tunnel, 1000).expect("1000 bytes");
    drop(tunnel);
    let line =
        penstock_tests::wait::until("a line", connect::PATIENCE, || squid.access_log().pop());
    assert_eq!(
        (line.code.as_str(), line.size, line.url),
        ("TCP_TUNNEL/200", 1039, origin.to_string())
    );
    assert_eq!(
        (line.client.as_str(), line.hierarchy),
        ("127.0.0.1", format!("HIER_DIRECT/{}", origin.ip()))
    );
}

#[test]
fn the_guest_draws_through_the_oracle() {
    let (squid, guest) = (Squid::start(), Guest::start());
    let picture = screenshot(guest.spice(), squid.address());
    assert_eq!(picture.size(), (720, 400));
    assert_eq!(picture.line(0), Guest::TEXT.replace(|c| c != ' ', "#"));
    assert!(picture.ink() > 600, "{} pixels", picture.ink());
}

#[test]
fn nginx_serves_over_tls() {
    let nginx = Nginx::start();
    std::fs::write(nginx.file("hello"), "hello").expect("our directory");
    let url = format!("https://{}/hello", nginx.address());
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--cacert"]).arg(nginx.certificate()).arg(url);
    assert_eq!(process::run(&mut curl), "hello");
}

#[test]
fn a_killed_helper_breaks_its_streams() {
    let mut helper = Helper::start(&["origin", &loopback::address().to_string()], None);
    let mut stream = TcpStream::connect(helper.said()).expect("the helper listens");
    stream.write_all(b"send 3 1000000000\n").expect("it reads");
    let mut pattern = Pattern::new(3);
    pattern.receive(&mut stream, 100_000).expect("it sends");
    helper.process().signal(nix::sys::signal::Signal::SIGKILL);
    let end = pattern.drain(&mut stream);
    assert!(matches!(end, End::Eof | End::Broken(ErrorKind::ConnectionReset)), "{end:?}");
    assert!(pattern.bytes() < 1_000_000_000);
}

#[test]
fn another_user_owns_what_it_starts() {
    use std::os::unix::fs::MetadataExt;

    let mut helper = Helper::start(&["pipes", "3"], Some(65_000));
    let owner = std::fs::metadata(format!("/proc/{}", helper.process().pid())).expect("it lives");
    let root = nix::unistd::geteuid().is_root();
    assert_eq!((helper.said(), owner.uid() == 65_000), ("3", root));
}

#[test]
fn a_filter_takes_io_uring_away() {
    let mut command = Command::new(penstock_tests::peers::helper_program());
    command.args(["without-uring", "grep", "Seccomp:", "/proc/self/status"]);
    assert_eq!(process::run(&mut command).trim(), "Seccomp:\t2");
}

#[test]
fn an_address_is_nobody_elses() {
    let first = TcpListener::bind((loopback::address(), 3128)).expect("free");
    let second = TcpListener::bind((loopback::address(), 3128)).expect("free too");
    assert_ne!(first.local_addr().expect("bound"), second.local_addr().expect("bound"));
}
