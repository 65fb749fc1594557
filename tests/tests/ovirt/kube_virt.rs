//! Consoles behind a Kubernetes API: a stand-in that asks for both protocols, over TLS.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use penstock_tests::connect::be_patient;
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::web_socket::{BINARY, close, frame};
use penstock_tests::{Driver, both_drivers, loopback};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::{Message, WebSocket, accept_hdr};

use crate::rig::{Engine, MOMENT, Plan, Proxy, Ticket};

both_drivers! {
    a_console_of_kube_virt_carries_bytes_both_ways,
    ends_of_a_console_of_kube_virt_are_passed_on,
    who_reads_slowly_holds_up_the_api_and_loses_nothing,
    an_api_that_is_not_the_one_meant_is_not_told_the_token,
    an_api_is_judged_by_the_rules_as_any_other_target,
}

const PATH: &str = "/apis/subresources.kubevirt.io/v1/namespaces/default/virtualmachineinstances/vm%2F7/vnc?preserveSession=true";
/// With letters in which the alphabets of Base64 differ.
const TOKEN: &str = "canary~~~???>>>";
/// Its base64url, without padding.
const SENT: &str = "Y2FuYXJ5fn5-Pz8_Pj4-";

type Console = WebSocket<StreamOwned<ServerConnection, TcpStream>>;

/// A stand-in for the API.
struct Api {
    address: SocketAddr,
    /// What was asked for: the target and the protocols.
    asked: Receiver<[String; 2]>,
    consoles: Receiver<Console>,
}

impl Api {
    /// Whose certificate is for its address.
    fn start(folder: &Folder) -> Api {
        let address = SocketAddr::from((loopback::address(), 6443));
        let listener = TcpListener::bind(address).expect("an address of ours");
        folder.pair("api", &Wanted::server(address.ip()));
        let config = Arc::new(config(folder));
        let (tell, asked) = channel();
        let (hand_over, consoles) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                be_patient(&stream).expect("a socket");
                let session = ServerConnection::new(config.clone()).expect("a session");
                serve(StreamOwned::new(session, stream), &tell, &hand_over);
            }
        });
        Api { address, asked, consoles }
    }

    fn ticket(&self) -> Ticket {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        Ticket::new(
            &json!({ "host": host, "port": port, "ssl_target": false, "path": PATH, "token": TOKEN }),
        )
    }
}

fn config(folder: &Folder) -> ServerConfig {
    let read = |name: &str| std::fs::read(folder.path(name)).expect("it was written");
    let chain = vec![CertificateDer::from_pem_slice(&read("api.pem")).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(&read("api.key")).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_no_client_auth();
    builder.with_single_cert(chain, key).expect("a pair")
}

/// As the API does: the token is taken out of the protocols, and what is left of them is spoken.
#[expect(clippy::result_large_err, reason = "the library's own type")]
fn serve(
    stream: StreamOwned<ServerConnection, TcpStream>,
    tell: &Sender<[String; 2]>,
    hand_over: &Sender<Console>,
) {
    let judge = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let header = request.headers().get("Sec-WebSocket-Protocol");
        let protocols = header.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let _ = tell.send([request.uri().to_string(), protocols.clone()]);
        let bearer = format!("base64url.bearer.authorization.k8s.io.{SENT}");
        let offered: Vec<&str> = protocols.split(',').map(str::trim).collect();
        if !offered.contains(&bearer.as_str()) || !offered.contains(&"plain.kubevirt.io") {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = tungstenite::http::StatusCode::UNAUTHORIZED;
            return Err(refused);
        }
        let plain = "plain.kubevirt.io".parse().expect("a value");
        response.headers_mut().insert("Sec-WebSocket-Protocol", plain);
        Ok(response)
    };
    if let Ok(console) = accept_hdr(stream, judge) {
        let _ = hand_over.send(console);
    }
}

/// A proxy, the API that it trusts, and the two ends of a console.
fn house(driver: Driver) -> (Proxy, Api, Engine) {
    let engine = Engine::new();
    let proxy = Plan::new(driver, &engine).start();
    let api = Api::start(&proxy.pki);
    (proxy, api, engine)
}

