//! Services over TLS. Authorities are the system's, which the environment names for these tests: each runs itself once more with its own.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use penstock_core::config::{KeystoneLogin, NovaApi, TokenSource};
use penstock_core::control::TokenFault;
use penstock_tests::pki::{Authority, Folder, Issued, Wanted};
use penstock_tests::{loopback, process};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::rig::{Desk, Judged, place, tokens};

/// Set where a test runs itself.
const ADDRESS: &str = "PENSTOCK_TEST_SERVICE";
const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nh:5900";
/// Whose end is the end of the connection.
const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\nh:5900";

/// Says the same to everybody, with or without a word that this was all.
fn service(address: IpAddr, identity: &Issued, says: &'static str, closes: bool) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from(identity.der.clone())];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("an identity");
    let config = Arc::new(config);
    let listener = TcpListener::bind((address, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = ServerConnection::new(Arc::clone(&config)).expect("a server");
            let mut stream = StreamOwned::new(session, stream);
            let asked = stream.read(&mut [0; 4096]).is_ok();
            // Who does not believe us has gone.
            if asked && stream.write_all(says.as_bytes()).is_ok() && closes {
                stream.conn.send_close_notify();
            }
            let _ = stream.flush();
        }
    });
    address
}

/// Runs this very test once more, where that authority is the system's.
fn again(name: &str, address: SocketAddr, authority: &Authority) {
    let dir = process::directory();
    let file = dir.path().join("authority.pem");
    std::fs::write(&file, authority.pem()).expect("our directory");
    let said = run_again(name, address, &file);
    assert!(said.contains("1 passed"), "{said}");
}

fn run_again(name: &str, address: SocketAddr, authority: &Path) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", &format!("https::{name}"), "--nocapture"]);
    command.env(ADDRESS, address.to_string()).env("SSL_CERT_FILE", authority);
    process::run(command.env_remove("SSL_CERT_DIR"))
}

/// Where the service leads; none where the test has not run itself yet.
fn led_to() -> Option<Result<String, TokenFault>> {
    judged().map(|judged| place(&judged))
}

/// The same, with the words for the operator.
fn judged() -> Option<Judged> {
    let url = format!("https://{}/%s", std::env::var(ADDRESS).ok()?).into();
    let source = tokens(TokenSource::Api { url, json: false });
    let judged = Desk::start().look_up(&source, "a-token");
    if let Err(refused) = &judged {
        eprintln!("{}", refused.detail);
    }
    Some(judged)
}

#[test]
fn a_service_that_the_system_s_authorities_know_is_believed() {
    if let Some(place) = led_to() {
        return assert_eq!(place, Ok("h:5900".to_owned()));
    }
    let (authority, address) = (Authority::new("the system's"), loopback::address().into());
    let identity = authority.issue(&Wanted::server(address));
    for (says, closes) in [(WHOLE, true), (WHOLE, false), (OPEN, true)] {
        let service = service(address, &identity, says, closes);
        again("a_service_that_the_system_s_authorities_know_is_believed", service, &authority);
    }
}

#[test]
fn a_service_with_another_authority_or_name_is_not() {
    if let Some(place) = led_to() {
        return assert_eq!(place, Err(TokenFault::Unavailable));
    }
    let [authority, other] = ["the system's", "another"].map(Authority::new);
    let address = loopback::address().into();
    let wrong = [
        other.issue(&Wanted::server(address)),
        authority.issue(&Wanted::server(loopback::address())),
        authority.issue(&Wanted::server(address).expired()),
    ];
    for identity in wrong {
        let service = service(address, &identity, WHOLE, true);
        again("a_service_with_another_authority_or_name_is_not", service, &authority);
    }
}

#[test]
fn an_answer_that_may_have_been_cut_off_is_not_believed() {
    if let Some(judged) = judged() {
        let refused = judged.expect_err("it may go on");
        assert_eq!(refused.why, TokenFault::Unavailable);
        return assert!(refused.detail.contains("cut off"), "{}", refused.detail);
    }
    let (authority, address) = (Authority::new("the system's"), loopback::address().into());
    let identity = authority.issue(&Wanted::server(address));
    let service = service(address, &identity, OPEN, false);
    again("an_answer_that_may_have_been_cut_off_is_not_believed", service, &authority);
}

/// What both Keystone and the compute API could have said.
const NOVA: &str = "HTTP/1.1 200 OK\r\nX-Subject-Token: t\r\nContent-Length: 47\r\n\r\n{\"token\":{},\"console\":{\"host\":\"h\",\"port\":5900}}";

#[test]
fn nova_proves_its_name_by_the_authority_that_is_named() {
    let (folder, stranger) = (Folder::new(), Folder::new());
    let address = loopback::address();
    let issued = folder.authority.issue(&Wanted::server(address));
    let service = service(address.into(), &issued, NOVA, true);
    let secret_file = folder.path("secret");
    std::fs::write(&secret_file, "s").expect("our folder");
    let found = |ca: Option<&Folder>| {
        let nova = NovaApi {
            auth_url: format!("https://{service}/v3").into(),
            login: KeystoneLogin::ApplicationCredential {
                id: "i".into(),
                secret_file: secret_file.clone(),
            },
            endpoint: Some(format!("https://{service}/v2.1").into()),
            interface: None,
            region: None,
            ca: ca.map(Folder::authority_file),
            console_type: "serial".into(),
            expected_origin_schemes: Vec::new(),
            max_session: None,
        };
        place(&Desk::start().look_up(&tokens(TokenSource::Nova(Box::new(nova))), "a-token"))
    };
    assert_eq!(found(Some(&folder)), Ok("h:5900".to_owned()));
    for other in [Some(&stranger), None] {
        assert_eq!(found(other), Err(TokenFault::Unavailable), "it could be anybody");
    }
}
