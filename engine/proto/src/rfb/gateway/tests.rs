//! Whole conversations between both sides, in pieces of every size.

use alloc::string::String;

use super::*;
use crate::rfb::security::{Scheme, SchemeOrder};

/// Both peers as scripts: what each says once the other has said enough.
struct Peers {
    /// What each says, in the order of the conversation; `true`: the client.
    script: Vec<(bool, Vec<u8>)>,
}

/// Everything that can be seen of one run.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    end: Result<Next, Failure>,
    secured: Vec<Next>,
    to_client: Vec<u8>,
    to_server: Vec<u8>,
    rest: [Vec<u8>; 2],
    /// What the client would be told if this were all.
    sorry: Vec<u8>,
}

fn run(new: &dyn Fn() -> Plan, script: &[(bool, &[u8])]) -> Seen {
    let script: Vec<_> = script.iter().map(|(client, bytes)| (*client, bytes.to_vec())).collect();
    let peers = Peers { script };
    let whole = peers.play(new(), usize::MAX);
    for piece in 1..8 {
        assert_eq!(peers.play(new(), piece), whole, "in pieces of {piece}");
    }
    whole
}

impl Peers {
    fn play(&self, plan: Plan, piece: usize) -> Seen {
        let mut to_client = Vec::new();
        let mut gateway = Gateway::new(plan, &mut to_client);
        let (mut to_server, mut secured) = (Vec::new(), Vec::new());
        let mut waiting = [Vec::new(), Vec::new()];
        let mut end = Ok(Next::Wait);
        'all: for (client, bytes) in &self.script {
            for bytes in bytes.chunks(piece.min(bytes.len())) {
                waiting[usize::from(*client)].extend(bytes);
                if end != Ok(Next::Wait) {
                    continue;
                }
                let [of_server, of_client] = &waiting;
                let (mut from_server, mut from_client) = (&of_server[..], &of_client[..]);
                let mut both = Both {
                    from_client: &mut from_client,
                    from_server: &mut from_server,
                    to_client: &mut to_client,
                    to_server: &mut to_server,
                };
                end = gateway.step(&mut both);
                while let Ok(next @ (Next::SecureClient | Next::SecureServer)) = end {
                    secured.push(next);
                    end = gateway.secured(&mut both);
                }
                waiting = [from_server.to_vec(), from_client.to_vec()];
                if end.is_err() {
                    gateway.refuse("sorry", &mut to_client);
                    break 'all;
                }
            }
        }
        let mut sorry = Vec::new();
        if end == Ok(Next::Wait) {
            gateway.refuse("sorry", &mut sorry);
        }
        Seen { end, secured, to_client, to_server, rest: waiting, sorry }
    }
}

fn plan(mode: Mode, schemes: &[Scheme], listen: &[Subtype]) -> Plan {
    let subtypes = match &mode {
        Mode::Bridge => {
            vec![Subtype::X509Plain, Subtype::X509Vnc, Subtype::X509Sasl, Subtype::X509None]
        }
        Mode::Authenticate(keys) => keys.subtypes(),
    };
    let allowed = Allowed { schemes: schemes.to_vec(), subtypes, order: SchemeOrder::Strongest };
    let introduction = Introduction::new(false, None);
    Plan { allowed, mode, listen: listen.to_vec(), introduction }
}

fn ours() -> Mode {
    Mode::Authenticate(Keys { password: Some("secret".into()), ..Keys::default() })
}

const SECURE: &[Scheme] = &[Scheme::VeNCrypt];
const ALL: &[Scheme] = &[Scheme::VeNCrypt, Scheme::Vnc, Scheme::None];
const V8: &[u8] = b"RFB 003.008\n";
const OK: &[u8] = &[0; 4];
const VENCRYPT: &[u8] = &[1, 19, 0, 2];
/// Version agreed on, one subtype; it may go.
const X509_NONE: &[u8] = &[0, 1, 0, 0, 1, 4, 1];
const X509_VNC: &[u8] = &[0, 1, 0, 0, 1, 5, 1];
const X509_PLAIN: &[u8] = &[0, 1, 0, 0, 1, 6, 1];
const X509_SASL: &[u8] = &[0, 1, 0, 0, 1, 7, 1];

