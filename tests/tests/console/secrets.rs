//! What gives its bearer a console is shown to nobody: not in logs of either format, messages, metrics, pages of the admin or of refusals.

use std::fs;

use penstock_tests::web_socket::{BINARY, close, frame, request};
use penstock_tests::{Driver, both_drivers, http, process, wait};

use crate::rig::{House, Plan, all};

both_drivers! {
    tokens_and_passwords_are_shown_nowhere,
}

/// A part of every secret here, and its Base64 at each of its three places in a group.
const CANARIES: [&str; 4] = ["canary7", "Y2FuYXJ5N", "NhbmFyeT", "jYW5hcnk3"];

/// `user:canary7`.
const RIGHT: &str = "Authorization: Basic dXNlcjpjYW5hcnk3\r\n";
/// `user:not-canary7`.
const WRONG: &str = "Authorization: Basic dXNlcjpub3QtY2FuYXJ5Nw==\r\n";

/// Everything that anybody can read of a daemon.
fn shown(house: &mut House) -> Vec<(&'static str, String)> {
    let admin = house.daemon.admin();
    let page = |path| http::get(admin, path).expect("the admin page").1;
    let pages = [("metrics", page("/metrics")), ("tunnels", page("/tunnels"))];
    let line = fs::read_to_string(format!("/proc/{}/cmdline", house.daemon.pid()));
    let said = [("messages", house.daemon.said()), ("process list", line.expect("it runs"))];
    let log = ("access log", house.daemon.process().text("access.log"));
    pages.into_iter().chain(said).chain([log]).collect()
}

fn assert_hidden(place: &str, text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{canary} in {place}: {text}");
    }
}

fn requests() -> Vec<String> {
    let forms = [
        ("/?token=good-canary7", RIGHT),
        ("/?token=bad-canary7", RIGHT),
        ("/?token=good-canary7", WRONG),
        ("/?token=good-canary7", ""),
        ("/?token=good-canary7", "Authorization: canary7\r\n"),
        ("/?token=good-canary7", "Origin: https://evil.example\r\n"),
        ("/?token=shut-canary7", RIGHT),
        ("/?token=far-canary7", RIGHT),
        ("/%3Ftoken%3Dbad-canary7", RIGHT),
        ("/websockify%3ftoken=good-canary7", RIGHT),
        ("/a/b?token=%63anary7&token=canary7", RIGHT),
        ("/?TOKEN=canary7&password=canary7", RIGHT),
        ("http://user:canary7@host/?token=bad-canary7", RIGHT),
        ("/", "Authorization: Basic dXNlcjpjYW5hcnk3\r\nCookie: token=good-canary7\r\n"),
        ("/", "Authorization: Basic dXNlcjpjYW5hcnk3\r\nCookie: token=bad-canary7\r\n"),
    ];
    let heads = forms.iter().map(|(path, lines)| request("console.example", path, lines));
    let broken = [
        "GET /?token=canary7 HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /?token=canary7 HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /?token=canary7\r\n\r\n",
        "GET /?token=canary7 HTTP/9.9\r\n\r\n",
        "GET /?token=canary7 x HTTP/1.1\r\n\r\n",
        "GET /?token=canary7 HTTP/1.1\r\nbad canary7\r\n\r\n",
        "GET /?token=canary7 HTTP/1.1\r\nContent-Length: canary7\r\n\r\n",
    ];
    let long = format!("GET /?token=canary7{} HTTP/1.1\r\n\r\n", "x".repeat(9000));
    heads.chain(broken.map(str::to_owned)).chain([long]).collect()
}

fn house(driver: Driver, format: &str) -> (House, tempfile::TempDir) {
    let dir = process::directory();
    let target = std::net::TcpListener::bind((penstock_tests::loopback::address(), 0));
    let target = target.expect("a free port");
    let to = target.local_addr().expect("bound");
    let lines =
        format!("good-canary7: {to}\nshut-canary7: 127.0.0.1:1\nfar-canary7: 192.0.2.1:1\n");
    fs::write(dir.path().join("tokens"), lines).expect("our directory");
    fs::write(dir.path().join("password"), "user:canary7\n").expect("our directory");
    let source = |name| dir.path().join(name).display().to_string();
    let house = Plan::new(driver)
        .set("log", "access", &format!("{{ path = \"access.log\", format = \"{format}\" }}"))
        .to(&format!("tokens = {{ plugin = \"TokenFile\", source = \"{}\" }}", source("tokens")))
        .line(&format!(
            "auth = {{ plugin = \"BasicHTTPAuth\", source_file = \"{}\" }}",
            source("password")
        ))
        .start_with(target);
    (house, dir)
}

fn tokens_and_passwords_are_shown_nowhere(driver: Driver) {
    for format in ["json", "squid"] {
        let (mut house, _dir) = house(driver, format);
        let head = request(house.address, "/?token=good-canary7", RIGHT);
        let mut open = house.browser();
        open.upgrade(&head);
        let mut target = house.accept();
        open.say(&frame(BINARY, b"canary7 is payload"));
        let mut count = 0;
        for head in requests() {
            let mut browser = house.browser();
            if let Ok(reply) = browser.ask(&head) {
                assert_hidden("an answer", &[reply.head, reply.body].concat());
                if reply.status == 101 {
                    let (frames, _) = {
                        browser.say(&close(1000, "canary7"));
                        browser.rest()
                    };
                    for frame in frames {
                        assert_hidden("a close frame", &frame.close().1);
                    }
                }
            }
            count += 1;
        }
        // While it is open, and when it has ended.
        wait::until_true("all are told", penstock_tests::connect::PATIENCE, || {
            house.daemon.process().text("access.log").lines().count() >= count
        });
        for (place, text) in shown(&mut house) {
            assert_hidden(place, &text);
        }
        open.say(&close(1000, ""));
        drop(open);
        assert!(all(&mut target).starts_with(b"canary7"));
        house.is_empty();
        for (place, text) in shown(&mut house) {
            assert_hidden(place, &text);
        }
        // It is not that nothing was said.
        wait::until_true("the last one is told, too", penstock_tests::connect::PATIENCE, || {
            house.daemon.process().text("access.log").lines().count() > count
        });
        assert_hidden("the access log", &house.daemon.process().text("access.log"));
    }
}
