//! What people see: Chromium with Debian's noVNC draws the screen of a guest of QEMU, and types into it.

use std::net::SocketAddr;

use base64::Engine;
use penstock_tests::browser::Browser;
use penstock_tests::peers::Guest;
use penstock_tests::picture::Font;
use penstock_tests::pki::{Folder, Wanted};
use sha2::{Digest, Sha256};

use crate::rig::{Server, fresh};

const NOVNC: &str = "/usr/share/novnc";

/// What the canvas of the page shows.
fn see(browser: &Browser, font: &Font, lines: &[&str]) {
    browser.wait_until(&format!("the screen shows {lines:?}"), || {
        let picture = browser.picture("canvas").filter(|picture| picture.size() == (720, 400));
        picture.is_some_and(|picture| picture.text(font) == lines)
    });
}

fn open(browser: &Browser, scheme: &str, at: SocketAddr) {
    browser.open(&format!("{scheme}://{at}/vnc.html?autoconnect=true"));
    // Around what has the focus a browser draws a frame, which would cover the edge of the screen.
    let style = "document.head.append(Object.assign(document.createElement('style'), { textContent: 'canvas { outline: none }' }))";
    browser.look(style).expect("a page");
}

#[test]
fn novnc_shows_a_guest_and_types_into_it_with_tls_and_without() {
    let (guest, pki, font) = (Guest::start(), Folder::new(), Font::of_qemu());
    let (plain, secure) = (fresh(), fresh());
    let (_, key) = pki.known_pair("server", &Wanted::server(secure.ip()));
    let target = guest.vnc();
    let _plain = Server::start_at(plain, &format!("--web {NOVNC} {{}} {target}"));
    let pair =
        [pki.path("server.pem"), pki.path("server.key")].map(|path| path.display().to_string());
    let line =
        format!("--web {NOVNC} --ssl-only --cert {} --key {} {{}} {target}", pair[0], pair[1]);
    let _secure = Server::start_at(secure, &line);
    let key = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(key));
    let browser = Browser::start(Some(&key));
    let mut lines = vec![Guest::TEXT];
    for (scheme, at, typed) in [("http", plain, "one"), ("https", secure, "two")] {
        open(&browser, scheme, at);
        see(&browser, &font, &lines);
        browser.click("canvas");
        let mut heard = guest.said();
        for character in typed.chars().chain(['\r']) {
            browser.press(character);
            heard.extend(match character {
                '\r' => vec!['\r', '\n'],
                other => vec![other],
            });
            // A keyboard of PS/2 forgets what nobody takes in time.
            browser.wait_until("the guest hears a key", || guest.said() == heard);
        }
        lines.push(typed);
        see(&browser, &font, &lines);
    }
}