fn a_console_of_kube_virt_carries_bytes_both_ways(driver: Driver) {
    let (proxy, api, engine) = house(driver);
    let mut browser = proxy.open(&api.ticket().signed(&engine));
    // Sent ahead, before anybody is there.
    browser.say(&frame(BINARY, b"RFB"));
    let [path, protocols] =
        api.asked.recv_timeout(penstock_tests::connect::PATIENCE).expect("it asks");
    assert_eq!(path, PATH);
    assert_eq!(
        protocols,
        format!("base64url.bearer.authorization.k8s.io.{SENT}, plain.kubevirt.io")
    );
    let mut console = api.consoles.recv().expect("a console");
    assert_eq!(console.read().expect("a message"), Message::binary(&b"RFB"[..]));
    // Of either kind; pings are nobody's bytes.
    console.send(Message::Ping("p".into())).expect("it is open");
    console.send(Message::binary(vec![7; 100_000])).expect("it is open");
    console.send(Message::text("text")).expect("it is open");
    assert_eq!(browser.data(100_004)[99_998..], *b"\x07\x07text");
    for length in [1, 1000, 200_000] {
        let bytes: Vec<u8> = (0..length).map(|n| n as u8).collect();
        browser.say(&frame(BINARY, &bytes));
        let mut came = Vec::new();
        while came.len() < length {
            match console.read().expect("a message") {
                Message::Binary(bytes) => came.extend(bytes),
                Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(came, bytes, "{length}");
    }
    let said = proxy.said();
    assert!(!said.contains("canary") && !said.contains(SENT), "{said}");
}

fn ends_of_a_console_of_kube_virt_are_passed_on(driver: Driver) {
    let (proxy, api, engine) = house(driver);
    let ticket = api.ticket().signed(&engine);
    let open = || {
        let mut browser = proxy.open(&ticket);
        let mut console = api.consoles.recv().expect("a console");
        console.send(Message::binary(&b"."[..])).expect("it is open");
        assert_eq!(browser.data(1), b".");
        (browser, console)
    };
    let (mut browser, mut console) = open();
    browser.say(&frame(BINARY, b"last words"));
    browser.say(&close(1000, ""));
    assert_eq!(console.read().expect("a message"), Message::binary(&b"last words"[..]));
    assert!(console.read().expect("a message").is_close());
    assert_eq!(browser.closed().0, Some(1000));
    let (mut browser, mut console) = open();
    console.send(Message::binary(&b"last words"[..])).expect("it is open");
    console.close(None).expect("it is open");
    assert_eq!(browser.data(10), b"last words");
    assert_eq!(browser.closed().0, Some(1000));
    // Without a word.
    let (mut browser, console) = open();
    drop(console);
    assert_eq!(browser.closed().0, Some(1000));
    let records = proxy.records(3);
    assert!(
        records.iter().all(|record| record["target"] == api.address.to_string()),
        "{records:?}"
    );
}

fn who_reads_slowly_holds_up_the_api_and_loses_nothing(driver: Driver) {
    const MESSAGES: usize = 600;
    const LENGTH: usize = 64 << 10;
    let (proxy, api, engine) = house(driver);
    let mut browser = proxy.open(&api.ticket().signed(&engine));
    let mut console = api.consoles.recv().expect("a console");
    let (tell, sent) = channel();
    let writer = std::thread::spawn(move || {
        for number in 0..MESSAGES {
            console.send(Message::binary(vec![number as u8; LENGTH])).expect("it is open");
            let _ = tell.send(number);
        }
        console
    });
    std::thread::sleep(5 * MOMENT);
    let stuck = sent.try_iter().count();
    assert!(stuck < MESSAGES / 2, "{stuck} messages went where nobody read");
    // Meanwhile the other way is open.
    browser.say(&frame(BINARY, b"key"));
    let data = browser.data(MESSAGES * LENGTH);
    assert!(data.chunks(LENGTH).enumerate().all(|(n, piece)| piece.iter().all(|b| *b == n as u8)));
    let mut console = writer.join().expect("it ended");
    assert_eq!(console.read().expect("a message"), Message::binary(&b"key"[..]));
}

fn an_api_that_is_not_the_one_meant_is_not_told_the_token(driver: Driver) {
    let engine = Engine::new();
    let stranger = Folder::new();
    let api = Api::start(&stranger);
    let ticket = api.ticket().signed(&engine);
    let proxy = Plan::new(driver, &engine).start();
    assert_eq!(proxy.open(&ticket).closed().0, Some(1011));
    assert!(proxy.records(1)[0].to_string().contains("TLS with the Kubernetes API"));
    assert!(api.asked.try_recv().is_err(), "it was asked");
    let careless = Plan::new(driver, &engine).arguments(&["--insecure-target"]).start();
    let mut browser = careless.open(&ticket);
    api.consoles.recv().expect("a console").send(Message::binary(&b"."[..])).expect("it is open");
    assert_eq!(browser.data(1), b".");
    // A token that the API does not take.
    let refused = json!({ "host": api.address.ip().to_string(), "port": "6443", "ssl_target": true, "path": PATH, "token": "other" });
    let mut browser = careless.open(&Ticket::new(&refused).signed(&engine));
    assert_eq!(browser.closed().0, Some(1011));
    let records = careless.records(2);
    assert!(
        records.iter().any(|record| record.to_string().contains("answered 401")),
        "{records:?}"
    );
}

fn an_api_is_judged_by_the_rules_as_any_other_target(driver: Driver) {
    let engine = Engine::new();
    let proxy = Plan::new(driver, &engine).start();
    let status = |host: &str| {
        let data =
            json!({ "host": host, "port": "80", "ssl_target": true, "path": "/", "token": TOKEN });
        proxy.ask(&Ticket::new(&data).signed(&engine).path()).status
    };
    assert_eq!(status("169.254.169.254"), 403);
    // Where nobody is, a browser is told by a close code.
    assert_eq!(status(&loopback::address().to_string()), 101);
}
