//! Against a stand-in for both services, which is what its script says.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use penstock_core::config::KeystoneLogin;
use penstock_core::control::{Place, TokenFault};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::waiting;

/// What is answered to a question, by the number of the ticket that it came with: status and body.
type Script = fn(ticket: usize) -> Option<(u16, String)>;

/// Both services at one port.
struct Cloud {
    port: u16,
    /// Requests as they came.
    heard: Arc<Mutex<Vec<String>>>,
    logins: Arc<AtomicUsize>,
    place: tempfile::TempDir,
}

impl Cloud {
    /// Tickets live for `life`.
    fn start(life: TimeDelta, script: Script) -> Cloud {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let place = tempfile::tempdir().expect("a folder");
        fs::write(place.path().join("secret"), "canary\nnot read\n").expect("our folder");
        let cloud = Cloud { port, heard: Arc::default(), logins: Arc::default(), place };
        let (heard, logins) = (cloud.heard.clone(), cloud.logins.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (heard, logins) = (heard.clone(), logins.clone());
                std::thread::spawn(move || {
                    let request = read(&mut BufReader::new(&stream));
                    heard.lock().expect("alive").push(request.clone());
                    let answer = match request.starts_with("POST") {
                        true => Some(login(port, life, logins.fetch_add(1, SeqCst) + 1)),
                        false => script(ticket_of(&request)).map(|(status, body)| {
                            format!(
                                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
                                body.len()
                            )
                        }),
                    };
                    match answer {
                        Some(answer) => (&stream).write_all(answer.as_bytes()).expect("it listens"),
                        None => std::thread::sleep(Duration::from_secs(5)),
                    }
                });
            }
        });
        cloud
    }

    fn config(&self) -> NovaApi {
        NovaApi {
            auth_url: format!("http://127.0.0.1:{}/identity/v3/", self.port).into(),
            login: KeystoneLogin::Password {
                username: "penstock".into(),
                user_domain: "Default".into(),
                project: "service".into(),
                project_domain: "Default".into(),
                password_file: self.secret(),
            },
            endpoint: None,
            interface: None,
            region: Some("two".into()),
            ca: None,
            console_type: "novnc".into(),
            expected_origin_schemes: Vec::new(),
            max_session: None,
        }
    }

    fn secret(&self) -> std::path::PathBuf {
        self.place.path().join("secret")
    }

    fn requests(&self, method: &str) -> Vec<String> {
        let heard = self.heard.lock().expect("alive");
        heard.iter().filter(|request| request.starts_with(method)).cloned().collect()
    }
}

fn read(reader: &mut impl BufRead) -> String {
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("text");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a number");
        }
        request.push_str(&line);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    request + &String::from_utf8(body).expect("text")
}

