//! Logins that pass through, in pieces of every size.

use alloc::vec;

use super::*;

/// Who says what, in turn.
enum Says {
    Server(&'static [u8]),
    Client(&'static [u8]),
}
use Says::{Client, Server};

/// The verdict, what the client heard, and what the server heard; byte by byte or at once.
fn run(
    new: impl Fn() -> Passage,
    script: &[Says],
) -> (Result<Progress<()>, Error>, Vec<u8>, Vec<u8>) {
    let whole = play(new(), script, usize::MAX);
    for piece in [1, 2, 3, 5] {
        assert_eq!(play(new(), script, piece), whole, "in pieces of {piece}");
    }
    whole
}

fn play(
    mut passage: Passage,
    script: &[Says],
    piece: usize,
) -> (Result<Progress<()>, Error>, Vec<u8>, Vec<u8>) {
    let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
    let (mut of_client, mut of_server) = (Vec::new(), Vec::new());
    for says in script {
        let bytes = match says {
            Server(bytes) | Client(bytes) => bytes,
        };
        for bytes in bytes.chunks(piece.min(bytes.len().max(1))) {
            match says {
                Server(_) => of_server.extend(bytes),
                Client(_) => of_client.extend(bytes),
            }
            // Either side may have something that waits for the other.
            for _ in 0..2 {
                let mut input = &of_client[..];
                let verdict = passage.client(&mut input, &mut to_server);
                of_client = input.to_vec();
                if verdict.is_err() {
                    return (verdict, to_client, to_server);
                }
                let mut input = &of_server[..];
                let verdict = passage.server(&mut input, &mut to_client);
                of_server = input.to_vec();
                if verdict != Ok(Wait) {
                    return (verdict, to_client, to_server);
                }
            }
        }
    }
    (Ok(Wait), to_client, to_server)
}

const OK: Says = Server(&[0, 0, 0, 0]);
const BAD: Says = Server(b"\0\0\0\x01\0\0\0\x03no\0");
const V3_8: [Version; 2] = [Version::V3_8, Version::V3_8];

fn of(within: Subtype, [server, client]: [Version; 2]) -> impl Fn() -> Passage {
    move || Passage::new(server, client, within)
}

#[test]
fn a_challenge_and_its_answer_pass() {
    let script = [Server(&[7; 16]), Client(&[8; 16]), OK];
    let (verdict, to_client, to_server) = run(of(Subtype::X509Vnc, V3_8), &script);
    assert_eq!(verdict, Ok(Done(())));
    assert_eq!(to_client, [&[7; 16][..], &[0; 4]].concat());
    assert_eq!(to_server, [8; 16]);
}

#[test]
fn an_answer_that_comes_before_its_question_waits() {
    let script = [Client(&[8; 16]), Server(&[7; 16]), OK];
    let (verdict, _, to_server) = run(of(Subtype::X509Vnc, V3_8), &script);
    assert_eq!((verdict, to_server), (Ok(Done(())), vec![8; 16]));
}

#[test]
fn a_name_and_a_password_pass_and_have_a_limit() {
    let names = b"\0\0\0\x02\0\0\0\x04mepass";
    let (verdict, to_client, to_server) = run(of(Subtype::X509Plain, V3_8), &[Client(names), OK]);
    assert_eq!((verdict, to_client, to_server), (Ok(Done(())), vec![0; 4], names.to_vec()));
    let long = [Client(b"\0\0\0\x02\0\0\x04\x01")];
    let (verdict, _, to_server) = run(of(Subtype::X509Plain, V3_8), &long);
    assert_eq!(verdict, Err(Error::TooLong { what: "a password", length: 1025 }));
    assert!(to_server.is_empty());
}

#[test]
fn sasl_passes_until_it_is_complete() {
    let script = [
        Server(b"\0\0\0\x05PLAIN"),
        Client(b"\0\0\0\x05PLAIN\0\0\0\x02x\0"),
        Server(b"\0\0\0\x02y\0\0"),
        Client(b"\0\0\0\0"),
        Server(b"\0\0\0\0\x01"),
        OK,
    ];
    let (verdict, to_client, to_server) = run(of(Subtype::X509Sasl, V3_8), &script);
    assert_eq!(verdict, Ok(Done(())));
    assert_eq!(to_client, b"\0\0\0\x05PLAIN\0\0\0\x02y\0\0\0\0\0\0\x01\0\0\0\0");
    assert_eq!(to_server, b"\0\0\0\x05PLAIN\0\0\0\x02x\0\0\0\0\0");
    let long = [Server(b"\0\0\0\x01X"), Client(b"\0\0\0\x65")];
    let (verdict, ..) = run(of(Subtype::X509Sasl, V3_8), &long);
    let what = "the name of a SASL mechanism";
    assert_eq!(verdict, Err(Error::TooLong { what, length: 101 }));
}

#[test]
fn rounds_of_sasl_have_an_end() {
    let mut script = vec![Server(b"\0\0\0\x01X"), Client(b"\0\0\0\x01X\0\0\0\0")];
    for _ in 0..16 {
        script.extend([Server(&[0; 5]), Client(&[0; 4])]);
    }
    assert_eq!(run(of(Subtype::X509Sasl, V3_8), &script).0, Ok(Wait));
    script.push(Server(b"\0\0\0\0\x01"));
    let (verdict, ..) = run(of(Subtype::X509Sasl, V3_8), &script);
    assert_eq!(verdict, Err(Error::Sasl(SaslError::endless())));
}

#[test]
fn each_client_hears_the_result_in_its_own_version() {
    for (client, heard) in [(Version::V3_8, 4), (Version::V3_7, 0), (Version::V3_3, 0)] {
        let nothing = of(Subtype::X509None, [Version::V3_8, client]);
        let (verdict, to_client, _) = run(nothing, &[OK]);
        assert_eq!((verdict, to_client.len()), (Ok(Done(())), heard), "{client:?}");
    }
    for client in [Version::V3_8, Version::V3_7] {
        let [nothing, refusal] = [&[OK], &[BAD]].map(|script| {
            let new = || of(Subtype::X509None, [Version::V3_8, client])().by_vencrypt();
            run(new, script).1
        });
        assert_eq!(nothing, [0; 4], "who chose VeNCrypt hears a result in any version");
        assert_eq!(refusal[..4], [0, 0, 0, 1]);
    }
    let refused = |server, client, script: &[Says]| {
        run(of(Subtype::X509Vnc, [server, client]), script).1[16..].to_vec()
    };
    let script = [Server(&[7; 16]), Client(&[8; 16]), BAD];
    assert_eq!(refused(Version::V3_8, Version::V3_8, &script), b"\0\0\0\x01\0\0\0\x02no");
    assert_eq!(refused(Version::V3_8, Version::V3_3, &script), b"\0\0\0\x01");
    let reason = b"\0\0\0\x01\0\0\0\x15Authentication failed";
    assert_eq!(refused(Version::V3_7, Version::V3_8, &script), reason);
}

#[test]
fn in_the_clear_old_servers_say_nothing_of_nothing() {
    for (server, script) in
        [(Version::V3_3, vec![]), (Version::V3_7, vec![]), (Version::V3_8, vec![OK])]
    {
        let new = || Passage::in_the_clear(server, Version::V3_8, false);
        let mut script = script;
        script.push(Client(&[1]));
        let (verdict, to_client, to_server) = run(new, &script);
        assert_eq!((verdict, to_client), (Ok(Done(())), vec![0; 4]), "{server:?}");
        assert!(to_server.is_empty(), "the rest is the tunnel's");
    }
}

#[test]
fn whether_a_person_is_waited_for_is_known() {
    let mut passage = Passage::new(Version::V3_8, Version::V3_8, Subtype::X509Vnc);
    assert!(!passage.awaits_client());
    let _ = passage.server(&mut &[7; 16][..], &mut Vec::new());
    assert!(passage.awaits_client());
    let _ = passage.client(&mut &[7; 16][..], &mut Vec::new());
    assert!(!passage.awaits_client());
}
