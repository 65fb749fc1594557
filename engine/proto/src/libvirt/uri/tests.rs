//! What a URI says, what is refused, and what a daemon is asked for.

use super::*;
use std::string::ToString;

fn parse(text: &str) -> Uri {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn what_is_not_said_follows_from_the_host() {
    for (text, transport, host, port) in [
        ("qemu+tls://h.example/system", Transport::Tls, Some("h.example"), None),
        ("qemu://h/system", Transport::Tls, Some("h"), None),
        ("qemu:///system", Transport::Unix, None, None),
        ("qemu:/system", Transport::Unix, None, None),
        ("QEMU+TCP://h:17/system", Transport::Tcp, Some("h"), Some(17)),
        ("qemu+tcp:///system", Transport::Tcp, Some("localhost"), None),
        ("qemu+tls:///", Transport::Tls, Some("localhost"), None),
        ("qemu+ssh://root@h:2222/system", Transport::Ssh, Some("h"), Some(2222)),
        ("qemu+Ssh://h", Transport::Ssh, Some("h"), None),
        ("test+unix:///default?socket=/run/x", Transport::Unix, None, None),
        ("xen+ext:///?command=/bin/x", Transport::Ext, None, None),
        ("xen+ext://h:5/?command=x", Transport::Ext, Some("h"), Some(5)),
        ("qemu+tls://[fe80::1]:5/system", Transport::Tls, Some("fe80::1"), Some(5)),
        ("qemu+tls://[::1]/system", Transport::Tls, Some("::1"), None),
        ("qemu+tls://H%65.Example/system", Transport::Tls, Some("He.Example"), None),
    ] {
        let uri = parse(text);
        assert_eq!(
            (uri.transport, uri.host.as_deref(), uri.port),
            (transport, host, port),
            "{text}"
        );
    }
}

#[test]
fn the_daemon_is_asked_for_what_is_not_the_clients() {
    for (text, name) in [
        ("qemu+tls://h/system?no_verify=1", "qemu:///system"),
        ("qemu+ssh://u@h:2/session?keyfile=/k&x=1&NETCAT=/nc&y=%20", "qemu:///session?x=1&y=%20"),
        ("remote+tls://h/", ""),
        ("remote+tls://h/?name=qemu:///system", "qemu:///system"),
        ("test+tcp://h/default?authfile=/a", "test:///default"),
        ("qemu+tls://h", "qemu://"),
        ("qemu+tls://h/system?a%20b=c", "qemu:///system?a%20b=c"),
    ] {
        assert_eq!(parse(text).remote_name(), name, "{text}");
    }
}

#[test]
fn parameters_are_known_whatever_their_letters() {
    let uri = parse("qemu+ssh://a%40b@h/system?No_TTY=1&no_verify=0&keyfile=%2Fa%20b;command=x");
    assert_eq!(uri.user.as_deref(), Some("a@b"));
    assert!(uri.is_set(Parameter::NoTty) && !uri.is_set(Parameter::NoVerify));
    assert_eq!(uri.parameter(Parameter::Keyfile), Some("/a b"));
    assert_eq!(uri.parameter(Parameter::Command), Some("x"));
    assert_eq!(uri.parameter(Parameter::Socket), None);
    assert_eq!((uri.proxy(), uri.mode()), (None, Mode::Auto));
    let uri = parse("qemu+ssh://h/system?proxy=auto&proxy=native&mode=legacy&x=1&X=2");
    assert_eq!((uri.proxy(), uri.mode()), (Some(Proxy::Native), Mode::Legacy));
    assert_eq!(uri.others.len(), 2, "what is the daemon's is left as it is");
}

#[test]
fn what_cannot_work_is_told() {
    let error = |text: &str| Uri::parse(text).expect_err(text);
    let text = |text: &str| text.to_owned();
    for scheme in ["qemu", "://h/", "qemu+tls:h", "1q://h", "q_x://h", "+tls://h", "", "qemu:"] {
        assert_eq!(error(scheme), UriError::NoScheme, "{scheme}");
    }
    assert_eq!(error("qemu+udp://h/"), UriError::UnknownTransport(text("udp")));
    assert_eq!(error("qemu+://h/"), UriError::UnknownTransport(text("")));
    assert_eq!(error("qemu+libssh2://h/"), UriError::Libssh(text("libssh2")));
    assert_eq!(error("qemu+LIBSSH://h/"), UriError::Libssh(text("libssh")));
    assert_eq!(error("qemu+unix://h/system"), UriError::HostOfUnix(text("h")));
    assert_eq!(error("qemu+ext:///system"), UriError::NoCommand);
    assert_eq!(error("qemu+ext:///?command="), UriError::Empty(Parameter::Command));
    assert_eq!(error("qemu+tls://u:secret@h/"), UriError::Password);
    assert_eq!(error("qemu+tls://h/#x"), UriError::Fragment);
    for port in ["0", "x", "", "+1", "65536", "-1", "99999999999"] {
        assert_eq!(error(&["qemu+tls://h:", port, "/"].concat()), UriError::Port(text(port)));
    }
    assert_eq!(error("qemu+tcp://:17/system"), UriError::PortWithoutHost);
    for host in
        ["[::1", "[::1]x", "[]", "[h]", "[10.0.0.1]", "[::1%25]", "[::1%25e/]", "::1", "fe80::1:2"]
    {
        assert_eq!(error(&["qemu+tls://", host, "/"].concat()), UriError::Ipv6, "{host}");
    }
    assert_eq!(error("qemu+tls://a%20b/"), UriError::Host(text("a b")));
    assert_eq!(error("qemu+tls://h%3A1/"), UriError::Host(text("h:1")));
    assert_eq!(error("qemu+tls://a@b@h/"), UriError::Host(text("b@h")));
}

#[test]
fn values_that_mean_nothing_are_told() {
    let error = |text: &str| Uri::parse(text).expect_err(text);
    let text = |text: &str| text.to_owned();
    for query in ["name=%4", "%zz=1", "x=%", "name=%ff", "name=%00"] {
        assert_eq!(error(&["qemu+tls://h/?", query].concat()), UriError::Percent, "{query}");
    }
    for (query, character) in [("x=é", 'é'), ("x= ", ' '), ("x={", '{'), ("x=\n", '\n')] {
        let uri = ["qemu+tls://h/?", query].concat();
        assert_eq!(error(&uri), UriError::Character(character));
    }
    let number = UriError::Number(Parameter::NoVerify, text("yes"));
    assert_eq!(error("qemu+tls://h/?no_verify=yes"), number);
    assert_eq!(error("qemu+tcp://h/?proxy=x"), UriError::Choice(Parameter::Proxy, text("x")));
    assert_eq!(error("qemu:///?mode=DIRECT"), UriError::Choice(Parameter::Mode, text("DIRECT")));
    assert_eq!(error("qemu:///?socket="), UriError::Empty(Parameter::Socket));
    assert_eq!(error("qemu:///?socket=x"), UriError::Relative(Parameter::Socket));
    assert_eq!(error("qemu://h/?pkipath=x"), UriError::Relative(Parameter::Pkipath));
    parse("qemu+tcp://h/?pkipath=x&socket=&keyfile=");
}

#[test]
fn a_uri_is_written_out_in_full() {
    for (text, full) in [
        ("qemu:///system", "qemu+unix:///system"),
        ("qemu://h", "qemu+tls://h"),
        ("qemu+tcp:///system", "qemu+tcp://localhost/system"),
        (
            "qemu+SSH://a%40b@[fe80::1%eth0]:7/s?NO_verify=1;x=%2f",
            "qemu+ssh://a%40b@[fe80::1%25eth0]:7/s?no_verify=1&x=%2F",
        ),
        ("q+ext:///a%3fb?command=a%20b", "q+ext:///a%3Fb?command=a%20b"),
    ] {
        assert_eq!(parse(text).to_string(), full);
        assert_eq!(parse(full), parse(text));
    }
}

/// No message leaves its reader without a remedy, and none shows a password.
#[test]
fn errors_say_what_to_do() {
    for text in [
        "qemu",
        "qemu+udp://h/",
        "qemu+libssh://h/",
        "qemu+unix://h/",
        "qemu+tls://h:0/",
        "qemu+tls://::1/",
        "qemu+tls://h/?no_verify=x",
        "qemu+tls://h/?proxy=x",
        "qemu+tls://h/#",
        "qemu+tls://h/ ",
        "qemu+tls://h/%",
    ] {
        let message = Uri::parse(text).expect_err(text).to_string();
        let remedy = ["expected", "write", "leave it out"];
        assert!(remedy.iter().any(|word| message.contains(word)), "{text}: {message}");
    }
    let message = Uri::parse("qemu+ssh://u:secret@h/").unwrap_err().to_string();
    assert!(!message.contains("secret"), "{message}");
}
