//! Who is let in: the same tickets are shown to Penstock and to oVirt's own reader, and where the two differ Penstock is the stricter one.

use penstock_tests::web_socket::request;
use penstock_tests::{Driver, both_drivers};

use crate::rig::{Engine, LONGEST, ORDER, Plan, Proxy, Ticket, echo, from_elsewhere, stamp};

both_drivers! {
    genuine_tickets_are_taken_however_they_are_written,
    what_is_not_as_the_engine_has_signed_it_opens_nothing,
    a_ticket_is_taken_in_its_time_alone,
    where_replay_is_denied_a_ticket_is_for_one_viewer,
}

/// What a ticket is, and whether each of the two takes it.
type Case = (&'static str, String, bool, bool);

fn assert_verdicts(engine: &Engine, proxy: &Proxy, cases: &[Case]) {
    let texts: Vec<String> = cases.iter().map(|(_, text, ..)| text.clone()).collect();
    let theirs = engine.peer(&texts, false);
    for ((what, text, ours, peer), said) in cases.iter().zip(theirs) {
        let reply = proxy.ask(&format!("/{text}"));
        let expected = if *ours { 101 } else { 403 };
        assert_eq!(reply.status, expected, "{what}: {}", proxy.said());
        assert_eq!(said.starts_with("taken"), *peer, "{what}: {said}");
    }
}

fn genuine_tickets_are_taken_however_they_are_written(driver: Driver) {
    let (engine, target) = (Engine::new(), echo(b"RFB"));
    let proxy = Plan::new(driver, &engine).start();
    let ticket = Ticket::to(target, false).signed(&engine);
    let another_order = "validFrom,validTo,data,salt";
    let other = Ticket::to(target, false).signed_so(&engine, another_order, "-sha256", &LONGEST);
    let mut reordered = ticket.clone();
    reordered.0.reverse();
    let spaced = ticket.clone().set("signedFields", ORDER.replace(',', " , "));
    let made = engine.peer(&[ticket.field("data").to_owned()], true).remove(0);
    let no_certificate = ticket.clone().without("certificate");
    let of_another = ticket.clone().set("certificate", "whose?");
    let cases = [
        ("the engine's", ticket.text(), true, true),
        ("signed in another order", other.text(), true, true),
        ("its members in another order", reordered.text(), true, true),
        ("blanks in the list", spaced.text(), true, true),
        ("made by oVirt's own program", made, true, true),
        ("without a certificate", no_certificate.text(), true, true),
        ("with another certificate", of_another.text(), true, true),
        // The peer drops what is no Base64 to it, and then there is too little.
        ("in the other alphabet", url_safe(&ticket), true, false),
        ("without padding", unpadded(&ticket), true, false),
    ];
    assert_verdicts(&engine, &proxy, &cases);
    // Whatever stands behind percent signs; the peer does not look for them.
    let escaped: String = cases[0].1.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let part = cases[0].1.replacen("ey", "%65y", 1).replace('=', "%3D");
    for path in [part, escaped[..3 * 100].to_owned() + &cases[0].1[100..]] {
        assert_eq!(proxy.ask(&format!("/{path}")).status, 101, "{path}");
    }
}

/// The same ticket with letters in which the alphabets differ.
fn url_safe(ticket: &Ticket) -> String {
    let text = ticket.clone().set("certificate", "~~~???>>>???~~~").text();
    let other = text.replace('+', "-").replace('/', "_");
    assert_ne!(other, text, "no letter in which they differ");
    other
}

/// The same ticket, a little longer if it would need no padding.
fn unpadded(ticket: &Ticket) -> String {
    let longer = |length| ticket.clone().set("more", "x".repeat(length)).text();
    let text = (0..3).map(longer).find(|text| text.ends_with('=')).expect("one of three");
    text.trim_end_matches('=').to_owned()
}

fn what_is_not_as_the_engine_has_signed_it_opens_nothing(driver: Driver) {
    let (engine, target) = (Engine::new(), echo(b"RFB"));
    let proxy = Plan::new(driver, &engine).start();
    let good = || Ticket::to(target, false).signed(&engine);
    let so = |order: &str, digest: &str, options: &[&str]| {
        Ticket::to(target, false).signed_so(&engine, order, digest, options)
    };
    let other_target = Ticket::to(echo(b""), false);
    let pss = "rsa_padding_mode:pss";
    let short = [pss, "rsa_pss_saltlen:digest", "rsa_mgf1_md:sha256"];
    let sha1 = so(ORDER, "-sha1", &[pss, "rsa_pss_saltlen:max", "rsa_mgf1_md:sha1"]);
    let old = so(ORDER, "-sha1", &["rsa_padding_mode:pkcs1"]);
    let named_old = old.clone().without("v2_signature").set("signature", old.field("v2_signature"));
    let twice = good().json().replacen('{', "{\"salt\":\"x\",", 1);
    let changed = other_target.field("data").to_owned();
    let cases: Vec<Case> = [
        ("another salt", good().set("salt", "AAECAwQFBgg="), false),
        ("another target", good().set("data", changed.clone()), false),
        // Far from what was signed, however long signing has taken.
        ("another beginning", good().set("validFrom", stamp(-600)), false),
        ("another end", good().set("validTo", stamp(600)), false),
        ("another order", good().set("signedFields", "data,salt,validTo,validFrom"), false),
        ("another signature", good().set("v2_signature", "AAAA"), false),
        ("a signature of nothing", good().set("v2_signature", ""), false),
        ("signed by somebody else", Ticket::to(target, false).signed(&Engine::new()), false),
        // Here the peer believes what nobody has signed.
        (
            "data not signed",
            so("salt,validTo,validFrom", "-sha256", &LONGEST).set("data", changed),
            true,
        ),
        ("salt not signed", so("data,validTo,validFrom", "-sha256", &LONGEST), true),
        ("the beginning not signed", so("salt,data,validTo", "-sha256", &LONGEST), true),
        ("the end not signed", so("salt,data,validFrom", "-sha256", &LONGEST), true),
        ("a field signed twice", so("salt,salt,data,validTo,validFrom", "-sha256", &LONGEST), true),
        ("signed with SHA-1", sha1, false),
        ("signed as before, with SHA-1", old, false),
        ("signed as before, under that name", named_old, false),
        ("with a salt as long as the digest", so(ORDER, "-sha256", &short), false),
        ("signed without a salt", so(ORDER, "-sha256", &["rsa_padding_mode:pkcs1"]), false),
        ("without a salt", good().without("salt"), false),
        ("without dates", good().without("validTo"), false),
        ("no list", good().without("signedFields"), false),
    ]
    .into_iter()
    .map(|(what, ticket, peer)| (what, ticket.text(), false, peer))
    .chain([
        ("a member twice", encode(&twice), false, true),
        ("no object", encode("[]"), false, false),
        ("no JSON", encode("x"), false, false),
        ("no Base64", "%%%".to_owned(), false, false),
    ])
    .collect();
    assert_verdicts(&engine, &proxy, &cases);
    // The peer decodes whatever stands behind the first slash.
    for path in [format!("/{}?a=b", good().text()), format!("/x/{}", good().text()), "/".to_owned()]
    {
        assert_eq!(proxy.ask(&path).status, 403, "{path}");
    }
    proxy.records(cases.len() + 3);
    let said = proxy.said();
    for words in
        ["not signed by the engine", "its `data` is not signed", "SHA-1", "twice", "no Base64"]
    {
        assert!(said.contains(words), "{words} in {said}");
    }
}

fn encode(json: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_STANDARD.encode(json)
}

fn a_ticket_is_taken_in_its_time_alone(driver: Driver) {
    let (engine, target) = (Engine::new(), echo(b"RFB"));
    let strict = Plan::new(driver, &engine).start();
    let lenient = Plan::new(driver, &engine).argument("--skew=60").start();
    for (from, to, by_strict, by_lenient) in [
        (-1, 120, 101, 101),
        (-120, -1, 403, 101),
        (30, 120, 403, 101),
        (-200, -90, 403, 403),
        (90, 200, 403, 403),
    ] {
        let times = [("validFrom", from), ("validTo", to)];
        let ticket = times.iter().fold(Ticket::to(target, false), |ticket, (name, seconds)| {
            ticket.set(name, stamp(*seconds))
        });
        let path = ticket.signed(&engine).path();
        let verdicts = [&strict, &lenient].map(|proxy| proxy.ask(&path).status);
        assert_eq!(verdicts, [by_strict, by_lenient], "{from} to {to}");
    }
    strict.records(4);
    assert!(strict.said().contains("validTo") && strict.said().contains("validFrom"));
}

fn where_replay_is_denied_a_ticket_is_for_one_viewer(driver: Driver) {
    let (engine, target) = (Engine::new(), echo(b"RFB"));
    for (argument, again) in [("--skew=0", 101), ("--deny-replay", 403)] {
        let proxy = Plan::new(driver, &engine).argument(argument).start();
        let ticket = Ticket::to(target, false).signed(&engine);
        // The channels of one viewer.
        for _ in 0..3 {
            assert_eq!(proxy.open(&ticket).data(3), b"RFB");
        }
        let mut reordered = ticket.clone();
        reordered.0.reverse();
        for ticket in [&ticket, &reordered] {
            let head = request(proxy.address, &ticket.path(), "");
            let status = from_elsewhere(proxy.address).ask(&head).expect("an answer").status;
            assert_eq!(status, again, "{argument}");
        }
        let another = Ticket::to(target, false).set("salt", "BwYFBAMCAQA=").signed(&engine);
        let head = request(proxy.address, &another.path(), "");
        assert_eq!(from_elsewhere(proxy.address).ask(&head).expect("an answer").status, 101);
    }
}
