//! Sessions with OpenSSL and GnuTLS, over a socket: each suite in both roles, certificates on both sides, changes of keys, halves that
//! end before the other, sessions taken up again, and peers of old.

mod line;
mod programs;

use line::{End, Line};
use penstock_tls::{Agreed, ClientAuth, Error, VersionFault};
use programs::{Folder, Program, SUBJECT, connect, listener, port};

/// Each suite as OpenSSL selects it, as GnuTLS does, and by its name.
const SUITES: [(&str, &str, &str); 6] = [
    (
        "-tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256",
        "+VERS-TLS1.3:+AES-128-GCM",
        "TLS_AES_128_GCM_SHA256",
    ),
    (
        "-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384",
        "+VERS-TLS1.3:+AES-256-GCM",
        "TLS_AES_256_GCM_SHA384",
    ),
    (
        "-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256",
        "+VERS-TLS1.3:+CHACHA20-POLY1305",
        "TLS_CHACHA20_POLY1305_SHA256",
    ),
    (
        "-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256",
        "+VERS-TLS1.2:+AES-128-GCM",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    ),
    (
        "-tls1_2 -cipher ECDHE-ECDSA-AES256-GCM-SHA384",
        "+VERS-TLS1.2:+AES-256-GCM",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    ),
    (
        "-tls1_2 -cipher ECDHE-ECDSA-CHACHA20-POLY1305",
        "+VERS-TLS1.2:+CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
];

const OPENSSL_CLIENT: &str = "openssl s_client -quiet -verify_return_error -CAfile ca.pem -servername localhost -cert client.pem -key client.key";
const OPENSSL_SERVER: &str = "openssl s_server -quiet -Verify 1 -verify_return_error -CAfile ca.pem -cert server.pem -key server.key";
const GNUTLS_CLIENT: &str = "gnutls-cli 127.0.0.1 --sni-hostname=localhost --x509cafile=ca.pem --x509certfile=client.pem --x509keyfile=client.key";
const GNUTLS_SERVER: &str = "gnutls-serv --echo --require-client-cert --verify-client-cert --x509cafile=ca.pem --x509certfile=server.pem --x509keyfile=server.key";

/// Lines of digits: no program takes them for commands.
fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{number:063}\n")).collect()
}

/// A client program, with a server of ours.
fn as_server(folder: &Folder, command: &str) -> (Program, Result<(Line, Agreed), End>) {
    let (listener, port) = listener();
    let program = Program::start(folder, &command.replace("{port}", &port.to_string()));
    let stream = listener.accept().unwrap().0;
    let session = folder.server(ClientAuth::Require).session().unwrap();
    (program, Line::new(stream, session))
}

/// A server program, with a client of ours.
fn as_client(folder: &Folder, command: &str) -> (Program, Result<(Line, Agreed), End>) {
    let port = port();
    let program = Program::start(folder, &command.replace("{port}", &port.to_string()));
    let stream = connect(port, &program);
    (program, Line::new(stream, folder.client().session("localhost").unwrap()))
}

fn openssl_client(options: &str) -> String {
    format!("{OPENSSL_CLIENT} {options} -connect 127.0.0.1:{{port}}")
}

fn openssl_server(options: &str) -> String {
    format!("{OPENSSL_SERVER} {options} -accept 127.0.0.1:{{port}}")
}

fn gnutls(command: &str, priority: &str) -> String {
    format!("{command} --port={{port}} --priority=NORMAL:-VERS-ALL:-CIPHER-ALL:{priority}")
}

fn sound((program, line): (Program, Result<(Line, Agreed), End>)) -> (Program, Line, Agreed) {
    match line {
        Ok((line, agreed)) => (program, line, agreed),
        Err(end) => panic!("{end:?}: {}", program.said()),
    }
}

