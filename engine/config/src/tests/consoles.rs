//! Listeners of consoles: what each key does, and each contradiction at its place, marked as `⟨what is wrong⟩`.

use std::time::Duration;

use penstock_core::config::{
    Auth, Console, ConsoleTarget, Door, Listener, Reach, RecordFormat, Service, TokenSource, Web,
};

use super::gateways::{Files, assert_all_wrong_of};
use super::*;

/// The one listener of a file, of consoles unless `lines` say otherwise.
fn text(lines: &str) -> String {
    let service = if lines.contains("service =") { "" } else { "service = \"console\"\n" };
    format!("[[listen]]\nname = \"c\"\naddress = \"127.0.0.1:6080\"\n{service}{lines}\n")
}

fn parsed(lines: &str) -> Listener {
    let mut settings = parse("f", &text(lines)).unwrap_or_else(|error| panic!("{error}\n{lines}"));
    settings.config.listeners.remove(0)
}

fn console(lines: &str) -> Console {
    match parsed(lines).service {
        Service::Console(console) => *console,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_left_out_is_what_most_want() {
    let listener = parsed("target = \"tcp://10.0.0.7:5900\"");
    let Service::Console(console) = &listener.service else { panic!("{listener:?}") };
    assert_eq!(console.heartbeat, Some(Duration::from_secs(30)));
    assert_eq!(listener.half_close, HalfClose::Close, "a WebSocket ends both ways");
    let timeouts = listener.timeouts;
    assert_eq!((timeouts.idle, timeouts.user_idle), (None, None));
    assert_eq!(timeouts.lifetime, Some(Duration::from_secs(12 * 3600)));
    assert_eq!(timeouts.dead_peer, Some(Duration::from_secs(90)));
    assert_eq!(timeouts.token, Duration::from_secs(3));
    assert!(console.web.is_none() && console.auth.is_none() && !console.silent);
    let verdict = |target: &str| {
        listener.rules.evaluate(&Query {
            client: None,
            local: None,
            method: "",
            host: None,
            address: target.parse().ok(),
            port: 5900,
            time: (0, 0),
        })
    };
    assert!(matches!(verdict("10.0.0.7"), Verdict::Allow { .. }));
    assert!(matches!(verdict("169.254.169.254"), Verdict::Deny { line: Some(0), .. }));
}

#[test]
fn each_key_does_what_it_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().display().to_string();
    let listener = parsed(&format!(
        "tokens = {{ plugin = \"TokenFile\", source = \"/etc/t\", single_use = true, bind_client = true, expiry = \"10m\" }}\n\
         web = \"{folder}\"\norigins = [\"https://portal.example\"]\ntrusted_proxies = [\"10.0.0.0/8\"]\nheartbeat = \"off\"\n\
         host_token = true\nwebsockify_compat = true\nmax_sessions = \"off\"\nauth = {{ plugin = \"BasicHTTPAuth\", source = \"a:b\" }}\n\
         web_auth = true\nrecord = {{ path = \"/r\", format = \"asciicast\" }}\n\
         timeouts = {{ token = \"1s\", user_idle = \"5m\", dead_peer = \"off\", lifetime = \"off\" }}"
    ));
    let Service::Console(console) = &listener.service else { panic!("{listener:?}") };
    let ConsoleTarget::Tokens(tokens) = &console.to else { panic!("{console:?}") };
    let source = TokenSource::File { path: "/etc/t".into(), read_only: false };
    assert_eq!((&tokens.source, tokens.timeout), (&source, Duration::from_secs(1)));
    assert!(tokens.single_use && tokens.bind_client);
    assert_eq!(tokens.expiry, Some(Duration::from_secs(600)));
    assert_eq!(console.web.as_deref(), Some(&Web::Directory(folder.into())));
    assert!(console.host_token && console.silent && console.web_auth);
    assert!(matches!(console.auth, Some(Auth::Basic(_))));
    assert_eq!((console.heartbeat, listener.max_sessions), (None, None));
    assert!(listener.trusted_proxies.contains("10.1.2.3".parse().expect("an address")));
    assert_eq!(listener.record.expect("it is recorded").format, RecordFormat::Asciicast);
    assert_eq!(listener.timeouts.user_idle, Some(Duration::from_secs(300)));
    assert_eq!((listener.timeouts.dead_peer, listener.timeouts.lifetime), (None, None));
}

#[test]
fn one_target_may_be_a_socket_a_line_tls_or_the_demo() {
    let reach = |lines: &str| match console(lines).to {
        ConsoleTarget::Fixed(destination) => destination.reach,
        ConsoleTarget::Tokens(tokens) => panic!("{tokens:?}"),
    };
    let door = |lines: &str| match reach(lines) {
        Reach::Door(door) => (*door).clone(),
        Reach::Network(target) => panic!("{target:?}"),
    };
    assert_eq!(door("target = \"demo:\""), Door::Demo);
    assert!(matches!(door("target = \"serial:/dev/ttyS0?baud=9600\""), Door::Terminal(_)));
    let open = "target = \"unix:/run/b\"\nunauthenticated = true";
    assert_eq!(door(open), Door::Unix(vec!["/run/b".into()]));
    let asked = "target = \"unix:/run/b\"\nauth = { plugin = \"BasicHTTPAuth\", source = \"a:b\" }";
    assert!(matches!(door(asked), Door::Unix(_)), "who is asked for a password is no stranger");
    assert!(matches!(reach("target = \"tcp://10.0.0.7:5900\""), Reach::Network(_)));
}

#[test]
fn contradictions_have_their_place() {
    let basic = "auth = { plugin = \"BasicHTTPAuth\", source = \"a:b\" }";
    let tokens = "tokens = { plugin = \"TokenFile\", source = \"/t\" }";
    let both = format!("target = ⟨\"tcp://10.0.0.7:1\"⟩\n{tokens}");
    let origins = "target = \"demo:\"\norigins = ⟨[\"https://a\"]⟩\nauth = { plugin = \"ExpectOrigin\", source = \"https://b\" }";
    let no_web = format!("target = \"demo:\"\n{basic}\nweb_auth = ⟨true⟩");
    assert_all_wrong_of(
        text,
        &[
            ("service = ⟨\"console\"⟩", &["needs `target`", "`tokens`"]),
            (&both, &["names the target", "leave `target` or `tokens` out"]),
            ("tokens = { plugin = ⟨\"my.Own\"⟩, source = \"/t\" }", &["class of a Python program"]),
            ("tokens = { plugin = ⟨\"TokenFile\"⟩ }", &["needs a `source`"]),
            ("tokens = { plugin = \"TokenFileName\", source = ⟨\"/nowhere\"⟩ }", &["a folder"]),
            ("target = ⟨\"qemu+tls://h/system\"⟩", &["a console is a stream of VNC"]),
            ("target = \"demo:\"\nweb = ⟨\"/nowhere\"⟩", &["a folder of pages"]),
            (
                "target = \"demo:\"\norigins = ⟨[\"portal\"]⟩",
                &["https://portal.example", "`portal`"],
            ),
            (origins, &["leave `origins` or `auth` out"]),
            ("target = \"demo:\"\nauth = { plugin = ⟨\"BasicHTTPAuth\"⟩ }", &["`source_file`"]),
            (
                "target = \"demo:\"\nauth = { plugin = ⟨\"BasicHTTPAuth\"⟩, source = \"x\" }",
                &["user:password"],
            ),
            (
                "target = \"demo:\"\nauth = { plugin = ⟨\"ClientCertCNAuth\"⟩, source = \"x\" }",
                &["nobody shows a certificate", "client_ca"],
            ),
            (&no_web, &["`auth`", "`web`"]),
            ("target = \"demo:\"\nhalf_close = ⟨\"close\"⟩", &["both ways at once"]),
            ("target = \"demo:\"\nlibvirt = ⟨true⟩", &["about libvirt"]),
            ("target = \"demo:\"\nconnect_timeout_status = ⟨504⟩", &["about CONNECT"]),
            (
                "service = \"forward\"\ntarget = \"tcp://h:1\"\nheartbeat = ⟨\"1s\"⟩",
                &["\"console\""],
            ),
            (
                "service = \"forward\"\ntarget = \"tcp://h:1\"\ntimeouts = { user_idle = ⟨\"1s\"⟩ }",
                &["`timeouts.user_idle`", "\"console\""],
            ),
            ("target = ⟨\"tcp://127.0.0.1:6080\"⟩", &["come back to us"]),
        ],
    );
}

#[test]
fn secrets_are_not_explained() {
    let files = Files::new();
    files.write("password", "user:canary-1\n");
    let lines = files.filled(
        "tokens = { plugin = \"TokenRedis\", source = \"r:1:2:canary-2\" }\n\
         auth = { plugin = \"BasicHTTPAuth\", source_file = \"DIR/password\" }",
    );
    let settings = parse("f", &text(&lines)).expect("valid");
    let explained = explain(&settings);
    assert!(explained.contains("TokenRedis r:1/2"), "{explained}");
    assert!(explained.contains("by user name and password"), "{explained}");
    let shown = format!("{explained}{settings:?}");
    assert!(!shown.contains("canary"), "{shown}");
}
