//! Command lines: what they mean, and what is wrong with them.

use penstock_core::config::{Address, Auth, Console, ConsoleTarget, Listener, Service};
use penstock_core::tls::{ClientAuth, MinVersion};

use super::*;
use crate::tests::resolve;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn read_words(words: &[String]) -> Invocation {
    match read(words, &resolve) {
        Ok(Asked::Serve(invocation)) => *invocation,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn invocation(line: &str) -> Invocation {
    read_words(&words(line))
}

fn refusal(line: &str) -> Refusal {
    read(&words(line), &resolve).map(|_| ()).expect_err(line)
}

fn listener(invocation: &Invocation) -> &Listener {
    &invocation.settings.config.listeners[0]
}

fn console(invocation: &Invocation) -> &Console {
    match &listener(invocation).service {
        Service::Console(console) => console,
        other => panic!("{other:?}"),
    }
}

/// From where to where.
fn way(line: &str) -> String {
    let invocation = invocation(line);
    let from: Vec<_> = listener(&invocation).addresses.iter().map(Address::to_string).collect();
    let to = match &console(&invocation).to {
        ConsoleTarget::Fixed(destination) => destination.text.to_string(),
        ConsoleTarget::Tokens(tokens) => format!("{:?}", tokens.source),
    };
    format!("{} -> {to}", from.join(" "))
}

#[test]
fn positional_arguments_say_from_where_to_where() {
    let cases = [
        ("6080 localhost:5900", "0.0.0.0:6080 -> tcp://localhost:5900"),
        (":6080 10.0.0.7:5900", "0.0.0.0:6080 -> tcp://10.0.0.7:5900"),
        ("127.0.0.1:6080 :5900", "127.0.0.1:6080 -> tcp://127.0.0.1:5900"),
        ("[::1]:6080 [fd00::7]:5900", "[::1]:6080 -> tcp://[fd00::7]:5900"),
        ("::1:6080 ::1:5900", "[::1]:6080 -> tcp://[::1]:5900"),
        ("[::]:6080 a:1", "[::]:6080 0.0.0.0:6080 -> tcp://a:1"),
        ("-6 6080 a:1", "[::]:6080 0.0.0.0:6080 -> tcp://a:1"),
        ("dual:6080 a:1", "10.0.0.1:6080 -> tcp://a:1"),
        ("--prefer-ipv6 dual:6080 a:1", "[fd00::1]:6080 -> tcp://a:1"),
        ("6080 --unix-target=/run/vm.sock", "0.0.0.0:6080 -> unix:/run/vm.sock"),
        ("--unix-listen /run/ws.sock a:1", "unix:/run/ws.sock -> tcp://a:1"),
        ("--inetd a:1", "the socket at standard input -> tcp://a:1"),
        ("6080 --target-config /t", "0.0.0.0:6080 -> TokenFile \"/t\""),
        (
            "6080 --token-plugin ReadOnlyTokenFile --token-source /t",
            "0.0.0.0:6080 -> ReadOnlyTokenFile \"/t\"",
        ),
        (
            "6080 --token-plugin TokenRedis --token-source r:1:2:secret",
            "0.0.0.0:6080 -> TokenRedis r:1/2",
        ),
    ];
    for (line, expected) in cases {
        assert_eq!(way(line), expected, "{line}");
    }
    let here = std::env::current_dir().expect("a directory");
    assert_eq!(way("6080 --unix-target a"), format!("0.0.0.0:6080 -> unix:{}/a", here.display()));
}

#[test]
fn options_may_be_shortened_joined_repeated_and_anywhere() {
    let asked = invocation("-vD 6080 --idle-t=7 a:1 --timeout 0x10 --timeout 3");
    assert!(asked.daemon && asked.settings.log.level == Level::Debug);
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(asked.ending, Ending { timeout: seconds(3), idle: seconds(7), once: false });
    assert_eq!(invocation("6080 a:1 --timeout=0").ending, Ending::default());
    assert_eq!(invocation("6080 a:1 --timeout=010").ending.timeout, seconds(8));
    assert_eq!(listener(&invocation("6080 a:1 --run-once")).max_sessions, Some(1));
    assert!(
        matches!(read(&words("--nonsense --help"), &resolve), Err(refusal) if refusal.exit_code() == 2)
    );
    assert!(read(&words("--he 1 2 3"), &resolve).is_err(), "heartbeat or help");
    assert!(matches!(read(&words("6080 -h"), &resolve), Ok(Asked::Help(_))));
}

#[test]
fn nothing_ends_a_console_that_did_not_end_one_in_websockify() {
    let asked = invocation("6080 a:1");
    let limits = listener(&asked).timeouts;
    assert_eq!((limits.idle, limits.lifetime, limits.user_idle), (None, None, None));
    assert_eq!((limits.dead_peer, console(&asked).heartbeat), (None, None));
    assert_eq!(asked.settings.config.engine.drain_timeout, Duration::ZERO);
    assert!(console(&asked).silent && !console(&asked).web_auth);
    let beating = invocation("6080 a:1 --heartbeat 30");
    assert_eq!(console(&beating).heartbeat, Some(Duration::from_secs(30)));
    assert_eq!(listener(&beating).timeouts.dead_peer, Some(Duration::from_secs(90)));
}

#[test]
fn pages_of_all_origins_may_ask_and_that_is_said_unless_some_are_listed() {
    let judge = |asked: &Invocation, origin: &str| {
        let origin = Some(origin.as_bytes()).filter(|bytes| !bytes.is_empty());
        console(asked).origins.judge(origin, Some(b"a"), None).is_ok()
    };
    let open = invocation("6080 a:1");
    assert!(judge(&open, "https://evil.example") && judge(&open, ""));
    assert!(open.warnings.iter().any(|line| line.contains("ExpectOrigin")), "{:?}", open.warnings);
    let list = "https://a.example https://b.example";
    let mut line = words("6080 a:1 --auth-plugin ExpectOrigin --auth-source");
    line.push(list.to_owned());
    let closed = read_words(&line);
    assert!(judge(&closed, "https://b.example"));
    assert!(!judge(&closed, "https://evil.example") && !judge(&closed, ""));
    assert!(!closed.warnings.iter().any(|line| line.contains("ExpectOrigin")));
}

#[test]
fn a_folder_of_sockets_is_spoken_to_without_tls() {
    let line = "6080 --ssl-target --token-plugin UnixDomainSocketDirectory --token-source /tmp";
    let asked = invocation(line);
    assert!(listener(&asked).upstream_tls.is_none());
    assert!(asked.warnings.iter().any(|line| line.contains("--ssl-target has no effect")));
}

#[test]
fn a_link_local_target_is_for_who_starts_it_to_name_and_not_for_tokens() {
    let line = |invocation: &Invocation| format!("{:?}", listener(invocation).rules);
    assert!(!line(&invocation("6080 169.254.169.254:80")).contains("to_linklocal"));
    let tokens = invocation("6080 --target-config /t");
    assert!(line(&tokens).contains("linklocal"), "{}", line(&tokens));
}

#[test]
fn logs_are_where_somebody_reads_them() {
    let access = |line: &str| {
        let access = invocation(line).settings.log.access;
        access.map(|log| log.path.display().to_string())
    };
    assert_eq!(access("6080 a:1").as_deref(), Some("-"));
    assert_eq!(access("6080 a:1 -D"), None);
    assert_eq!(access("--inetd a:1"), None, "standard output may be a socket");
    assert_eq!(access("6080 a:1 -D --log-file /var/log/ws").as_deref(), Some("/var/log/ws"));
    let syslog = |line: &str| invocation(line).syslog.expect("one is asked for");
    let to = SyslogPlace::Unix("/dev/log".into());
    assert_eq!(syslog("6080 a:1 --syslog /dev/log"), Syslog { to, legacy: false });
    let to = SyslogPlace::Udp("loghost".to_owned(), 514);
    assert_eq!(
        syslog("6080 a:1 --syslog loghost:514 --legacy-syslog"),
        Syslog { to, legacy: true }
    );
}

/// A certificate and its key in one file, as websockify's manual makes them.
fn certificate(dir: &tempfile::TempDir) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let path = dir.path().join("self.pem");
    std::fs::write(&path, made.signing_key.serialize_pem() + &made.cert.pem()).expect("a file");
    path.display().to_string()
}

#[test]
fn a_certificate_that_is_there_is_used_beside_connections_in_the_clear() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = certificate(&dir);
    let tls = |rest: &str| {
        let asked = invocation(&format!("6080 a:1 --cert {path} {rest}"));
        let tls = listener(&asked).tls.as_ref().expect("a certificate");
        (tls.only, tls.files.client_auth, tls.files.min_version)
    };
    assert_eq!(tls(""), (false, ClientAuth::Off, MinVersion::Tls12));
    assert_eq!(tls("--ssl-only"), (true, ClientAuth::Off, MinVersion::Tls12));
    assert_eq!(tls("--ssl-version tlsv1_3").2, MinVersion::Tls13);
    assert_eq!(tls(&format!("--verify-client --cafile {path}")).1, ClientAuth::Require);
    let names = invocation(&format!(
        "6080 a:1 --cert {path} --verify-client --cafile {path} --auth-plugin ClientCertCNAuth --auth-source alice"
    ));
    assert_eq!(console(&names).auth, Some(Auth::CommonName(vec!["alice".into()])));
    let plain = invocation("6080 a:1 --cert /nowhere/self.pem");
    assert!(listener(&plain).tls.is_none());
    assert!(plain.warnings.iter().any(|line| line.contains("/nowhere/self.pem is not there")));
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").expect("a file");
    let refused = refusal(&format!("6080 a:1 --cert {}", empty.display()));
    assert_eq!(refused.exit_code(), 1, "{refused}");
}

