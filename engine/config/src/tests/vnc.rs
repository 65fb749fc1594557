//! What is done with VNC: what each key does, and each contradiction at its place, marked as `⟨what is wrong⟩`.

use penstock_core::config::{
    Account, Credentials, Listener, Password, Scheme, SchemeOrder, Subtype, Vnc, VncMode,
};

use super::gateways::{Files, assert_all_wrong_of};
use super::*;

/// A listener of consoles on a UNIX socket, unless `lines` say otherwise.
fn text(lines: &str) -> String {
    let default = |key: &str, line: &str| {
        if lines.contains(&format!("{key} =")) { String::new() } else { format!("{line}\n") }
    };
    let address = default("address", "address = \"unix:/run/a\"");
    let service = default("service", "service = \"console\"");
    let target = match lines.contains("tokens =") {
        true => String::new(),
        false => default("target", "target = \"tcp://10.0.0.7:5900\""),
    };
    format!("[[listen]]\nname = \"v\"\n{address}{service}{target}{lines}\n")
}

fn parsed(files: &Files, lines: &str) -> Listener {
    let text = files.filled(&text(lines));
    let mut settings = parse("f", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    settings.config.listeners.remove(0)
}

fn vnc(files: &Files, lines: &str) -> Vnc {
    parsed(files, lines).vnc.expect("it was asked for").as_ref().clone()
}

/// With a trusted authority, and the keys of `vnc`.
fn secure(keys: &str) -> String {
    format!("upstream_tls = {{ ca = \"DIR/ca\" }}\nvnc = {{ {keys} }}")
}

#[test]
fn what_is_left_out_is_the_safe_choice() {
    let files = Files::new();
    let listener = parsed(&files, &secure("mode = \"authenticate\""));
    assert_eq!(listener.vnc.as_deref(), Some(&Vnc::new(VncMode::Authenticate)));
    let upstream = listener.upstream_tls.expect("VeNCrypt is TLS");
    assert_eq!(upstream.max_record, 4096, "QEMU loses more");
    let vnc = vnc(&files, &secure("mode = \"bridge\""));
    assert_eq!((vnc.schemes, vnc.mode), (vec![Scheme::VeNCrypt], VncMode::Bridge));
    let untouched = parsed(&files, "vnc = { mode = \"pass\" }");
    assert!(untouched.vnc.is_none() && untouched.upstream_tls.is_none());
}

#[test]
fn each_key_does_what_it_says() {
    let files = Files::new();
    files.write("secret", "x\n");
    let account = |user: &str| {
        let password_file = files.filled("DIR/secret").into();
        Some(Account { user: user.into(), password_file })
    };
    let keys = "mode = \"authenticate\", schemes = [\"vencrypt\", \"vnc\", \"none\"], order = \"server\", password = { file = \"DIR/secret\" }, plain = { user = \"p\", password_file = \"DIR/secret\" }, sasl = { user = \"s\", password_file = \"DIR/secret\" }, view_only = true, force_shared = true";
    let expected = Vnc {
        schemes: vec![Scheme::VeNCrypt, Scheme::Vnc, Scheme::None],
        order: SchemeOrder::Server,
        credentials: Credentials {
            password: Some(Password::File(files.filled("DIR/secret").into())),
            plain: account("p"),
            sasl: account("s"),
        },
        view_only: true,
        force_shared: true,
        ..Vnc::new(VncMode::Authenticate)
    };
    assert_eq!(vnc(&files, &secure(keys)), expected);
    let folder = vnc(&files, &secure("mode = \"authenticate\", password = { dir = \"DIR\" }"));
    assert_eq!(folder.credentials.password, Some(Password::Folder(files.filled("DIR").into())));
    let tokens = "tokens = { plugin = \"JSONTokenApi\", source = \"http://h/%s\" }\n";
    let told = secure("mode = \"authenticate\", password = \"token\"");
    assert_eq!(vnc(&files, &[tokens, &told].concat()).credentials.password, Some(Password::Token));
    let native = secure(
        "mode = \"bridge\", listen = [\"x509none\", \"x509vnc\", \"x509plain\", \"x509sasl\"]",
    );
    let native = vnc(&files, &["service = \"forward\"\ntls = { PAIR }\n", &native].concat());
    let all = [Subtype::X509None, Subtype::X509Vnc, Subtype::X509Plain, Subtype::X509Sasl];
    assert_eq!(native.listen, all);
    let forced = secure("mode = \"bridge\", unencrypted_clients = true");
    assert!(vnc(&files, &["address = \"127.0.0.1:1\"\n", &forced].concat()).unencrypted_clients);
    let record = "upstream_tls = { ca = \"DIR/ca\", max_record = 9 }\nvnc = { mode = \"bridge\" }";
    assert!(parsed(&files, record).upstream_tls.is_some_and(|upstream| upstream.max_record == 9));
    let plain = parsed(&files, "vnc = { mode = \"authenticate\", schemes = [\"none\"] }");
    assert!(plain.upstream_tls.is_none(), "nothing is encrypted, and no CA is looked for");
}

#[test]
fn explanations_name_files_and_warn() {
    let files = Files::new();
    files.write("secret", "canary\n");
    let lines = secure(
        "mode = \"authenticate\", schemes = [\"vencrypt\", \"vnc\"], password = { file = \"DIR/secret\" }, view_only = true",
    );
    let text = files.filled(&text(&lines));
    let explained = explain(&parse("f", &text).expect("it is right"));
    for words in ["we log in at the server", "/secret", "may look", "DES of eight letters", "4096"]
    {
        assert!(explained.contains(words), "{words} in\n{explained}");
    }
    assert!(!explained.contains("canary"));
}

#[test]
fn what_would_be_without_effect_is_refused() {
    assert_all_wrong_of(
        text,
        &[
            ("vnc = { mode = \"pass\", schemes = ⟨[\"vnc\"]⟩ }", &["no effect", "pass"]),
            ("vnc = { mode = \"pass\", view_only = ⟨true⟩ }", &["`view_only`", "pass"]),
            (
                "vnc = { mode = \"bridge\", password = ⟨{ file = \"DIR/ca\" }⟩ }",
                &["client that answers"],
            ),
            (
                "vnc = { mode = \"authenticate\", unencrypted_clients = ⟨true⟩ }",
                &["nobody types a password"],
            ),
            (
                "upstream_tls = ⟨{ ca = \"DIR/ca\" }⟩\nvnc = { mode = \"authenticate\", schemes = [\"none\"] }",
                &["no \"vencrypt\""],
            ),
            ("vnc = { mode = ⟨\"proxy\"⟩ }", &["unknown variant"]),
            ("vnc = { mode = \"authenticate\", schemes = [⟨\"sasl\"⟩] }", &["unknown variant"]),
        ],
    );
    let connect = |lines: &str| {
        format!(
            "[[listen]]\nname = \"v\"\naddress = \"127.0.0.1:1\"\nservice = \"connect\"\naccess = [\"allow all\"]\n{lines}\n"
        )
    };
    assert_all_wrong_of(connect, &[("vnc = ⟨{ mode = \"bridge\" }⟩", &["CONNECT", "forward"])]);
}

#[test]
fn a_login_has_to_be_possible() {
    assert_all_wrong_of(
        text,
        &[
            ("vnc = { mode = \"authenticate\", schemes = ⟨[]⟩ }", &["by nothing"]),
            ("vnc = { mode = \"authenticate\", schemes = ⟨[\"vnc\"]⟩ }", &["expected `password`"]),
            (
                "vnc = { mode = \"authenticate\", password = ⟨{ file = \"DIR/none\" }⟩ }",
                &["is none"],
            ),
            ("vnc = { mode = \"authenticate\", password = ⟨{ dir = \"DIR/ca\" }⟩ }", &["is none"]),
            ("vnc = { mode = \"authenticate\", password = ⟨\"token\"⟩ }", &["no tokens here"]),
            (
                "tokens = { plugin = \"TokenFile\", source = \"/t\" }\nvnc = { mode = \"authenticate\", password = ⟨\"token\"⟩ }",
                &["JSONTokenApi alone"],
            ),
            (
                "vnc = { mode = \"authenticate\", password = ⟨\"secret\"⟩ }",
                &["file", "dir", "token"],
            ),
            (
                "vnc = { mode = \"authenticate\", sasl = { user = \"u\", password_file = ⟨\"DIR/none\"⟩ } }",
                &["is none"],
            ),
            (
                "target = \"unix:/run/x\"\nvnc = { mode = \"authenticate\", password = ⟨{ dir = \"DIR\" }⟩ }",
                &["host:port"],
            ),
        ],
    );
}

#[test]
fn clients_come_by_what_their_listener_speaks() {
    assert_all_wrong_of(
        text,
        &[
            ("vnc = { mode = \"authenticate\", listen = ⟨[\"x509none\"]⟩ }", &["browsers"]),
            (
                "service = \"forward\"\nvnc = { mode = \"bridge\", listen = ⟨[\"x509none\"]⟩ }",
                &["expected `tls`"],
            ),
            (
                "service = \"forward\"\ntls = { PAIR }\nvnc = { mode = \"authenticate\", listen = ⟨[\"x509vnc\"]⟩ }",
                &["client_auth", "bridge"],
            ),
            (
                "address = \"127.0.0.1:1\"\nvnc = { mode = ⟨\"bridge\"⟩ }",
                &["in the clear", "`tls`", "unencrypted_clients"],
            ),
            (
                "address = ⟨\"127.0.0.1:1\"⟩\nupstream_tls = { ca = \"DIR/ca\" }\nvnc = { mode = \"authenticate\" }",
                &["a console into which we log in", "unauthenticated"],
            ),
        ],
    );
}

#[test]
fn targets_are_servers_of_vnc() {
    assert_all_wrong_of(
        text,
        &[
            (
                "target = ⟨\"tls://h:1\"⟩\nupstream_tls = { ca = \"DIR/ca\" }\nvnc = { mode = \"authenticate\" }",
                &["`tcp://HOST:PORT`"],
            ),
            (
                "target = ⟨\"serial:/dev/ttyS0\"⟩\nvnc = { mode = \"authenticate\" }",
                &["about VNC servers"],
            ),
            (
                "target = ⟨\"unix:/run/x\"⟩\nupstream_tls = { ca = \"DIR/ca\" }\nvnc = { mode = \"authenticate\" }",
                &["`server_name`"],
            ),
        ],
    );
}

#[test]
fn consoles_that_are_no_vnc_have_no_login() {
    let files = Files::new();
    let of = |kind: &str, mark: [&str; 2], keys: &str| {
        let [open, close] = mark;
        let tokens = format!(
            "tokens = {{ plugin = \"nova-db\", url = \"sqlite:////a\", console_type = \"{kind}\" }}"
        );
        format!("{tokens}\nvnc = {open}{{ schemes = [\"none\"], {keys} }}{close}")
    };
    let others = ["spice-html5", "spice-direct", "serial", "rdp-html5", "webmks"];
    for (kind, mode) in
        others.into_iter().flat_map(|kind| [(kind, "bridge"), (kind, "authenticate")])
    {
        let lines = of(kind, ["⟨", "⟩"], &format!("mode = \"{mode}\", view_only = true"));
        assert_all_wrong_of(text, &[(&lines, &[kind, "no VNC", "leave `vnc` out"])]);
    }
    let api = "tokens = { plugin = \"nova\", auth_url = \"https://k:5000/v3\", username = \"u\", project = \"p\", password_file = \"DIR/ca\", console_type = \"serial\" }";
    let lines = format!("{api}\nvnc = ⟨{{ mode = \"authenticate\" }}⟩");
    assert_all_wrong_of(text, &[(&lines, &["serial", "no VNC"])]);
    let demo = "target = \"demo:\"\nvnc = ⟨{ mode = \"authenticate\", schemes = [\"none\"] }⟩";
    assert_all_wrong_of(text, &[(demo, &["built in", "leave `vnc` out"])]);
    let looked_at = of("novnc", ["", ""], "mode = \"authenticate\", view_only = true");
    assert!(vnc(&files, &looked_at).view_only);
    let mistyped = of("vnc", ["", ""], "mode = \"authenticate\"");
    let mistyped = mistyped.replace("\"vnc\"", "⟨\"vnc\"⟩");
    assert_all_wrong_of(text, &[(&mistyped, &["expected one of novnc"])]);
    let untouched = parsed(
        &files,
        "tokens = { plugin = \"nova-db\", url = \"sqlite:////a\", console_type = \"serial\" }\nvnc = { mode = \"pass\" }",
    );
    assert!(untouched.vnc.is_none());
}

#[test]
fn certificates_are_looked_for_where_viewers_have_them() {
    let lines = "target = ⟨\"tcp://10.0.0.7:5900\"⟩\nvnc = { mode = \"authenticate\" }";
    assert_all_wrong_of(text, &[(lines, &["libvirt-vnc/ca-cert.pem", "upstream_tls"])]);
}

#[test]
fn tickets_of_ovirt_say_themselves_whether_there_is_tls() {
    let files = Files::new();
    let lines = "tokens = { plugin = \"ovirt\", cert = \"DIR/ca\" }\nupstream_tls = { ca = \"DIR/ca\", verify = \"ca\" }\n";
    let listener = parsed(&files, lines);
    let expected = Vnc { or_spice: true, unencrypted_clients: true, ..Vnc::new(VncMode::Bridge) };
    assert_eq!(listener.vnc.as_deref(), Some(&expected), "as oVirt's proxy without TLS");
    assert_eq!(listener.upstream_tls.expect("configured").max_record, 4096);
    let by_tls = parsed(&files, &[lines, "tls = { PAIR }"].concat());
    assert!(by_tls.vnc.is_some_and(|vnc| !vnc.unencrypted_clients));
    for keys in ["mode = ⟨\"authenticate\"⟩", "mode = \"bridge\", view_only = ⟨true⟩"] {
        let wrong = format!("{lines}vnc = {{ {keys} }}");
        assert_all_wrong_of(text, &[(&wrong, &["tickets of oVirt's", "in the clear"])]);
    }
}
