//! Viewer and server with each other, in pieces of every size, and with those who break the rules.

use super::*;

/// Both until both are done, each hearing the other in pieces; how often TLS began.
fn converse(server: &mut Server, piece: usize) -> usize {
    let (mut viewer, mut tls) = (Viewer::default(), 0);
    let (mut to_viewer, mut to_server) = (VERSION.to_vec(), Vec::new());
    let (mut viewers, mut servers) = (Step::Waiting, Step::Waiting);
    while !to_viewer.is_empty() || !to_server.is_empty() {
        for part in std::mem::take(&mut to_viewer).chunks(piece) {
            viewers = viewer.take(part, &mut to_server).unwrap();
        }
        for part in std::mem::take(&mut to_server).chunks(piece) {
            servers = server.take(part, &mut to_viewer).unwrap();
            tls += usize::from(servers == Step::Tls);
        }
    }
    assert_eq!((viewers, servers), (Step::Done, Step::Done));
    tls
}

#[test]
fn a_viewer_and_a_server_that_asks_for_nothing_agree() {
    for piece in [1, 2, 3, 5, 100] {
        assert_eq!(converse(&mut Server::new(false), piece), 0);
    }
}

#[test]
fn a_server_takes_tls_with_a_certificate_and_nothing_else() {
    let mut server = Server::new(true);
    let mut said = Vec::new();
    let words: [(&[u8], Step); 4] = [
        (b"RFB 003.008\n", Step::Waiting),
        (&[19], Step::Waiting),
        (&[0, 2], Step::Waiting),
        (&[0, 0, 1, 4], Step::Tls),
    ];
    for (word, step) in words {
        assert_eq!(server.take(word, &mut said).unwrap(), step);
    }
    // One type; its version; taken, and one subtype; taken.
    assert_eq!(said, [1, 19, 0, 2, 0, 1, 0, 0, 1, 4, 1]);
    assert_eq!(server.secured(), [0; 4]);
    assert_eq!(server.take(&[1], &mut said).unwrap(), Step::Done);
}

#[test]
fn who_breaks_the_rules_is_told_of() {
    let refusal = |mut server: Server, words: &[&[u8]]| {
        let mut results = words.iter().map(|word| server.take(word, &mut Vec::new()));
        format!("{:#}", results.find_map(Result::err).unwrap())
    };
    let version = VERSION.as_slice();
    assert_eq!(refusal(Server::new(true), &[version, &[1]]), "[1] in place of Type");
    assert_eq!(refusal(Server::new(false), &[version, &[19]]), "[19] in place of Type");
    assert_eq!(refusal(Server::new(false), &[version, &[1, 1]]), "more than Type");
    let anonymous: &[&[u8]] = &[version, &[19], &[0, 2], &[0, 0, 1, 1]];
    assert!(refusal(Server::new(true), anonymous).ends_with("in place of Subtype"));

    let complaint = |words: &[&[u8]]| {
        let mut viewer = Viewer::default();
        let mut results = words.iter().map(|word| viewer.take(word, &mut Vec::new()));
        format!("{:#}", results.find_map(Result::err).unwrap())
    };
    assert!(complaint(&[b"RFB 003.003\n"]).starts_with("the server began with"));
    assert!(complaint(&[version, &[2, 2, 19]]).ends_with("types [2, 19]"));
    assert!(complaint(&[version, &[1, 1], &[0, 0, 0, 1]]).starts_with("it did not let us in"));
}
