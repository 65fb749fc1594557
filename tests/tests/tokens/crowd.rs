//! Many at once: one winner of a token that is for one viewer, a bound on what is pending, and nothing of it in metrics.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::{TokenSource, Tokens};
use penstock_core::control::TokenFault;
use penstock_tests::{Stopwatch, names, process, wait};

use crate::rig::{Desk, PATIENCE, client, gauge, place, tokens};
use crate::service::{self, answer};

#[test]
fn a_hundred_tries_at_a_token_for_one_viewer_have_one_winner_whose_four_channels_all_open() {
    // Slow enough that they are all under way together.
    let address = service::start(|_, stream| {
        std::thread::sleep(Duration::from_millis(100));
        answer(stream, "200 OK", "h:1");
    });
    let url = format!("http://{address}/%s").into();
    let any = tokens(TokenSource::Api { url, json: false });
    let single = Arc::new(Tokens { single_use: true, ..(*any).clone() });
    let mut desk = Desk::start();
    let first = desk.ask(&single, "canary-token", client(0));
    for n in 1..100 {
        desk.ask(&single, "canary-token", client(n));
    }
    let answers: Vec<_> = (0..100).map(|_| desk.next()).collect();
    let winners: Vec<_> = answers.iter().filter(|(_, judged)| judged.is_ok()).collect();
    assert_eq!(winners.len(), 1);
    let used = answers.iter().filter(|(_, judged)| place(judged) == Err(TokenFault::Used));
    assert_eq!(used.count(), 99);
    let winner = client((winners[0].0 - first) as u8);
    for _ in 0..3 {
        desk.ask(&single, "canary-token", winner);
    }
    assert!((0..3).all(|_| desk.next().1.is_ok()), "the other channels");
    // The same source for another listener, as equal values.
    let equal = Arc::new((*single).clone());
    desk.ask(&equal, "canary-token", client(200));
    assert_eq!(place(&desk.next().1), Err(TokenFault::Used));
    assert_eq!([desk.count("found"), desk.count("used")], [4, 100]);
    for page in ["/metrics", "/tunnels"] {
        assert!(!desk.page(page).contains("canary"), "{page}");
    }
    assert_eq!(gauge(&desk.page("/metrics"), names::TOKENS_REMEMBERED), 1.0);
}

#[test]
fn a_token_that_failed_is_not_used_up() {
    let dir = process::directory();
    let path = dir.path().join("tokens");
    let any = tokens(TokenSource::File { path: path.clone(), read_only: false });
    let single = Arc::new(Tokens { single_use: true, ..(*any).clone() });
    let mut desk = Desk::start();
    for text in [None, Some("b: h:1"), Some("a: qemu+ext:///x")] {
        if let Some(text) = text {
            fs::write(&path, text).expect("our directory");
        }
        desk.ask(&single, "a", client(9));
        assert!(desk.next().1.is_err());
    }
    fs::write(&path, "a: h:1").expect("our directory");
    assert_eq!(place(&desk.look_up(&single, "a")), Ok("h:1".to_owned()));
    desk.ask(&single, "a", client(9));
    assert_eq!(place(&desk.next().1), Err(TokenFault::Used));
}

#[test]
fn beyond_what_may_be_pending_a_source_is_not_asked() {
    let silent = service::start(|_, stream| {
        use std::io::Read;

        let _ = stream.read(&mut [0]);
    });
    let url = format!("http://{silent}/%s").into();
    let any = tokens(TokenSource::Api { url, json: false });
    let mut desk = Desk::start();
    let watch = Stopwatch::start();
    for n in 0..1030 {
        desk.ask(&any, &format!("token-{n}"), client(1));
    }
    // Those that are too many hear of it before anybody's time is over.
    for _ in 0..6 {
        let (which, judged) = desk.next();
        assert!(which > 1024, "{which}");
        let refused = judged.expect_err("too many");
        assert_eq!(refused.why, TokenFault::Unavailable);
        assert!(refused.detail.contains("1024 look-ups are pending"), "{}", refused.detail);
    }
    assert!(watch.elapsed() < PATIENCE, "{:?}", watch.real());
    for _ in 0..1024 {
        assert_eq!(place(&desk.next().1), Err(TokenFault::Unavailable));
    }
    assert_eq!([desk.count("refused"), desk.count("late")], [6, 1024]);
    wait::until_true("nothing is under way", PATIENCE, || {
        gauge(&desk.page("/metrics"), names::TOKENS_IN_FLIGHT) == 0.0
    });
}
