//! Listeners of consoles: what each key does, and each contradiction at its place, marked as `⟨what is wrong⟩`.

use std::time::Duration;

use penstock_core::config::{
    Auth, Console, ConsoleTarget, Door, KeystoneLogin, Listener, Reach, RecordFormat, Service,
    TokenSource, Web,
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
    let Service::Console(of_target) = &listener.service else { panic!("{listener:?}") };
    assert_eq!(of_target.heartbeat, Some(Duration::from_secs(30)));
    assert_eq!(listener.half_close, HalfClose::Close, "a WebSocket ends both ways");
    let timeouts = listener.timeouts;
    assert_eq!((timeouts.idle, timeouts.user_idle), (None, None));
    assert_eq!(timeouts.lifetime, Some(Duration::from_secs(12 * 3600)));
    assert_eq!(timeouts.dead_peer, Some(Duration::from_secs(90)));
    let tokens = console("tokens = { plugin = \"TokenFile\", source = \"/t\" }").to;
    let ConsoleTarget::Tokens(tokens) = tokens else { panic!("{tokens:?}") };
    assert_eq!(tokens.timeout, Duration::from_secs(3));
    assert!(of_target.web.is_none() && of_target.auth.is_none() && !of_target.silent);
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
         websockify_compat = true\nmax_sessions = \"off\"\nauth = {{ plugin = \"BasicHTTPAuth\", source = \"a:b\" }}\n\
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
    assert!(!console.host_token && console.silent && console.web_auth);
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
        other => panic!("{other:?}"),
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
fn what_would_be_without_effect_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let sockets =
        format!("plugin = \"UnixDomainSocketDirectory\", source = \"{}\"", folder.path().display());
    let file = "plugin = \"TokenFile\", source = \"/t\"";
    let basic = "auth = { plugin = \"BasicHTTPAuth\", source = \"a:b\" }";
    let tls_to_sockets =
        format!("tokens = {{ {sockets} }}\nupstream_tls = ⟨{{ verify = \"off\" }}⟩");
    let bound = |key: &str| format!("host_token = true\ntokens = {{ {file}, {key} }}");
    let asked = format!("target = \"demo:\"\n{basic}\nunauthenticated = ⟨true⟩");
    let away = "which `KEY` would take away";
    assert_all_wrong_of(
        text,
        &[
            ("target = \"demo:\"\nhost_token = ⟨true⟩", &["about tokens", "`tokens`"]),
            ("target = \"demo:\"\nwebsockify_compat = ⟨true⟩", &["about tokens"]),
            ("target = \"demo:\"\ntimeouts = { token = ⟨\"1s\"⟩ }", &["`timeouts.token`"]),
            (&bound("single_use = ⟨true⟩"), &[&away.replace("KEY", "single_use")]),
            (&bound("bind_client = ⟨true⟩"), &[&away.replace("KEY", "bind_client")]),
            (&bound("expiry = ⟨\"1h\"⟩"), &[&away.replace("KEY", "expiry")]),
            (&tls_to_sockets, &["`server_name`"]),
            ("target = \"demo:\"\nupstream_tls = ⟨{}⟩", &["built in", "`upstream_tls`"]),
            ("target = \"demo:\"\nsend_proxy = ⟨\"v2\"⟩", &["built in knows no PROXY header"]),
            (
                "target = \"demo:\"\nheartbeat = \"off\"\ntimeouts = { dead_peer = ⟨\"1m\"⟩ }",
                &["nobody is asked", "`dead_peer`"],
            ),
            (
                "target = \"demo:\"\nheartbeat = \"1m\"\ntimeouts = { dead_peer = ⟨\"1m\"⟩ }",
                &["every 60s", "`heartbeat`"],
            ),
            ("target = \"demo:\"\norigins = ⟨[\"https://a\", \"*\"]⟩", &["all pages"]),
            (&asked, &["leave `unauthenticated` out"]),
            (
                "target = \"demo:\"\nrecord = { path = ⟨\"/nowhere/r\"⟩, format = \"asciicast\" }",
                &["no folder /nowhere"],
            ),
            (
                "service = \"forward\"\ntarget = \"tcp://h:1\"\ntimeouts = { dead_peer = ⟨\"1s\"⟩ }",
                &["`timeouts.dead_peer`", "\"console\""],
            ),
            (
                "service = \"forward\"\ntarget = \"tcp://h:1\"\ntimeouts = { token = ⟨\"1s\"⟩ }",
                &["`timeouts.token`", "\"console\""],
            ),
        ],
    );
    // What is switched off contradicts nothing.
    console(
        "target = \"demo:\"\nhost_token = false\nwebsockify_compat = false\nheartbeat = \"off\"\ntimeouts = { dead_peer = \"off\" }",
    );
    let by_host = format!("host_token = true\ntokens = {{ {file}, single_use = false }}");
    assert!(console(&by_host).host_token);
}

