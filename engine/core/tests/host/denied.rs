//! The same of those who get nowhere.

use super::*;

pub(super) fn who_is_denied_hears_the_hosts_words(driver: Driver) {
    let denied = |status, fields| {
        let words = Some("<nobody> knows you");
        Denied::new(status, fields, words, COOKIE).expect("it can be sent")
    };
    let cases = [
        (
            Service::Connect,
            "CONNECT vm7:5900 HTTP/1.1\r\n\r\n".to_owned(),
            denied(407, "Proxy-Authenticate: Basic realm=\"x\"\r\nX-Why: y\r\n"),
            [
                "HTTP/1.1 407 Proxy",
                "\r\nX-Squid-Error: ERR_CACHE_ACCESS_DENIED 0\r\n",
                "x\"\r\nX-Why: y\r\n",
            ],
        ),
        (
            console(),
            upgrade("/?token=a"),
            denied(401, "WWW-Authenticate: Bearer"),
            [
                "HTTP/1.1 401 Unauth",
                "\r\nWWW-Authenticate: Bearer\r\n",
                "\r\nConnection: close\r\n",
            ],
        ),
        (
            console(),
            upgrade("/?token=a"),
            denied(302, "Location: https://login.example/?to=a\r\n"),
            [
                "HTTP/1.1 302 Found\r\n",
                "\r\nLocation: https://login.example/?to=a\r\n",
                "\r\nConnection: close\r\n",
            ],
        ),
    ];
    for (service, request, denied, words) in cases {
        let house = House::new(driver, listener(service, &["allow all"]));
        let client = house.client(&request);
        let (id, _) = house.question();
        house.answer(id, Err(denied.clone()));
        let reply = hear_all(client);
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        let head = format!("{head}\r\n");
        for word in words {
            assert_eq!(head.matches(word).count(), 1, "{word} in {head}");
        }
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        assert!(body.contains("&lt;nobody&gt; knows you"), "{body}");
        let record = house.ended();
        let reason = CloseReason::new(Side::Client, Phase::Admission, Cause::AccessDenied);
        assert_eq!((record.reason, record.cookie), (reason, COOKIE));
        assert_eq!(record.detail.as_deref(), Some("<nobody> knows you"));
        assert!(head.starts_with(&format!("HTTP/1.1 {} ", record.status)));
        assert_eq!(house.stop(), 0);
    }
}