/// Bytes both ways, in records of several sizes.
fn talk(program: &mut Program, line: &mut Line, echoes: bool) {
    for (count, slice) in [(1, usize::MAX), (1000, usize::MAX), (300, 4096), (10, 1)] {
        let text = lines(count);
        line.write(text.as_bytes(), slice).unwrap();
        if echoes {
            assert_eq!(line.read(text.len()).unwrap(), text.as_bytes());
        } else {
            program.wait_for(&text);
            program.say(text.as_bytes());
            assert_eq!(line.read(text.len()).unwrap(), text.as_bytes());
        }
    }
}

#[test]
fn openssl_is_served_in_every_suite() {
    let folder = Folder::new();
    for (options, _, suite) in SUITES {
        let (mut program, mut line, agreed) = sound(as_server(&folder, &openssl_client(options)));
        assert_eq!((agreed.suite.as_str(), agreed.subject.as_deref()), (suite, Some(SUBJECT)));
        assert_eq!(line.server_name(), Some("localhost"));
        talk(&mut program, &mut line, false);
    }
}

#[test]
fn openssl_serves_us_in_every_suite() {
    let folder = Folder::new();
    for (options, _, suite) in SUITES {
        let (mut program, mut line, agreed) = sound(as_client(&folder, &openssl_server(options)));
        assert_eq!(agreed.suite, suite);
        talk(&mut program, &mut line, false);
    }
}

#[test]
fn gnutls_is_served_in_every_suite() {
    let folder = Folder::new();
    for (_, priority, suite) in SUITES {
        let (mut program, mut line, agreed) =
            sound(as_server(&folder, &gnutls(GNUTLS_CLIENT, priority)));
        assert_eq!((agreed.suite.as_str(), agreed.subject.as_deref()), (suite, Some(SUBJECT)));
        assert_eq!(line.server_name(), Some("localhost"));
        talk(&mut program, &mut line, false);
    }
}

#[test]
fn gnutls_serves_us_in_every_suite() {
    let folder = Folder::new();
    for (_, priority, suite) in SUITES {
        let (mut program, mut line, agreed) =
            sound(as_client(&folder, &gnutls(GNUTLS_SERVER, priority)));
        assert_eq!(agreed.suite, suite);
        talk(&mut program, &mut line, true);
    }
}

#[test]
fn keys_change_when_openssl_wants_them_to() {
    let folder = Folder::new();
    for is_server in [true, false] {
        let (mut program, mut line, _) = sound(match is_server {
            true => {
                let command = openssl_client("-tls1_3").replace("-quiet", "");
                as_server(&folder, &command)
            }
            false => as_client(&folder, &openssl_server("-tls1_3").replace("-quiet", "")),
        });
        for (command, text) in [("K\n", lines(2)), ("k\n", lines(3)), ("K\n", lines(400))] {
            // A server says nothing of it, and looks for commands at the beginning of what it reads at once.
            program.say_alone(command.as_bytes());
            if is_server {
                program.wait_for("KEYUPDATE");
            }
            program.say(text.as_bytes());
            assert_eq!(line.read(text.len()).unwrap(), text.as_bytes());
            line.write(text.as_bytes(), 1000).unwrap();
            program.wait_for(&text);
        }
    }
}

#[test]
fn keys_change_when_gnutls_wants_them_to() {
    let folder = Folder::new();
    let command = gnutls(GNUTLS_CLIENT, "+VERS-TLS1.3:+AES-256-GCM");
    let (mut program, mut line, _) =
        sound(as_server(&folder, &format!("{command} --inline-commands")));
    for _ in 0..3 {
        program.say(b"^rekey^\n");
        program.wait_for("Rekey was completed");
        let text = lines(100);
        program.say(text.as_bytes());
        assert_eq!(line.read(text.len()).unwrap(), text.as_bytes());
        line.write(text.as_bytes(), usize::MAX).unwrap();
        program.wait_for(&text);
    }
}

