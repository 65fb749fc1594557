//! A guest, a daemon that leads to it on four ports, and a browser.

use std::fs;
use std::net::SocketAddr;

use base64::Engine;
use penstock_tests::browser::Browser;
use penstock_tests::peers::Guest;
use penstock_tests::penstock::Holdings;
use penstock_tests::picture::{Font, Picture};
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::{Driver, Penstock, Setup, http, names, process};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What leads to the guest, each for one viewer. Names with what an address of the web has to escape.
const TOKENS: [&str; 2] = ["vm 7/canary", "vm 8/canary"];

/// The listeners: name, scheme, port, and whether a token is wanted.
const LISTENERS: [(&str, &str, u16, bool); 4] = [
    ("token", "http", 6080, true),
    ("token-tls", "https", 6081, true),
    ("fixed", "http", 6082, false),
    ("fixed-tls", "https", 6083, false),
];

pub(crate) struct Stage {
    pub(crate) guest: Guest,
    pub(crate) browser: Browser,
    pub(crate) penstock: Penstock,
    before: Holdings,
    font: Font,
    lines: Vec<String>,
    _files: (Folder, TempDir),
}

impl Stage {
    /// Pages from a folder, consoles of one of the guest's servers.
    pub(crate) fn new(driver: Driver, web: &str, server: impl Fn(&Guest) -> SocketAddr) -> Stage {
        let (guest, pki, dir) = (Guest::start(), Folder::new(), process::directory());
        let setup = Setup::without_listeners(driver);
        let (pair, key) = pki.known_pair("consoles", &Wanted::server(setup.address()));
        let tokens = dir.path().join("tokens");
        let lines = TOKENS.map(|token| format!("{token}: {}\n", server(&guest)));
        fs::write(&tokens, lines.concat()).expect("our directory");
        let setup = LISTENERS.iter().fold(setup, |setup, (name, scheme, port, by_token)| {
            let to = match by_token {
                true => format!(
                    "tokens = {{ plugin = \"TokenFile\", source = \"{}\", single_use = true }}",
                    tokens.display()
                ),
                false => format!("target = \"tcp://{}\"", server(&guest)),
            };
            let tls = if *scheme == "https" { format!("tls = {{ {pair} }}\n") } else { String::new() };
            let address = SocketAddr::new(setup.address(), *port);
            setup.listener(&format!(
                "name = \"{name}\"\naddress = \"{address}\"\nservice = \"console\"\nweb = \"{web}\"\n{tls}{to}"
            ))
        });
        let penstock = setup.start();
        // Its folder of pages is opened for who comes first, and kept.
        let page = http::get(SocketAddr::new(setup.address(), 6082), "/");
        page.expect("the web server answers");
        let before = penstock.holdings();
        let key = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(key));
        let browser = Browser::start(Some(&key));
        let lines = vec![Guest::TEXT.to_owned()];
        Stage { guest, browser, penstock, before, font: Font::of_qemu(), lines, _files: (pki, dir) }
    }

    /// Opens a page of that listener.
    pub(crate) fn open(&self, listener: &str, path: &str) {
        let (_, scheme, port, _) = LISTENERS.iter().find(|l| l.0 == listener).expect("a listener");
        let host = SocketAddr::new(self.penstock.admin().ip(), *port);
        self.browser.open(&format!("{scheme}://{host}/{path}"));
        // Around what has the focus a browser draws a frame, which would cover the edge of the screen.
        let style = "document.head.append(Object.assign(document.createElement('style'), { textContent: 'canvas { outline: none }' }))";
        self.browser.look(style).expect("a page");
    }

    /// Waits until the canvas of the page shows what the guest has on its screen.
    pub(crate) fn see_text(&self) -> Picture {
        let mut last = None;
        let mut seen = Vec::new();
        self.browser.wait_until(&format!("the screen shows {:?}", self.lines), || {
            let Some(picture) = self.browser.picture("canvas") else { return false };
            let now = if picture.size() == (720, 400) { picture.text(&self.font) } else { vec![] };
            if now != seen {
                eprintln!("the screen shows {now:?}");
                seen = now;
            }
            last = Some(picture);
            seen == self.lines
        });
        last.expect("a picture")
    }

    /// Types a line into the page: the guest hears it, and the page shows it in place of what it showed before.
    pub(crate) fn type_line(&mut self, line: &str) {
        let blank = self.see_text();
        self.take_keyboard();
        let mut heard = self.guest.said();
        for character in line.chars().chain(['\r']) {
            self.browser.press(character);
            heard.extend(match character {
                '\r' => vec!['\r', '\n'],
                other => vec![other],
            });
            // A keyboard of PS/2 forgets what nobody takes in time.
            self.browser.wait_until("the guest hears a key", || self.guest.said() == heard);
        }
        self.lines.push(line.to_owned());
        let typed = self.see_text();
        assert!(typed.ink() > blank.ink(), "{line:?} left nothing on the screen");
    }

    /// Has what is pressed go to the guest. spice-html5 has a connection of its own for keys, and drops those that come before it.
    fn take_keyboard(&self) {
        let canvas = "document.querySelector('canvas')";
        let is_ready = format!("{canvas}.sc?.inputs?.state === 'ready' || !{canvas}.sc");
        self.browser.wait_for("keys have a connection", &is_ready);
        self.browser.click("canvas");
    }

    /// Asks the guest for noise, and looks at it twice: as it is drawn, and on a page that is opened anew and so gets all of it
    /// at once.
    pub(crate) fn see_noise(&self, listener: &str, path: &str) {
        self.open(listener, path);
        self.see_text();
        self.take_keyboard();
        self.browser.press_f1();
        self.wait_for_noise();
        self.open(listener, path);
        self.wait_for_noise();
    }

    /// Every pixel is as it should be.
    fn wait_for_noise(&self) {
        let noise = Guest::noise();
        self.browser.wait_until("the screen shows the noise", || {
            self.browser.picture("canvas").is_some_and(|picture| picture == noise)
        });
    }

    /// Asks the guest for text again, which is its first line alone.
    pub(crate) fn ask_for_text(&mut self) {
        let heard = self.guest.said();
        self.take_keyboard();
        self.browser.press('x');
        self.browser.wait_until("the guest is up again", || self.guest.said().len() > heard.len());
        self.lines = vec![Guest::TEXT.to_owned()];
    }

    /// Waits until no console is open any more and so many of a listener have ended, and returns their records.
    pub(crate) fn consoles(&self, listener: &str, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        self.browser.wait_until(&format!("{count} consoles of {listener} have ended"), || {
            let records = self.penstock.records(0).into_iter();
            found = records.filter(|r| r["listener"] == listener && r["status"] == 101).collect();
            found.len() >= count && self.penstock.metric(names::TUNNELS_OPEN, &[]) == 0.0
        });
        found
    }

    /// Payload that was moved so towards browsers, in bytes.
    pub(crate) fn moved(&self, mover: &str) -> f64 {
        let labels = [("direction", "target_to_client"), ("mover", mover)];
        self.penstock.metric(names::BYTES, &labels)
    }

    /// Ends the browser; then nothing may be left of it, and no token in what anybody can read.
    pub(crate) fn end(mut self) {
        drop(self.browser);
        self.penstock.assert_holds(&self.before);
        let log = self.penstock.process().text("access.log");
        for shown in [log, self.penstock.said()] {
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
