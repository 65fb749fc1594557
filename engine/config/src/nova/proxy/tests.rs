//! Files and command lines of nova's proxies: what they mean, and what is refused.

use std::fs;
use std::path::Path;

use penstock_core::config::{
    ConsoleTarget, Scheme, SchemeOrder, Service, TokenSource, UpstreamTls, VncMode,
};
use penstock_core::policy::{Query, Verdict};
use penstock_core::tls::Verify;
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::tests::resolve;

const DATABASE: &str =
    "[database]\nconnection = mysql+pymysql://nova:canary@db/nova_cell1?charset=utf8\n";

/// What the program does with this file and these arguments.
fn asked(program: Program, file: &str, arguments: &[&str]) -> Result<Invocation, String> {
    let place = tempfile::tempdir().expect("a folder");
    asked_in(place.path(), program, file, arguments, &[])
}

fn asked_in(
    place: &Path,
    program: Program,
    file: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<Invocation, String> {
    let here = place.display().to_string();
    fs::write(place.join("nova.conf"), file.replace("HERE", &here)).expect("our folder");
    let named = format!("--config-file={here}/nova.conf");
    let given = arguments.iter().map(|argument| argument.replace("HERE", &here));
    let arguments: Vec<String> = [named].into_iter().chain(given).collect();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment: Vec<_> = environment.iter().map(owned).collect();
    match read(program, &arguments, &environment, &resolve) {
        Ok(Asked::Serve(invocation)) => Ok(*invocation),
        Ok(Asked::Help(text)) => panic!("{text}"),
        Err(refusal) => Err(refusal.to_string()),
    }
}

fn listener(program: Program, file: &str, arguments: &[&str]) -> Listener {
    let mut invocation = asked(program, file, arguments).unwrap_or_else(|error| panic!("{error}"));
    invocation.settings.config.listeners.remove(0)
}

fn addresses(listener: &Listener) -> Vec<String> {
    listener.addresses.iter().map(Address::to_string).collect()
}

#[test]
fn each_program_has_its_own_consoles_at_its_own_port() {
    for (program, address, console_type) in [
        (Program::Novnc, "0.0.0.0:6080", "novnc"),
        (Program::SpiceHtml5, "0.0.0.0:6082", "spice-html5"),
        (Program::Serial, "0.0.0.0:6083", "serial"),
    ] {
        let listener = listener(program, DATABASE, &["--web", "HERE"]);
        assert_eq!(addresses(&listener), [address]);
        let Service::Console(console) = &listener.service else { panic!("{program:?}") };
        let ConsoleTarget::Tokens(tokens) = &console.to else { panic!("{program:?}") };
        let TokenSource::NovaDatabase(nova) = &tokens.source else { panic!("{program:?}") };
        assert_eq!(&*nova.console_type, console_type);
        assert!(!nova.enforce_session_timeout && !console.silent);
        assert_eq!(&*nova.names.name(1, "u"), "instance-00000001");
        assert_eq!(listener.vnc.is_some(), program == Program::Novnc, "RFB is always judged");
    }
    let serial = listener(Program::Serial, DATABASE, &[]);
    let Service::Console(console) = &serial.service else { panic!("consoles") };
    assert!(console.web.is_none());
}

#[test]
fn options_of_ours_are_heeded_and_those_of_others_are_not() {
    let file = format!(
        "{DATABASE}[DEFAULT]\nmy_ip = ::1\nweb = HERE\ninstance_name_template = vm-%x\ntransport_url = rabbit://x\nlog_dir = HERE\nrecord = HERE/console\nlog_file = n.log\n[consoleauth]\nenforce_session_timeout = yes\n[vnc]\nnovncproxy_host = $my_ip\nnovncproxy_port = 6090\nauth_schemes = none\nenabled = maybe\n[console]\nallowed_origins = portal.example, other.example\n[glance]\nx = $nothing\n"
    );
    let invocation = asked(Program::Novnc, &file, &["--debug"]).expect("right");
    let listener = &invocation.settings.config.listeners[0];
    assert_eq!(addresses(listener), ["[::1]:6090"]);
    let vnc = listener.vnc.as_ref().expect("it is VNC");
    assert_eq!((vnc.mode, &vnc.schemes[..]), (VncMode::Authenticate, &[Scheme::None][..]));
    assert_eq!((vnc.order, listener.record.is_some()), (SchemeOrder::Server, true));
    let Service::Console(console) = &listener.service else { panic!("consoles") };
    let origins = console.origins.to_string();
    assert!(origins.contains("portal.example") && origins.contains("other.example"), "{origins}");
    let ConsoleTarget::Tokens(tokens) = &console.to else { panic!("tokens") };
    let TokenSource::NovaDatabase(nova) = &tokens.source else { panic!("nova's") };
    assert!(nova.enforce_session_timeout);
    assert_eq!(&*nova.names.name(31, "u"), "vm-1f");
    assert_eq!(invocation.settings.log.level, Level::Debug);
    assert!(invocation.log_file.as_ref().is_some_and(|path| path.ends_with("n.log")));
    let shown = format!("{invocation:?}");
    assert!(!shown.contains("canary"), "a password is shown");
    let named = asked(Program::Serial, &format!("{DATABASE}[DEFAULT]\nlog_dir=/v"), &[]);
    assert_eq!(named.expect("right").log_file, Some("/v/nova-serialproxy.log".into()));
}

#[test]
fn the_environment_is_above_files_and_below_the_command_line() {
    let file = format!("{DATABASE}[vnc]\nnovncproxy_host = 127.0.0.1\nnovncproxy_port = 1\n");
    let environment = [
        ("OS_VNC__NOVNCPROXY_PORT", "6999"),
        ("OS_DEFAULT__MY_IP", "::1"),
        ("OS_VNC__NOVNCPROXY_HOST", "$my_ip"),
        ("os_vnc__novncproxy_port", "2"),
        ("OS_VNC_NOVNCPROXY_PORT", "3"),
    ];
    let place = tempfile::tempdir().expect("a folder");
    let asked = |arguments: &[&str]| {
        let arguments = [&["--web", "HERE"], arguments].concat();
        let asked = asked_in(place.path(), Program::Novnc, &file, &arguments, &environment);
        addresses(&asked.expect("right").settings.config.listeners[0])
    };
    assert_eq!(asked(&[]), ["[::1]:6999"]);
    assert_eq!(asked(&["--vnc-novncproxy_port=4"]), ["[::1]:4"]);
}

#[test]
fn whoever_wants_syslog_is_told_where_messages_go() {
    let asked = asked(Program::Novnc, DATABASE, &["--use-syslog", "--web", "HERE"]);
    let warnings = asked.expect("right").warnings;
    assert!(warnings[0].contains("use_syslog has no effect"), "{warnings:?}");
}

#[test]
fn a_host_s_name_is_looked_up() {
    let file = format!("{DATABASE}[serial_console]\nserialproxy_host = dual\n");
    assert_eq!(addresses(&listener(Program::Serial, &file, &[])), ["10.0.0.1:6083"]);
    let six = listener(Program::Serial, &file, &["--source_is_ipv6"]);
    assert_eq!(addresses(&six), ["[fd00::1]:6083"]);
    let all = listener(Program::Serial, DATABASE, &["--serial_console-serialproxy_host=::"]);
    assert_eq!(addresses(&all), ["[::]:6083", "0.0.0.0:6083"]);
    let old = format!(
        "{DATABASE}[DEFAULT]\nnovncproxy_host = 127.0.0.1\nnovncproxy_port = 1\nweb = HERE"
    );
    assert_eq!(addresses(&listener(Program::Novnc, &old, &[])), ["127.0.0.1:1"]);
}

#[test]
fn serial_lines_are_behind_ports_of_the_range() {
    let may = |range: &str, port| {
        let file = format!("{DATABASE}[serial_console]\nport_range = {range}\n");
        let rules = listener(Program::Serial, &file, &[]).rules;
        let address = Some([10, 0, 0, 7].into());
        let query = Query {
            client: None,
            local: None,
            method: "",
            host: None,
            address,
            port,
            time: (0, 0),
        };
        matches!(rules.evaluate(&query), Verdict::Allow { .. })
    };
    let judged = [9999, 10000, 20000, 20001].map(|port| may("10000:20000", port));
    assert_eq!(judged, [false, true, true, false]);
    assert!(may("10000:20000", 0), "a page has no port");
    assert!(may("", 22) && may("1:65535", 22), "it is not said there");
}

/// A certificate, its key, and itself as authority.
fn write_certificate(place: &Path) {
    let key = KeyPair::generate().expect("random");
    let params = CertificateParams::new(vec!["gate".to_owned()]).expect("a name");
    let cert = params.self_signed(&key).expect("right");
    fs::write(place.join("cert.pem"), cert.pem()).expect("our folder");
    fs::write(place.join("key.pem"), key.serialize_pem()).expect("our folder");
}

#[test]
fn tls_is_where_files_are() {
    let place = tempfile::tempdir().expect("a folder");
    write_certificate(place.path());
    let vencrypt = format!(
        "{DATABASE}[DEFAULT]\nweb=HERE\ncert=HERE/cert.pem\nkey=HERE/key.pem\nssl_only=true\n[console]\nssl_minimum_version = tlsv1_1\nssl_ciphers = kEECDH+aRSA:RC4\n[vnc]\nauth_schemes = vencrypt,none\nvencrypt_ca_certs=HERE/cert.pem\nvencrypt_client_cert=HERE/cert.pem\nvencrypt_client_key=HERE/key.pem\n"
    );
    let invocation = asked_in(place.path(), Program::Novnc, &vencrypt, &[], &[]).expect("right");
    let listener = &invocation.settings.config.listeners[0];
    assert!(listener.tls.as_ref().is_some_and(|tls| tls.only));
    let Some(UpstreamTls { files, .. }) = &listener.upstream_tls else { panic!("{listener:?}") };
    assert!(matches!(files.verify, Verify::Authority), "a name is not asked for");
    let warned = invocation.warnings.join("\n");
    assert!(warned.contains("not spoken: RC4") && warned.contains("TLS 1.2"), "{warned}");
    let clear = asked(Program::Serial, &format!("{DATABASE}[DEFAULT]\ncert=HERE/none"), &[]);
    let clear = clear.expect("as nova has it");
    assert!(clear.settings.config.listeners[0].tls.is_none());
    assert!(clear.warnings[0].contains("no TLS"), "{:?}", clear.warnings);
}

#[test]
fn what_makes_no_sense_is_refused_by_its_name() {
    let with = |rest: &str| format!("{DATABASE}{rest}");
    for (program, file, arguments, says) in [
        (
            Program::Serial,
            "[api_database]\nconnection=mysql://a/b".to_owned(),
            &[][..],
            "[database] connection: ",
        ),
        (
            Program::Serial,
            "[database]\nconnection=oracle://u:canary@h/n".to_owned(),
            &[],
            "[database] connection: ",
        ),
        (
            Program::Serial,
            "[database]\nconnection=mysql://u:$canary@h/n".to_owned(),
            &[],
            "[database] connection: ",
        ),
        (Program::Novnc, with("[DEFAULT]\nweb=/nowhere"), &[], "files at /nowhere"),
        (Program::Novnc, with("[vnc]\nauth_schemes=tls"), &["--web=HERE"], "[vnc] auth_schemes: "),
        (
            Program::Novnc,
            with("[vnc]\nauth_schemes=vencrypt"),
            &["--web=HERE"],
            "[vnc] vencrypt_ca_certs: ",
        ),
        (
            Program::Serial,
            with("[serial_console]\nserialproxy_port=x"),
            &[],
            "[serial_console] serialproxy_port: ",
        ),
        (
            Program::Serial,
            with("[serial_console]\nserialproxy_host=no"),
            &[],
            "[serial_console] serialproxy_host: ",
        ),
        (
            Program::Serial,
            with("[serial_console]\nport_range=20000:10000"),
            &[],
            "[serial_console] port_range: ",
        ),
        (
            Program::Serial,
            with("[console]\nallowed_origins=https://a"),
            &[],
            "[console] allowed_origins: ",
        ),
        (Program::Serial, with("[console]\nssl_ciphers=RC4-SHA"), &[], "[console] ssl_ciphers: "),
        (
            Program::Serial,
            with("[console]\nssl_minimum_version=sslv3"),
            &[],
            "ssl_minimum_version: ",
        ),
        (Program::Serial, with("[DEFAULT]\ndaemon=perhaps"), &[], "[DEFAULT] daemon: "),
        (Program::Serial, with(""), &["--ssl_only"], "SSL only and self.pem not found"),
        (Program::Serial, with(""), &["--record=/nowhere/x"], "[DEFAULT] record: "),
        (Program::Serial, with(""), &["--frob"], "usage: penstock nova-serialproxy"),
    ] {
        let refused = asked(program, &file, arguments).expect_err(says);
        assert!(refused.contains(says), "{says}: {refused}");
        assert!(!refused.contains("canary"), "{refused}");
    }
}