#[test]
fn a_wrong_command_line_is_refused_with_usage_and_what_it_names_without() {
    let usage = [
        ("", "Too few arguments"),
        ("6080", "Too few arguments"),
        ("6080 a:1 b:2", "Too many arguments"),
        ("6080 --unix-target /a b:2", "Too many arguments"),
        ("http a:1", "Error parsing listen port"),
        ("6080 a", "Error parsing target"),
        ("6080 a:vnc", "Error parsing target port"),
        ("--unix-listen /a --unix-listen-mode 9 a:1", "octal"),
        ("6080 a:1 --token-source x", "--token-plugin to use --token-source"),
        ("6080 a:1 --host-token", "--token-plugin to use --host-token"),
        ("6080 a:1 --auth-source x", "--auth-plugin to use --auth-source"),
        ("6080 a:1 --web-auth --auth-plugin BasicHTTPAuth", "--web to use --web-auth"),
        ("6080 a:1 --web-auth", "--auth-plugin to use --web-auth"),
        ("6080 a:1 --legacy-syslog", "--syslog to use --legacy-syslog"),
        ("6080 a:1 --syslog host:x", "Error parsing syslog port"),
        ("6080 a:1 --ssl-only --cert /nowhere", "SSL only and /nowhere not found"),
        ("6080 a:1 --timeout x", "invalid integer value: 'x'"),
        ("6080 a:1 --ssl-version tlsv9", "invalid choice: 'tlsv9'"),
        ("6080 a:1 --wrap-mode x", "invalid choice"),
        ("6080 a:1 --cert", "requires 1 argument"),
        ("6080 a:1 --daemon=yes", "does not take a value"),
        ("6080 a:1 --nonsense", "no such option: --nonsense"),
        ("6080 a:1 -x", "no such option: -x"),
        ("6080 a:1 --ssl", "ambiguous option: --ssl"),
        ("6080 a:1 --ssl-ciphers HIGH", "--ssl-ciphers is not supported"),
        ("6080 -- Xvnc :1", "a command behind `--` is not supported"),
        ("6080 --token-plugin my.Plugin --token-source x", "class of a Python program"),
        ("6080 a:1 --auth-plugin my.Plugin", "class of a Python program"),
    ];
    for (line, words) in usage {
        let refused = refusal(line);
        let text = refused.to_string();
        assert!(text.contains(words) && text.starts_with("Usage:"), "{line}: {text}");
        assert_eq!(refused.exit_code(), 2, "{line}");
    }
    let unusable = [
        ("70000 a:1", "up to 65535"),
        ("nowhere:6080 a:1", "can't listen on nowhere"),
        ("6080 a:0", "port 0"),
        ("6080 a_/:1", "Error parsing target"),
        ("6080 --token-plugin Hub --token-source x", "got `Hub`"),
        ("6080 --token-plugin TokenFileName --token-source /nowhere", "/nowhere is none"),
        ("6080 a:1 --auth-plugin Hub", "got `Hub`"),
        ("6080 a:1 --auth-plugin BasicHTTPAuth --auth-source nobody", "user:password"),
        ("6080 a:1 --auth-plugin ExpectOrigin --auth-source nobody", "got `nobody`"),
        ("6080 a:1 --auth-plugin ClientCertCNAuth --auth-source a", "add --verify-client"),
        ("6080 a:1 --web /nowhere", "/nowhere is none"),
        ("6080 a:1 --record /nowhere/r", "--record: there is no folder /nowhere"),
        ("6080 a:1 --record /tmp/", "expected the beginning of names"),
        ("6080 a:1 --auth-plugin ExpectOrigin --auth-source *", "any program can"),
        ("6080 a:1 --auth-plugin ExpectOrigin", "nobody is in it"),
        (
            "6080 a:1 --web /tmp --web-auth --auth-plugin ExpectOrigin --auth-source https://a",
            "sends no Origin",
        ),
    ];
    for (line, words) in unusable {
        let refused = refusal(line);
        assert!(refused.to_string().contains(words), "{line}: {refused}");
        assert_eq!(refused.exit_code(), 1, "{line}");
    }
}