fn login(port: u16, life: TimeDelta, number: usize) -> String {
    let endpoint = |interface: &str, region: &str, path: &str| json!({ "interface": interface, "region_id": region, "url": format!("http://127.0.0.1:{port}{path}") });
    let ends = (Utc::now() + life).to_rfc3339();
    let body = json!({ "token": { "expires_at": ends, "catalog": [
        { "type": "image", "endpoints": [endpoint("internal", "two", "/image")] },
        { "type": "compute", "endpoints": [
            endpoint("public", "two", "/public/v2.1"),
            endpoint("internal", "one", "/other/v2.1"),
            endpoint("internal", "two", "/compute/v2.1/"),
        ] },
    ] } })
    .to_string();
    format!(
        "HTTP/1.1 201 Created\r\nX-Subject-Token: ticket-{number}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn ticket_of(request: &str) -> usize {
    let value = request.split_once("ticket-").map(|(_, rest)| rest);
    let value = value.and_then(|rest| rest.split("\r\n").next()).unwrap_or_default();
    value.parse().expect("a ticket of ours")
}

fn of(nova: &NovaApi) -> NovaRest {
    NovaRest::new(nova, Threads::of_one(&waiting::Threads::new(4)), None)
}

fn shown(console: &Value) -> Option<(u16, String)> {
    Some((200, json!({ "console": console }).to_string()))
}

fn good(_: usize) -> Option<(u16, String)> {
    shown(&json!({ "instance_uuid": "u", "host": "10.0.0.7", "port": 5900, "tls_port": 5901,
        "internal_access_path": null }))
}

const HOUR: TimeDelta = TimeDelta::hours(1);

fn at(found: &Found) -> String {
    match &found.place {
        Place::Network(target) => target.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_api_wants_it() {
    let cloud = Cloud::start(HOUR, good);
    let nova = of(&cloud.config());
    for _ in 0..2 {
        let found = nova.look_up("3f1c-9a", Some("http")).await.expect("it is known");
        assert_eq!((at(&found).as_str(), found.terms), ("10.0.0.7:5900", None));
    }
    let [login] = &cloud.requests("POST")[..] else { panic!("one login for all") };
    assert!(login.starts_with("POST /identity/v3/auth/tokens HTTP/1.1\r\n"), "{login}");
    let body: Value =
        serde_json::from_str(login.rsplit_once("\r\n").expect("a body").1).expect("JSON");
    let user = &body["auth"]["identity"]["password"]["user"];
    assert_eq!((&user["name"], &user["password"]), (&json!("penstock"), &json!("canary")));
    assert_eq!(body["auth"]["scope"]["project"]["name"], json!("service"));
    let [asked, again] = &cloud.requests("GET")[..] else { panic!("asked anew each time") };
    assert!(
        asked.starts_with("GET /compute/v2.1/os-console-auth-tokens/3f1c-9a HTTP/1.1\r\n"),
        "{asked}"
    );
    for header in [
        "x-auth-token: ticket-1",
        "openstack-api-version: compute 2.31",
        "accept: application/json",
    ] {
        assert!(asked.contains(&format!("{header}\r\n")) && again.contains(header), "{asked}");
    }
}

#[tokio::test]
async fn an_application_credential_is_shown_without_a_scope() {
    let cloud = Cloud::start(HOUR, good);
    let endpoint = format!("http://127.0.0.1:{}/own", cloud.port);
    let login =
        KeystoneLogin::ApplicationCredential { id: "id".into(), secret_file: cloud.secret() };
    let config = NovaApi { login, endpoint: Some(endpoint.into()), ..cloud.config() };
    of(&config).look_up("t", None).await.expect("it is known");
    let login = cloud.requests("POST").remove(0);
    assert!(login.contains("\"secret\":\"canary\"") && !login.contains("scope"), "{login}");
    assert!(cloud.requests("GET")[0].starts_with("GET /own/os-console-auth-tokens/t "));
}

#[tokio::test]
async fn what_the_operator_says_stands_for_what_the_api_does_not() {
    let cloud = Cloud::start(HOUR, good);
    let (direct, limit) = ("spice-direct".into(), Duration::from_secs(600));
    let nova = of(&NovaApi {
        console_type: direct,
        expected_origin_schemes: vec!["https".into()],
        max_session: Some(limit),
        ..cloud.config()
    });
    let refused = nova.look_up("t", Some("http")).await.expect_err("another protocol");
    assert_eq!(refused.why, TokenFault::OtherPage);
    for page in [None, Some("https")] {
        let found = nova.look_up("t", page).await.expect("it is known");
        assert_eq!(at(&found), "10.0.0.7:5901");
        let terms = found.terms.expect("some");
        assert_eq!((terms.secured, terms.lifetime), (Some(true), Some(limit)));
    }
    assert!(cloud.requests("GET")[0].contains("openstack-api-version: compute 2.99\r\n"));
}

#[tokio::test]
async fn a_ticket_is_renewed_before_its_end_and_once_after_a_refusal() {
    let short = Cloud::start(TimeDelta::seconds(30), good);
    let nova = of(&short.config());
    for _ in 0..2 {
        nova.look_up("t", None).await.expect("it is known");
    }
    assert_eq!(short.logins.load(SeqCst), 2, "thirty seconds are no time");
    let revoked = |ticket| if ticket == 1 { Some((401, String::new())) } else { good(ticket) };
    let cloud = Cloud::start(HOUR, revoked);
    let nova = of(&cloud.config());
    for _ in 0..2 {
        nova.look_up("t", None).await.expect("it is known");
    }
    assert_eq!((cloud.logins.load(SeqCst), cloud.requests("GET").len()), (2, 3));
    let stubborn = Cloud::start(HOUR, |_| Some((401, String::new())));
    let refused = of(&stubborn.config()).look_up("t", None).await.expect_err("never");
    assert_eq!((refused.why, stubborn.logins.load(SeqCst)), (TokenFault::Unavailable, 2));
}

#[tokio::test]
async fn a_crowd_logs_in_once() {
    let cloud = Cloud::start(HOUR, good);
    let nova = Arc::new(of(&cloud.config()));
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let nova = nova.clone();
            tokio::spawn(async move { nova.look_up("t", None).await })
        })
        .collect();
    for one in crowd {
        one.await.expect("no panic").expect("it is known");
    }
    assert_eq!(cloud.logins.load(SeqCst), 1);
    let lost = NovaApi {
        login: KeystoneLogin::ApplicationCredential {
            id: "id".into(),
            secret_file: Path::new("/nowhere").into(),
        },
        ..cloud.config()
    };
    let refused = of(&lost).look_up("t", None).await.expect_err("no secret");
    assert!(refused.detail.contains("can't read /nowhere"), "{}", refused.detail);
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let answers: [(Script, TokenFault, &str); 8] = [
        (|_| Some((404, String::new())), TokenFault::Unknown, "knows no such token"),
        (|_| Some((400, String::new())), TokenFault::Unavailable, "2.31"),
        (|_| Some((403, String::new())), TokenFault::Unavailable, "policy"),
        (|_| Some((302, String::new())), TokenFault::Unavailable, "final URL"),
        (|_| Some((503, "canary".to_owned())), TokenFault::Unavailable, "503"),
        (|_| Some((200, "canary".to_owned())), TokenFault::Unavailable, "in JSON"),
        (|_| shown(&json!({ "host": "h", "port": null })), TokenFault::NoPlace, "no port"),
        (|_| shown(&json!({ "host": "can ary", "port": 1 })), TokenFault::NoPlace, "host"),
    ];
    for (script, why, says) in answers {
        let cloud = Cloud::start(HOUR, script);
        let refused = of(&cloud.config()).look_up("canary", None).await.expect_err(says);
        assert_eq!(refused.why, why, "{says}");
        assert!(refused.detail.contains(says), "{says}: {}", refused.detail);
        assert!(!refused.detail.contains("canary"), "{}", refused.detail);
    }
    let cloud = Cloud::start(HOUR, good);
    let refused = of(&cloud.config()).look_up("../servers", None).await.expect_err("no token");
    assert_eq!((refused.why, cloud.requests("GET").len()), (TokenFault::Unknown, 0));
    let region = NovaApi { region: Some("three".into()), ..cloud.config() };
    let refused = of(&region).look_up("t", None).await.expect_err("no such region");
    assert!(refused.detail.contains("no compute API"), "{}", refused.detail);
    let silent = Cloud::start(HOUR, |_| None);
    let hung = timeout(Duration::from_millis(300), of(&silent.config()).look_up("t", None)).await;
    assert!(hung.is_err(), "whoever asks has a time-out");
}