#[test]
fn one_half_may_end_before_the_other() {
    let folder = Folder::new();
    for (_, priority, _) in [SUITES[0], SUITES[3]] {
        let (mut program, mut line, _) =
            sound(as_server(&folder, &gnutls(GNUTLS_CLIENT, priority)));
        program.say(b"first words\n");
        program.hush();
        assert_eq!(line.end(), (b"first words\n".to_vec(), End::Closed));
        line.write(b"last words\n", usize::MAX).unwrap();
        program.wait_for("last words");
        line.close();
        program.wait_for("Peer has closed the GnuTLS connection");
    }
    for (options, ..) in [SUITES[0], SUITES[3]] {
        let (mut program, mut line, _) = sound(as_client(&folder, &openssl_server(options)));
        program.say(b"first words\n");
        assert_eq!(line.read(12).unwrap(), b"first words\n");
        line.close();
        assert_eq!(line.end(), (Vec::new(), End::Closed));
    }
}

#[test]
fn a_stream_that_just_ends_is_no_end() {
    let folder = Folder::new();
    let (program, mut line, _) = sound(as_server(&folder, &openssl_client("-tls1_3")));
    drop(program);
    assert_eq!(line.end().1, End::Cut);
}

#[test]
fn a_session_is_taken_up_again_and_its_client_is_known() {
    let folder = Folder::new();
    let server = folder.server(ClientAuth::Require);
    for version in ["-tls1_3", "-tls1_2"] {
        let (listener, port) = listener();
        for (file, resumed) in [("-sess_out", false), ("-sess_in", true)] {
            let command = openssl_client(&format!("{version} {file} {version}.session"));
            let mut program =
                Program::start(&folder, &command.replace("{port}", &port.to_string()));
            let stream = listener.accept().unwrap().0;
            let (mut line, agreed) = match Line::new(stream, server.session().unwrap()) {
                Ok(both) => both,
                Err(end) => panic!("{end:?}: {}", program.said()),
            };
            assert_eq!((agreed.resumed, agreed.version()), (resumed, label(version)));
            assert_eq!(agreed.subject.as_deref(), Some(SUBJECT));
            talk(&mut program, &mut line, false);
        }
    }
}

fn label(version: &str) -> &'static str {
    if version == "-tls1_3" { "TLSv1.3" } else { "TLSv1.2" }
}

#[test]
fn peers_of_old_are_refused_with_their_version() {
    let folder = Folder::new();
    for (version, newest) in [("-tls1", 0x0301), ("-tls1_1", 0x0302)] {
        let options = format!("{version} -cipher DEFAULT@SECLEVEL=0");
        let (program, end) = as_server(&folder, &openssl_client(&options));
        let Err(End::Refused(Error::Version { fault, .. })) = end else { panic!("no refusal") };
        assert_eq!(fault, VersionFault::Offered(newest));
        program.wait_for("alert protocol version");
        let (_program, end) = as_client(&folder, &openssl_server(&options));
        let Err(End::Refused(error)) = end else { panic!("no refusal") };
        assert!(matches!(error, Error::Version { .. }), "{error}");
    }
}

#[test]
fn openssl_does_not_get_a_second_handshake_of_us() {
    let folder = Folder::new();
    let command = openssl_client("-tls1_2").replace("-quiet", "");
    let (mut program, mut line, _) = sound(as_server(&folder, &command));
    program.say(b"R\n");
    let (_, end) = line.end();
    let End::Refused(error) = end else { panic!("{end:?}") };
    assert!(error.to_string().contains("renegotiate"), "{error}");
    program.wait_for("no renegotiation");
}

#[test]
fn who_shows_nothing_or_the_wrong_thing_is_told_by_an_alert() {
    let folder = Folder::new();
    let without = openssl_client("-tls1_3").replace("-cert client.pem -key client.key", "");
    let (program, end) = as_server(&folder, &without);
    assert!(matches!(end, Err(End::Refused(Error::Certificate { .. }))));
    program.wait_for("alert certificate required");
    let other = openssl_client("-tls1_2").replace("client.pem", "server.pem");
    let (program, end) = as_server(&folder, &other.replace("client.key", "server.key"));
    let Err(End::Refused(error)) = end else { panic!("no refusal") };
    assert!(error.to_string().contains("O=Lab,CN=server is not in `allowed_dn`"), "{error}");
    program.wait_for("alert certificate unknown");
}
