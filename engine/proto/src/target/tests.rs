//! Each kind of target, and what each refusal says.

use super::*;
use crate::http::TargetError as AddressError;
use crate::libvirt::{Transport, UriError};
use proptest::prelude::*;
use std::format;
use std::string::ToString;

fn refusal(text: &str) -> TargetError {
    Target::parse(text).expect_err(text)
}

#[test]
fn each_kind_is_written_as_it_is_read() {
    for (text, full) in [
        ("tcp://Host.example:5900", "tcp://host.example:5900"),
        ("TLS://10.0.0.1:16514", "tls://10.0.0.1:16514"),
        ("tcp://[2001:DB8::1]:1", "tcp://[2001:db8::1]:1"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
        ("unix:///run/a b%20?c", "unix:/run/a b%20?c"),
        ("serial:/dev/ttyS0", "serial:/dev/ttyS0?baud=115200&bits=8&parity=none&stop=1&flow=none"),
        (
            "serial:///dev/pts/3?flow=rtscts&baud=9600&stop=2&parity=odd&bits=7",
            "serial:/dev/pts/3?baud=9600&bits=7&parity=odd&stop=2&flow=rtscts",
        ),
        ("qemu:///system", "qemu+unix:///system"),
        ("qemu://h/system", "qemu+tls://h/system"),
        ("Esx+ssh://h/", "Esx+ssh://h/"),
    ] {
        let target = Target::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(target.to_string(), full);
        assert_eq!(Target::parse(full), Ok(target));
    }
    let Ok(Target::Libvirt(uri)) = Target::parse("QEMU://h") else { panic!("a URI") };
    assert_eq!((uri.transport, uri.driver.as_str()), (Transport::Tls, "QEMU"));
}

#[test]
fn each_refusal_names_its_part() {
    for text in ["", "host", "host.example:5900", "10.0.0.1:1", "/run/x.sock"] {
        assert_eq!(refusal(text), TargetError::NoScheme, "{text}");
    }
    for (text, scheme) in [
        ("http://h:80", "http"),
        ("tpc://h:1", "tpc"),
        ("esx://h/", "esx"),
        ("[::1]:80", "["),
        (":", ""),
    ] {
        assert_eq!(refusal(text), TargetError::Scheme(scheme.to_owned()), "{text}");
    }
    assert_eq!(refusal("tls:h:1"), TargetError::Slashes("tls".to_owned()));
    for (rest, error) in [
        ("h", AddressError::MissingPort),
        ("h:0", AddressError::Port),
        ("h:1/", AddressError::Port),
        ("u@h:1", AddressError::UserInfo),
        ("::1:80", AddressError::Ipv6),
        ("a b:1", AddressError::Name),
    ] {
        let expected = TargetError::Address("tcp".to_owned(), error);
        assert_eq!(refusal(&format!("tcp://{rest}")), expected, "{rest}");
    }
    for path in ["", "x", "@x", "//run/x", "./x"] {
        let expected = TargetError::Path(path.to_owned());
        assert_eq!(refusal(&format!("unix:{path}")), expected);
    }
    assert_eq!(refusal("unix://host/x"), TargetError::Path("//host/x".to_owned()));
    assert_eq!(
        refusal("qemu+udp://h"),
        TargetError::Libvirt(UriError::UnknownTransport("udp".to_owned()))
    );
}

#[test]
fn a_socket_has_a_path_that_the_kernel_takes() {
    let of = |length: usize| Target::parse(&format!("unix:/{}", "x".repeat(length - 1)));
    assert!(of(107).is_ok());
    assert_eq!(of(108), Err(TargetError::LongPath(108)));
}

#[test]
fn settings_of_a_line_are_known_or_refused() {
    let serial = |query: &str| match refusal(&format!("serial:/dev/ttyS0?{query}")) {
        TargetError::Serial(error) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(serial("speed=1"), SerialError::Setting("speed".to_owned()));
    assert_eq!(serial("Baud=9600"), SerialError::Setting("Baud".to_owned()));
    assert_eq!(serial("baud=9600&bits=8&baud=9600"), SerialError::Twice("baud"));
    for (query, setting) in [
        ("baud=9601", "baud"),
        ("baud=", "baud"),
        ("baud", "baud"),
        ("baud=+9600", "baud"),
        ("bits=4", "bits"),
        ("bits=9", "bits"),
        ("bits=264", "bits"),
        ("parity=mark", "parity"),
        ("parity=None", "parity"),
        ("stop=0", "stop"),
        ("stop=3", "stop"),
        ("stop=1.5", "stop"),
        ("flow=hardware", "flow"),
        ("flow=", "flow"),
    ] {
        assert!(
            matches!(serial(query), SerialError::Value { setting: came, .. } if came == setting),
            "{query}"
        );
    }
    for device in ["dev/ttyS0", "", "//dev", "?baud=9600"] {
        let refusal = refusal(&format!("serial:{device}"));
        assert!(matches!(refusal, TargetError::Serial(SerialError::Path(_))), "{device}");
    }
}

#[test]
fn errors_say_what_was_expected() {
    for text in [
        "",
        "http://h:80",
        "tls:h:1",
        "tcp://h",
        "unix:x",
        "serial:x",
        "serial:/x?y",
        "serial:/x?bits=9",
        "qemu+x://h",
    ] {
        let message = refusal(text).to_string();
        assert!(message.contains("expected"), "{text}: {message}");
    }
    let message = refusal("serial:/dev/ttyS0?parity=mark").to_string();
    assert_eq!(message, "serial: `parity`: expected none, even or odd, got `mark`");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_read_is_written_and_read_again(
        scheme in "tcp://|tls://|unix:|unix:|serial:|qemu\\+ssh://|[a-z]{0,4}:?",
        rest in "/dev/ttyS0\\?(baud=9600|bits=7|stop=2|flow=none)?|[a-z]{1,3}:[1-9][0-9]{0,3}|.{0,20}",
    ) {
        let Ok(target) = Target::parse(&[scheme, rest].concat()) else { return Ok(()) };
        prop_assert_eq!(Target::parse(&target.to_string()), Ok(target));
    }
}