pub(super) fn a_denial_without_words_is_a_403(driver: Driver) {
    let requests = ["CONNECT vm7:5900 HTTP/1.1\r\n\r\n".to_owned(), upgrade("/")];
    for (service, request) in [Service::Connect, console()].into_iter().zip(requests) {
        let house = House::new(driver, listener(service, &["allow all"]));
        let client = house.client(&request);
        let (id, _) = house.question();
        house.answer(id, Err(Denied::default()));
        let reply = hear_all(client);
        assert!(reply.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{reply}");
        let record = house.ended();
        assert_eq!((record.status, record.cookie, record.detail), (403, 0, None));
        assert_eq!(house.stop(), 0);
    }
}

pub(super) fn who_speaks_no_http_is_sent_away(driver: Driver) {
    let house = House::new(driver, listener(Service::handed_over(), &["allow all"]));
    let client = house.client("");
    let (id, _) = house.question();
    let denied = Denied::new(0, "", Some("no"), 1).expect("it can be sent");
    house.answer(id, Err(denied));
    assert_eq!(hear_all(client), "");
    let record = house.ended();
    assert_eq!((record.reason.cause, record.status), (Cause::AccessDenied, 0));
    assert_eq!((record.cookie, record.detail.as_deref()), (1, Some("no")));
    assert_eq!(house.stop(), 0);
}

/// Nothing of what it was to get is left.
pub(super) fn who_has_gone_is_not_answered(driver: Driver) {
    for service in [Service::Connect, console(), Service::handed_over()] {
        let request = match &service {
            Service::Connect => "CONNECT vm7:5900 HTTP/1.1\r\n\r\n".to_owned(),
            Service::Console(_) => upgrade("/"),
            Service::Forward(_) => String::new(),
        };
        let house = House::new(driver, listener(service, &["allow all"]));
        let client = house.client(&request);
        let (id, _) = house.question();
        drop(client);
        let record = house.ended();
        let gone = CloseReason::new(Side::Client, Phase::Admission, Cause::HungUp);
        assert_eq!((record.reason, record.cookie), (gone, 0));
        let (mut there, to) = connected(b"", None);
        house.answer(id, Ok(Admitted { to, cookie: COOKIE }));
        assert_eq!(hear_all(&mut there), "", "it is closed");
        assert_eq!(house.stop(), 1);
    }
}

pub(super) fn who_was_answered_is_not_answered_again(driver: Driver) {
    let house = House::new(driver, listener(Service::Connect, &["allow all"]));
    let mut client = house.client("CONNECT vm7:5900 HTTP/1.1\r\n\r\n");
    let (id, _) = house.question();
    let ((mut first, to), (mut second, too)) = (connected(b"1", None), connected(b"2", None));
    house.answer(id, Ok(Admitted { to, cookie: 1 }));
    house.answer(id, Ok(Admitted { to: too, cookie: 2 }));
    house.answer(id, Err(Denied::default()));
    assert_eq!(hear_all(&mut second), "", "it is closed");
    assert_eq!(hear(&mut client, 40), [ESTABLISHED, b"1"].concat());
    client.write_all(b"x").expect("written");
    assert_eq!(hear(&mut first, 1), b"x");
    drop((client, first));
    assert_eq!(house.ended().cookie, 1);
    assert_eq!(house.stop(), 2);
}

pub(super) fn who_is_not_decided_about_is_told(driver: Driver) {
    let cases = [
        (Service::Connect, "CONNECT vm7:5900 HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 503 "),
        (console(), upgrade("/"), "HTTP/1.1 503 "),
        (Service::handed_over(), String::new(), ""),
    ];
    for (service, request, reply) in cases {
        let asks_host = Some(HostPolicy { timeout: Duration::from_millis(50) });
        let terms = Listener { asks_host, ..listener(service, &["allow all"]) };
        let house = House::new(driver, terms);
        let client = house.client(&request);
        let (id, _) = house.question();
        let heard = hear_all(client);
        assert!(heard.starts_with(reply) && heard.is_empty() == reply.is_empty(), "{heard}");
        let record = house.ended();
        let late = CloseReason::new(Side::Penstock, Phase::Admission, Cause::TokenLookupFailed);
        assert_eq!(record.reason, late);
        assert!(record.elapsed < PATIENCE / 2, "{:?}", record.elapsed);
        assert_eq!(record.detail.as_deref(), Some("the host did not decide in time"));
        let (mut there, to) = connected(b"", None);
        house.answer(id, Ok(Admitted { to, cookie: 0 }));
        assert_eq!(hear_all(&mut there), "", "it is closed");
        assert_eq!(house.stop(), 1);
    }
}

pub(super) fn who_can_not_be_asked_about_is_told(driver: Driver) {
    let house = House::of(driver, listener(Service::Connect, &["allow all"]), true);
    let client = house.client("CONNECT vm7:5900 HTTP/1.1\r\n\r\n");
    let reply = hear_all(client);
    assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains("Retry-After: 5"), "{reply}");
    assert_eq!(house.ended().reason.cause, Cause::Overloaded);
    assert_eq!(house.engine.counters()[0].questions_refused.get(), 1);
    assert_eq!(house.stop(), 0);
}

pub(super) fn a_host_that_knows_no_target_is_told(driver: Driver) {
    for (service, request) in [(console(), upgrade("/")), (Service::handed_over(), String::new())] {
        let house = House::new(driver, listener(service, &["allow all"]));
        let client = house.client(&request);
        house.allow(None);
        let reply = hear_all(client);
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 403 "), "{reply}");
        let record = house.ended();
        let nowhere = CloseReason::new(Side::Penstock, Phase::Admission, Cause::TokenRefused);
        assert_eq!((record.reason, record.cookie), (nowhere, COOKIE));
        assert!(record.detail.is_some_and(|detail| detail.contains("names no target")));
        assert_eq!(house.stop(), 0);
    }
}