#[test]
fn who_comes_by_a_unix_socket_has_no_address() {
    let unix = |lines: &str| text(lines).replace("127.0.0.1:6080", "unix:/run/c.sock");
    let bound = "tokens = { plugin = \"TokenFile\", source = \"/t\", bind_client = ⟨true⟩ }";
    assert_all_wrong_of(
        unix,
        &[
            ("target = \"demo:\"\ntrusted_proxies = ⟨[\"10.0.0.0/8\"]⟩", &["has no address"]),
            (bound, &["has no address", "`bind_client`"]),
        ],
    );
}

/// Whose place is marked by itself.
fn open(lines: &str) -> String {
    text(lines).replace("\"127.0.0.1:6080\"", "⟨\"127.0.0.1:6080\"⟩")
}

/// Any program can say that it comes from any page.
#[test]
fn an_origin_is_nobodys_password() {
    let expected = "auth = { plugin = \"ExpectOrigin\", source = \"https://portal.example\" }";
    let of = |source: &str| {
        format!(
            "target = \"demo:\"\nauth = {{ plugin = ⟨\"ExpectOrigin\"⟩, source = \"{source}\" }}"
        )
    };
    let of_socket = format!("target = \"unix:/run/b\"\n{expected}");
    let pages = format!("target = \"demo:\"\n{expected}\nweb = \"demo:\"\nweb_auth = ⟨true⟩");
    assert_all_wrong_of(open, &[(&of_socket, &["a UNIX socket", "unauthenticated"])]);
    assert_all_wrong_of(
        text,
        &[
            (&pages, &["sends no Origin", "BasicHTTPAuth"]),
            (&of("*"), &["any program can"]),
            (&of(" "), &["nobody is in its source"]),
        ],
    );
    let listener = parsed(&format!("target = \"unix:/run/b\"\nunauthenticated = true\n{expected}"));
    let Service::Console(console) = &listener.service else { panic!("{listener:?}") };
    assert!(console.auth.is_none() && console.origins.judge(None, None, None).is_err());
}

#[test]
fn the_name_of_a_host_is_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = format!(
        "tokens = {{ plugin = \"UnixDomainSocketDirectory\", source = \"{}\" }}",
        folder.path().display()
    );
    let by_host = format!("{tokens}\nhost_token = true");
    assert_all_wrong_of(open, &[(&by_host, &["a UNIX socket", "unauthenticated"])]);
    console(&tokens);
    console(&format!("{by_host}\nunauthenticated = true"));
    console(&format!("{by_host}\nauth = {{ plugin = \"BasicHTTPAuth\", source = \"a:b\" }}"));
}

