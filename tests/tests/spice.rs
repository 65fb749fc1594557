//! The main job: a SPICE client draws a guest's screen through the proxy.

use penstock_tests::peers::{Guest, screenshot};
use penstock_tests::{Driver, Setup, both_drivers};

both_drivers! {
    spicy_draws_the_guest,
}

fn spicy_draws_the_guest(driver: Driver) {
    let (penstock, guest) = (Setup::new(driver).start(), Guest::start());
    let before = penstock.holdings();
    let picture = screenshot(guest.spice(), penstock.proxy());
    assert_eq!(picture.size(), (720, 400));
    assert_eq!(picture.line(0), Guest::TEXT.replace(|c| c != ' ', "#"));
    assert!(picture.ink() > 600, "{} pixels", picture.ink());
    penstock.assert_holds(&before);

    // The client opens two channels, main and display.
    let lines = penstock.access_log(2);
    for line in &lines {
        assert_eq!((line.code.as_str(), line.method.as_str()), ("TCP_TUNNEL/200", "CONNECT"));
        assert_eq!((line.client.as_str(), line.user.as_str()), ("127.0.0.1", "-"));
        assert_eq!((&line.url, line.content_type.as_str()), (&guest.spice().to_string(), "-"));
        assert_eq!(line.hierarchy, format!("HIER_DIRECT/{}", guest.spice().ip()));
        assert!(line.size > 39, "a channel without an answer");
    }
    let display = lines.iter().map(|line| line.size).max();
    assert!(display > Some(10_000), "{display:?} bytes are no picture");
}
