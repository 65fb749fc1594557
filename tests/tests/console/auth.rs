//! Who asks: plugins of websockify's names, proxies in front, and what the log says of who it was.

use penstock_tests::pki::Wanted;
use penstock_tests::tls::TlsClient;
use penstock_tests::web_socket::{Client, request};
use penstock_tests::{Driver, both_drivers, connect};

use crate::rig::{House, Plan, WIRES};

both_drivers! {
    basic_asks_for_a_name_and_a_password,
    basic_credentials_that_cannot_be_read_are_403,
    expect_origin_wants_one_of_its_pages,
    a_certificate_is_known_by_its_common_name,
    headers_named_like_certificates_change_nothing,
    the_client_is_who_trusted_proxies_say,
    the_client_is_who_asks_for_the_console_and_not_for_the_page_before,
    a_proxy_header_stands_in_front_of_everything,
}

/// `Aladdin:open sesame`, and `Aladdin:open says me`.
const RIGHT: &str = "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
const WRONG: &str = "Authorization: Basic QWxhZGRpbjpvcGVuIHNheXMgbWU=\r\n";

fn basic(driver: Driver, is_secure: bool) -> House {
    Plan::new(driver)
        .secure(is_secure)
        .line("auth = { plugin = \"BasicHTTPAuth\", source = \"Aladdin:open sesame\" }")
        .start()
}

fn basic_asks_for_a_name_and_a_password(driver: Driver) {
    for is_secure in WIRES {
        let house = basic(driver, is_secure);
        for lines in ["", WRONG, "Authorization: \r\n"] {
            let reply = house.ask(&request(house.address, "/", lines));
            assert_eq!(reply.status, 401, "{lines}");
            let challenge = reply.header("WWW-Authenticate").expect("a challenge");
            assert!(challenge.starts_with("Basic realm=\""), "{challenge}");
        }
        house.nobody_came();
        assert_eq!(house.status("/", RIGHT), 101);
        house.accept();
    }
}

fn basic_credentials_that_cannot_be_read_are_403(driver: Driver) {
    let house = basic(driver, false);
    for lines in [
        "Authorization: Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n",
        "Authorization: Digest username=\"Aladdin\"\r\n",
        "Authorization: QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n",
        // No colon within.
        "Authorization: Basic QWxhZGRpbg==\r\n",
        "Authorization: Basic !!!!\r\n",
    ] {
        let reply = house.ask(&request(house.address, "/", lines));
        assert_eq!(reply.status, 403, "{lines}");
        assert_eq!(reply.header("WWW-Authenticate"), None, "{lines}");
    }
    house.nobody_came();
}

fn expect_origin_wants_one_of_its_pages(driver: Driver) {
    let house = Plan::new(driver)
        .line("auth = { plugin = \"ExpectOrigin\", source = \"https://a.example http://b.example:81\" }")
        .start();
    for (lines, status) in [
        ("Origin: https://a.example\r\n", 101),
        ("Origin: http://b.example:81\r\n", 101),
        ("", 403),
        ("Origin: http://a.example\r\n", 403),
        ("Origin: http://b.example\r\n", 403),
        ("Origin: https://c.example\r\n", 403),
        ("Origin: null\r\n", 403),
    ] {
        assert_eq!(house.status("/", lines), status, "{lines}");
    }
}

fn by_name(driver: Driver) -> House {
    let plan = Plan::new(driver).secure(true);
    let ca = plan.authority_file();
    plan.tls(&format!("client_ca = \"{ca}\", client_auth = \"optional\""))
        .line("auth = { plugin = \"ClientCertCNAuth\", source = \"alice bob\" }")
        .start()
}

fn a_certificate_is_known_by_its_common_name(driver: Driver) {
    let house = by_name(driver);
    let authority = &house.pki.as_ref().expect("TLS").authority;
    for (name, status) in [("alice", 101), ("bob", 101), ("mallory", 403), ("Alice", 403)] {
        let identity = authority.issue(&Wanted::client(&[("O", "alice"), ("CN", name)]));
        let client = TlsClient::new(authority, Some(&identity));
        let mut browser = Client::dial(house.address, Some(&client)).expect("a handshake");
        let reply = browser.ask(&request(house.address, "/", "")).expect("an answer");
        assert_eq!(reply.status, status, "{name}");
    }
    // Nobody is asked for a password that would not help.
    let reply = house.ask(&request(house.address, "/", ""));
    assert_eq!((reply.status, reply.header("WWW-Authenticate")), (403, None), "{}", reply.head);
}

fn headers_named_like_certificates_change_nothing(driver: Driver) {
    let house = by_name(driver);
    let lines = "SSL_CLIENT_S_DN_CN: alice\r\nX-SSL-Client-CN: alice\r\n";
    assert_eq!(house.status("/", lines), 403);
    house.nobody_came();
}

fn the_client_is_who_trusted_proxies_say(driver: Driver) {
    let said = "X-Forwarded-For: 198.51.100.9, 192.0.2.7\r\nX-Forwarded-For: 127.0.0.9\r\n";
    for (trusted, expected) in [("127.0.0.0/8", "192.0.2.7"), ("192.0.2.7", "127.0.0.1")] {
        let house = Plan::new(driver).line(&format!("trusted_proxies = [\"{trusted}\"]")).start();
        drop(house.open_with("/", said));
        let client = house.record(1)["client"].as_str().map(str::to_owned).expect("a client");
        assert!(client.starts_with(&format!("{expected}:")) || client == expected, "{client}");
    }
}

/// Proxies have requests of several people on one connection.
fn the_client_is_who_asks_for_the_console_and_not_for_the_page_before(driver: Driver) {
    let dir = penstock_tests::process::directory();
    std::fs::write(dir.path().join("vnc.html"), "a page").expect("our directory");
    for (said, expected) in [("X-Forwarded-For: 192.0.2.8\r\n", "192.0.2.8"), ("", "127.0.0.1")] {
        let house = Plan::new(driver)
            .line("trusted_proxies = [\"127.0.0.0/8\"]")
            .line(&format!("web = {:?}", dir.path()))
            .start();
        let mut browser = house.browser();
        let page = "GET /vnc.html HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
        assert_eq!(browser.ask(page).expect("a page").status, 200);
        browser.upgrade(&request(house.address, "/", said));
        drop((house.accept(), browser));
        let client = house.record(1)["client"].as_str().map(str::to_owned).expect("a client");
        assert!(client.starts_with(&format!("{expected}:")) || client == expected, "{client}");
    }
}

fn a_proxy_header_stands_in_front_of_everything(driver: Driver) {
    for is_secure in WIRES {
        let house = Plan::new(driver)
            .secure(is_secure)
            .line("proxy_protocol = \"required\"")
            .line("proxy_from = [\"127.0.0.0/8\"]")
            .start();
        let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 6080\r\n";
        let mut stream = connect::dial(house.address).expect("it listens");
        std::io::Write::write_all(&mut stream, header).expect("an open stream");
        let mut browser = match &house.tls {
            None => Client::over(stream),
            Some(tls) => {
                Client::over_tls(tls.shake(stream, house.address.ip().into()).expect("hands"))
            }
        };
        browser.upgrade(&request(house.address, "/", ""));
        house.accept();
        drop(browser);
        assert_eq!(house.record(1)["client"], "192.0.2.7:40000");
        // Without it nobody is let in.
        let mut stream = connect::dial(house.address).expect("it listens");
        let head = request(house.address, "/", "");
        std::io::Write::write_all(&mut stream, head.as_bytes()).expect("an open stream");
        assert!(connect::reply(&mut stream).is_err(), "no answer");
        house.nobody_came();
    }
}