#[test]
fn a_browser_is_dead_after_three_questions() {
    let dead = |lines: &str| parsed(&format!("target = \"demo:\"\n{lines}")).timeouts.dead_peer;
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(dead("heartbeat = \"2m\""), seconds(360));
    assert_eq!(dead("heartbeat = \"off\""), None);
    assert_eq!(dead("heartbeat = \"1s\"\ntimeouts = { dead_peer = \"off\" }"), None);
    assert_eq!(dead("heartbeat = \"1s\"\ntimeouts = { dead_peer = \"2s\" }"), seconds(2));
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

#[test]
fn nova_s_database_is_read_by_its_url() {
    let lines = "tokens = { plugin = \"nova-db\", url = \"mysql+pymysql://nova:canary@db/nova_cell1\", console_type = \"novnc\", enforce_session_timeout = true, instance_name_template = \"vm-%x\" }";
    let ConsoleTarget::Tokens(tokens) = console(lines).to else { panic!("{lines}") };
    let TokenSource::NovaDatabase(nova) = &tokens.source else { panic!("{tokens:?}") };
    assert!(nova.enforce_session_timeout);
    assert_eq!(&*nova.names.name(31, "u"), "vm-1f");
    let settings = parse("f", &text(lines)).expect("right");
    let explained = explain(&settings);
    assert!(explained.contains("nova-db novnc mysql db:3306/nova_cell1"), "{explained}");
    assert!(explained.contains("of the same host, in the protocol that the token says"));
    assert!(!explained.contains("canary") && !format!("{settings:?}").contains("canary"));
    let named = format!("{lines}\nallowed_origins = [\"portal.example\"]");
    assert!(console(&named).origins.to_string().contains("of portal.example"));
    let good = "plugin = \"nova-db\", url = \"sqlite:////a\"";
    let typed = format!("tokens = {{ {good}, console_type = \"serial\" }}");
    let text_of = |lines: &str| text(lines);
    assert_all_wrong_of(
        text_of,
        &[
            ("tokens = { plugin = ⟨\"nova-db\"⟩, console_type = \"serial\" }", &["`url`"]),
            ("tokens = { plugin = ⟨\"nova-db\"⟩, url = \"sqlite:////a\" }", &["`console_type`"]),
            (
                "tokens = { plugin = \"nova-db\", url = ⟨\"canary\"⟩, console_type = \"serial\" }",
                &["mysql+pymysql://"],
            ),
            (
                "tokens = { plugin = \"nova-db\", url_file = ⟨\"/nowhere\"⟩, console_type = \"serial\" }",
                &["can't read it"],
            ),
            (
                &format!("tokens = {{ {good}, console_type = ⟨\"vnc\"⟩ }}"),
                &["one of novnc", "`vnc`"],
            ),
            (
                "tokens = { plugin = \"TokenFile\", source = \"/t\", url = ⟨\"sqlite:////a\"⟩ }",
                &["nova's tokens", "`TokenFile`"],
            ),
            (
                &format!("{typed}\nallowed_origins = ⟨[\"https://a\"]⟩"),
                &["names of hosts", "`https://a`"],
            ),
            (
                &format!("{typed}\norigins = [\"https://a\"]\nallowed_origins = ⟨[\"a\"]⟩"),
                &["leave it out"],
            ),
            ("target = \"demo:\"\nallowed_origins = ⟨[\"a\"]⟩", &["write `origins`"]),
        ],
    );
}

#[test]
fn nova_s_api_is_asked_by_who_we_are() {
    let api = "plugin = \"nova\", auth_url = \"https://k:5000/v3\", console_type = \"novnc\"";
    let password = format!("{api}, username = \"u\", project = \"p\", password_file = \"/s\"");
    let source = |table: &str| match console(&format!("tokens = {{ {table} }}")).to {
        ConsoleTarget::Tokens(tokens) => match &tokens.source {
            TokenSource::Nova(nova) => nova.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let KeystoneLogin::Password { user_domain, project, .. } = source(&password).login else {
        panic!("{password}")
    };
    assert_eq!((&*user_domain, &*project), ("Default", "p"));
    let credential = "application_credential_id = \"i\", application_credential_secret_file = \"/s\", max_session = \"1h\", expected_origin_schemes = [\"https\"]";
    let nova = source(&format!("{api}, {credential}"));
    assert!(matches!(nova.login, KeystoneLogin::ApplicationCredential { .. }));
    assert_eq!(nova.max_session, Some(Duration::from_secs(3600)));
    let table = |rest: &str| format!("tokens = {{ {rest} }}");
    assert_all_wrong_of(
        text,
        &[
            ("tokens = { plugin = ⟨\"nova\"⟩ }", &["`auth_url`"]),
            (&table(&api.replace("\"nova\"", "⟨\"nova\"⟩")), &["`password_file`"]),
            (
                &table(&format!("{password}, {credential}").replace("\"nova\"", "⟨\"nova\"⟩")),
                &["either"],
            ),
            (&table(&format!("{password}, url = ⟨\"sqlite:////a\"⟩")), &["leave it out"]),
            (&table(&format!("{password}, interface = ⟨\"x\"⟩")), &["internal", "`x`"]),
            (&table(&format!("{password}, endpoint = ⟨\"nova:8774\"⟩")), &["a URL"]),
            (
                "tokens = { plugin = \"TokenFile\", source = \"/t\", region = ⟨\"r\"⟩ }",
                &["nova's tokens"],
            ),
        ],
    );
}
