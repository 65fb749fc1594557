//! spice-html5: a viewer that opens a WebSocket for each of its channels, all with one token.

use std::fs;
use std::process::Command;

use penstock_tests::peers::Guest;
use penstock_tests::{Driver, both_drivers, process};
use tempfile::TempDir;

use crate::stage::Stage;

both_drivers! {
    spice_html5_shows_a_guest_and_types_into_it,
    spice_html5_shows_a_megabyte_of_noise_without_a_wrong_pixel,
}

/// Debian's pages, with one fault mended: an encrypted password loses the zeros at its front, and a guest then refuses one channel
/// in some 200.
fn mended_pages() -> TempDir {
    let pages = process::directory();
    process::run(Command::new("cp").args(["-rL", "/usr/share/spice-html5/."]).arg(pages.path()));
    let script = pages.path().join("ticket.js");
    let text = fs::read_to_string(&script).expect("a script");
    let digits = "var h = enc.toString(16);";
    assert!(text.contains(digits), "is it mended now?");
    let all = "var h = enc.toString(16).padStart(2 * oaep.length, '0');";
    fs::write(&script, text.replace(digits, all)).expect("our directory");
    pages
}

fn spice_html5_shows_a_guest_and_types_into_it(driver: Driver) {
    let pages = mended_pages();
    let mut stage = Stage::new(driver, pages.path().to_str().expect("ASCII"), Guest::spice);
    for (listener, path, line) in [
        // The token has a path of its own, where the page finds it.
        ("token", "spice_auto.html?path=%3Ftoken%3Dvm%25207%252Fcanary", "by the path"),
        // Here the page puts it into a cookie.
        ("token-tls", "spice_auto.html?token=vm%208%2Fcanary", "by a cookie"),
        ("fixed", "spice_auto.html", "one two"),
        ("fixed-tls", "spice_auto.html?path=a-console", "one two"),
    ] {
        stage.open(listener, path);
        stage.type_line(line);
    }
    stage.browser.leave();
    for listener in ["token", "token-tls", "fixed", "fixed-tls"] {
        let records = stage.consoles(listener, 4);
        assert_eq!(records.len(), 4, "{records:?}");
        for record in records {
            assert_eq!(record["connected"], stage.guest.spice().to_string(), "{record}");
        }
    }
    stage.end();
}

fn spice_html5_shows_a_megabyte_of_noise_without_a_wrong_pixel(driver: Driver) {
    let pages = mended_pages();
    let mut stage = Stage::new(driver, pages.path().to_str().expect("ASCII"), Guest::spice);
    for listener in ["fixed-tls", "fixed"] {
        stage.see_noise(listener, "spice_auto.html");
        stage.ask_for_text();
        // Of a screen that has become smaller this viewer draws only what changes later, whatever is between it and the guest.
        stage.open(listener, "spice_auto.html");
        stage.type_line("still there");
        let spliced = stage.moved("splice");
        assert_eq!(spliced > 400_000.0, listener == "fixed", "{listener}: {spliced}");
    }
    stage.end();
}