const fn client(bytes: &[u8]) -> (bool, &[u8]) {
    (true, bytes)
}

const fn server(bytes: &[u8]) -> (bool, &[u8]) {
    (false, bytes)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn we_prove_ourselves_and_the_client_has_nothing_to_do() {
    let script = [
        client(V8),
        server(V8),
        server(VENCRYPT),
        server(X509_VNC),
        server(&[7; 16]),
        server(OK),
        client(&[1]),
        client(b"rest"),
    ];
    let seen = run(&|| plan(ours(), SECURE, &[]), &script);
    assert_eq!(seen.end, Ok(Next::Done));
    assert_eq!(seen.secured, [Next::SecureServer]);
    assert_eq!(seen.to_client, [V8, &[1, 1], OK].concat());
    let answer = crate::rfb::challenge::answer(&[7; 16], "secret");
    assert_eq!(seen.to_server, [V8, &[19, 0, 2, 0, 0, 1, 5], &answer].concat());
    assert_eq!(seen.rest, [Vec::new(), b"rest".to_vec()]);
}

#[test]
fn old_clients_have_their_own_words_for_it() {
    for (version, offered) in
        [(&b"RFB 003.007\n"[..], &[1, 1][..]), (b"RFB 003.003\n", &[0, 0, 0, 1])]
    {
        let mut script =
            vec![client(version), server(V8), server(VENCRYPT), server(X509_NONE), server(OK)];
        if offered.len() == 2 {
            script.push(client(&[1]));
        }
        script.push(client(&[9]));
        let seen = run(&|| plan(ours(), SECURE, &[]), &script);
        assert_eq!((seen.end, seen.to_client), (Ok(Next::Done), [V8, offered].concat()));
        assert_eq!(seen.rest[1], [9], "ClientInit comes at once");
    }
}

#[test]
fn the_client_answers_within_the_servers_tls() {
    let bridge = || plan(Mode::Bridge, SECURE, &[]);
    let begin = [client(V8), server(V8), server(VENCRYPT)];
    let script = [&begin[..], &[server(X509_VNC), client(&[2])]].concat();
    let end = [server(&[7; 16]), client(&[8; 16]), server(OK), server(b"init")];
    let seen = run(&bridge, &[&script[..], &end].concat());
    assert_eq!((seen.end, seen.secured), (Ok(Next::Done), vec![Next::SecureServer]));
    assert_eq!(seen.to_client, [V8, &[1, 2], &[7; 16], OK].concat());
    assert!(seen.to_server.ends_with(&[8; 16]));
    assert_eq!(seen.rest[0], b"init");

    let names = b"\0\0\0\x02\0\0\0\x02mepw";
    let script = [server(X509_PLAIN), client(&[19, 0, 2, 0, 0, 1, 0]), client(names), server(OK)];
    let seen = run(&bridge, &[&begin[..], &script].concat());
    assert_eq!(seen.end, Ok(Next::Done));
    assert_eq!(seen.to_client, [V8, &[1, 19, 0, 2, 0, 1, 0, 0, 1, 0], OK].concat());
    assert!(seen.to_server.ends_with(names));

    let mechanisms = b"\0\0\0\x05PLAIN";
    let choice = b"\0\0\0\x05PLAIN\0\0\0\x02x\0";
    let script = [
        server(X509_SASL),
        client(&[20]),
        server(mechanisms),
        client(choice),
        server(b"\0\0\0\0\x01"),
        server(OK),
    ];
    let seen = run(&bridge, &[&begin[..], &script].concat());
    assert_eq!(seen.end, Ok(Next::Done));
    assert_eq!(seen.to_client, [V8, &[1, 20], mechanisms, b"\0\0\0\0\x01", OK].concat());
}

#[test]
fn native_clients_come_through_tls_of_ours() {
    let script = [
        client(V8),
        server(V8),
        server(VENCRYPT),
        server(X509_NONE),
        server(OK),
        client(&[19, 0, 2, 0, 0, 1, 4]),
        client(b"rest"),
    ];
    let seen = run(&|| plan(ours(), SECURE, &[Subtype::X509None]), &script[..6]);
    assert_eq!(
        (seen.end, seen.secured),
        (Ok(Next::Done), vec![Next::SecureServer, Next::SecureClient])
    );
    assert_eq!(seen.to_client, [V8, &[1, 19, 0, 2, 0, 1, 0, 0, 1, 4, 1], OK].concat());
}

#[test]
fn native_clients_of_a_bridge_hear_a_result_of_nothing_in_any_version() {
    let script = [
        client(b"RFB 003.007\n"),
        server(V8),
        server(VENCRYPT),
        server(X509_NONE),
        client(&[19, 0, 2, 0, 0, 1, 4]),
        server(OK),
    ];
    let seen = run(&|| plan(Mode::Bridge, SECURE, &[Subtype::X509None]), &script);
    assert_eq!(seen.end, Ok(Next::Done));
    assert_eq!(seen.to_client, [V8, &[1, 19, 0, 2, 0, 1, 0, 0, 1, 4, 1], OK].concat());
}

#[test]
fn without_tls_only_where_that_is_allowed() {
    let script =
        [client(V8), server(V8), server(&[1, 2]), server(&[7; 16]), server(OK), client(&[1])];
    let seen = run(&|| plan(ours(), ALL, &[]), &script);
    assert_eq!((seen.end, seen.secured), (Ok(Next::Done), vec![]));
    let seen = run(&|| plan(ours(), SECURE, &[]), &script);
    let error = Error::NoCommonType(vec![2]);
    assert_eq!(seen.end, Err(Failure { by_client: false, error }));
    assert_eq!(text(&seen.to_client), "RFB 003.008\n\0\0\0\0\x05sorry");
    let bridged = [client(V8), server(V8), server(&[1, 1]), client(&[1]), server(OK)];
    let seen = run(&|| plan(Mode::Bridge, ALL, &[]), &bridged);
    assert_eq!((seen.end, seen.to_client), (Ok(Next::Done), [V8, &[1, 1], OK].concat()));
}

#[test]
fn who_is_refused_is_told_in_the_words_of_the_moment() {
    let told = |mode: fn() -> Mode, script: &[(bool, &[u8])]| {
        let seen = run(&|| plan(mode(), SECURE, &[]), script);
        assert!(seen.end.is_err(), "{seen:?}");
        text(&seen.to_client[V8.len()..])
    };
    let refused: &[u8] = b"\0\0\0\x01\0\0\0\x02no";
    let begin = [client(V8), server(V8), server(VENCRYPT)];
    let proof = [&begin[..], &[server(X509_NONE), server(refused)]].concat();
    assert_eq!(told(ours, &proof), "\0\0\0\0\x05sorry", "the server's own reason is for the log");
    let subtype = [&begin[..], &[server(&[0, 1, 0, 0, 1, 1])]].concat();
    assert_eq!(told(ours, &subtype), "\0\0\0\0\x05sorry");
    let passage = [
        &begin[..],
        &[server(X509_VNC), client(&[2]), server(&[7; 16]), client(&[8; 16]), server(refused)],
    ];
    let said = told(|| Mode::Bridge, &passage.concat());
    assert!(said.ends_with("\0\0\0\x01\0\0\0\x02no"), "the client's own doing: {said:?}");
    let old = [client(b"RFB 003.003\n"), server(V8), server(VENCRYPT), server(X509_SASL)];
    let said = told(|| Mode::Bridge, &old);
    assert!(said.ends_with("viewer that speaks RFB 3.8"), "once, and nothing behind it: {said:?}");
    assert_eq!(said.matches("viewer").count(), 1);
    let other = [&begin[..], &[server(X509_NONE), server(OK), client(&[2])]].concat();
    assert!(told(ours, &other).ends_with("This security type was not offered"));
    assert_eq!(told(ours, &[client(b"GET / HTTP/1")]), "", "nothing that it would understand");
}

#[test]
fn what_is_allowed_and_not_there_lets_nobody_in() {
    let none = || plan(Mode::Authenticate(Keys::default()), ALL, &[]);
    for version in [b"RFB 003.003\n".as_slice(), b"RFB 003.008\n"] {
        let asks: &[u8] = if version == V8 { &[1, 2] } else { &[0, 0, 0, 2] };
        let seen = run(&none, &[server(version), client(version), server(asks)]);
        let failure = seen.end.expect_err("there is no password");
        assert!(!failure.by_client && matches!(failure.error, Error::NoCommonSubtype(_)));
    }
}

#[test]
fn who_awaits_no_verdict_is_told_none() {
    let told = |script: &[(bool, &[u8])]| {
        let seen = run(&|| plan(Mode::Bridge, SECURE, &[]), script);
        assert_eq!(seen.end, Ok(Next::Wait));
        seen.sorry
    };
    let begin = |version, type_| [client(version), server(V8), server(VENCRYPT), server(type_)];
    let vnc = [&begin(V8, X509_VNC)[..], &[client(&[2])]].concat();
    assert_eq!(told(&vnc), [], "this would be taken for a challenge");
    let asked = [&vnc[..], &[server(&[7; 16])]].concat();
    assert_eq!(told(&asked), b"\0\0\0\x01\0\0\0\x05sorry");
    let sasl = [&begin(V8, X509_SASL)[..], &[client(&[20])]].concat();
    assert_eq!(told(&sasl), [], "this for a list of mechanisms");
    let begun = [server(b"\0\0\0\x05PLAIN"), client(b"\0\0\0\x05PLAIN\0\0\0\x02x\0")];
    assert_eq!(told(&[&sasl[..], &begun].concat()), [], "this for data");
    let nothing = [&begin(b"RFB 003.007\n", X509_NONE)[..], &[client(&[1])]].concat();
    assert_eq!(told(&nothing), [], "and this for the size of a screen");
}

#[test]
fn a_console_of_another_name_is_not_seen() {
    let named = || Plan {
        introduction: Introduction::new(true, Some("vm-1".into())),
        ..plan(ours(), SECURE, &[])
    };
    let init = b"\0\x10\0\x10pixels of 16 byt\0\0\0\x04vm-1";
    let other = b"\0\x10\0\x10pixels of 16 byt\0\0\0\x04vm-2";
    let begin = [client(V8), server(V8), server(VENCRYPT), server(X509_NONE), server(OK)];
    let script = |init: &'static [u8]| {
        [&begin[..], &[client(&[1]), client(&[0]), server(init), server(b"more")]].concat()
    };
    let seen = run(&named, &script(init));
    assert_eq!((seen.end, seen.rest[0].clone()), (Ok(Next::Done), b"more".to_vec()));
    assert!(seen.to_client.ends_with(init) && seen.to_server.ends_with(&[1]));
    let seen = run(&named, &script(other));
    let error = Error::OtherConsole { expected: "vm-1".into(), came: "vm-2".into() };
    assert_eq!(seen.end, Err(Failure { by_client: false, error }));
    assert!(seen.to_client.ends_with(OK), "it hears nothing of it");
}

#[test]
fn what_either_side_said_is_shown_to_nobody() {
    let both = Both {
        from_client: &mut &b"hunter2!"[..],
        from_server: &mut &b"salt"[..],
        to_client: &mut Vec::new(),
        to_server: &mut b"hunter2!".to_vec(),
    };
    assert_eq!(std::format!("{both:?}"), "Both(8 + 4 bytes in, 0 + 8 out)");
}