#[test]
fn secrets_leave_the_command_line_and_come_back_out_of_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut number = 0;
    let mut hide = |line: &str| {
        let mut keep = |secret: &str| {
            number += 1;
            let path = dir.path().join(number.to_string());
            std::fs::write(&path, secret).map(|()| path)
        };
        hidden(&words(line), &mut keep).expect("room for files")
    };
    for line in ["6080 a:1", "6080 --target-config /t", "--nonsense --key-password x"] {
        assert_eq!(hide(line), None, "{line}");
    }
    assert_eq!(hide("6080 --token-plugin TokenFile --token-source /t"), None, "it is no secret");
    let shown =
        hide("-v 6080 a:1 --key-p canary7 --auth-plugin BasicHTTPAuth --auth-source=u:canary7")
            .expect("two secrets");
    assert!(!shown.iter().any(|word| word.contains("canary7")), "{shown:?}");
    assert_eq!(shown[..3], ["--verbose", "6080", "a:1"]);
    let asked = read_words(&shown);
    let Some(Auth::Basic(basic)) = &console(&asked).auth else { panic!("no password") };
    assert!(basic.judge(Some(b"Basic dTpjYW5hcnk3")).is_ok(), "u:canary7");
    let redis = hide("6080 --token-plugin TokenRedis --token-source r:1:2:canary7").expect("one");
    assert!(!redis.iter().any(|word| word.contains("canary7")), "{redis:?}");
    let both = refusal("6080 a:1 --key-password x --key-password-file y");
    assert!(both.to_string().contains("say the same"), "{both}");
}

#[test]
fn every_option_is_in_the_help() {
    for known in &options::KNOWN {
        assert!(help::HELP.contains(&format!("--{}", known.long)), "--{}", known.long);
    }
}
