//! Servers that are not what they should be, or do not let us in: what the operator reads, and what the client is told, which is short
//! and names nobody.

use penstock_tests::peers::{SASL_USER, VncGuest, VncSetup};
use penstock_tests::pki::{Authority, Folder, Issued, Wanted};
use penstock_tests::vnc::client::{Failure, Login};
use penstock_tests::vnc::server::{Script, Server};
use penstock_tests::vnc::{V33, V37, V38, security, subtype};
use penstock_tests::{Driver, both_drivers, loopback, names};

use crate::rig::{Front, House, Plan, told};

both_drivers! {
    qemus_certificate_is_judged,
    qemu_does_not_let_us_in,
    what_qemu_offers_is_not_enough,
    a_refusal_is_said_in_the_clients_version,
    who_is_no_vnc_server_is_told_so,
}

/// What the client is told instead of a console: a reason in words, if that could still be said.
fn refusal(house: &House, name: &str, version: &[u8]) -> Option<String> {
    let login = Login::new(security::NONE).version(version);
    match house.open(name, &login).expect_err("there is no console") {
        Failure::Nothing(words) => Some(words),
        Failure::Refused(_, words) => words,
        Failure::Broken(_, parting) => parting.map(|(_, words)| words),
        other => panic!("{other:?}"),
    }
}

/// A target with one fault, the end that is expected, and words for the operator.
struct Case {
    name: &'static str,
    target: String,
    upstream: String,
    vnc: String,
    end: &'static str,
    words: Vec<String>,
}

/// Opens each once: who hears what.
fn assert_told(mut plan: Plan, cases: &[Case]) -> House {
    for case in cases {
        let comma = if case.vnc.is_empty() { "" } else { ", " };
        let more = plan.vnc(&case.upstream, &format!("mode = \"authenticate\"{comma}{}", case.vnc));
        plan = plan.listener(case.name, Front::Console, &case.target, &more);
    }
    let house = plan.start();
    let wrong: Vec<String> =
        cases.iter().enumerate().flat_map(|(n, case)| judge(&house, n + 1, case)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    house.is_empty();
    house
}

/// What is wrong with how one of them ends.
fn judge(house: &House, count: usize, case: &Case) -> Vec<String> {
    let said = refusal(house, case.name, V38);
    let record = house.record(count);
    let (reason, detail) = told(&record);
    assert_eq!(record["listener"], case.name);
    eprintln!("{}: {reason}: {detail}; the client hears {said:?}", case.name);
    let mut wrong = Vec::new();
    if reason != case.end {
        wrong.push(format!("{reason}, not {}: {detail}", case.end));
    }
    let missing = case.words.iter().filter(|word| !detail.contains(*word));
    wrong.extend(missing.map(|word| format!("{word:?} is missing in: {detail}")));
    let said = said.unwrap_or_default();
    let is_terse = (1..=100).contains(&said.len()) && !said.chars().any(char::is_control);
    let names = ["127.", ".pem", "secret", "/", "SHA", Folder::AUTHORITY];
    if !is_terse || names.iter().any(|name| said.contains(name)) {
        wrong.push(format!("the client hears {said:?}"));
    }
    wrong.into_iter().map(|what| format!("{}: {what}", case.name)).collect()
}

/// QEMU with a certificate that is as wanted, of the plan's authority or of another.
fn qemu(
    plan: &Plan,
    name: &str,
    other: Option<&Authority>,
    wanted: &Wanted,
    setup: VncSetup,
) -> VncGuest {
    let identity = other.unwrap_or(&plan.pki.authority).issue(wanted);
    let folder = plan.pki.path(name);
    plan.pki.authority.qemu_server(&folder, &identity);
    setup.certificates(&folder).start()
}

fn qemus_certificate_is_judged(driver: Driver) {
    let plan = Plan::new(driver);
    let stranger = Authority::new("Others");
    // QEMU itself looks at its own certificate, and so has to have one that fits its authority.
    let of_stranger = {
        let setup = VncSetup::new();
        let identity = stranger.issue(&Wanted::server(setup.address().ip()));
        stranger.qemu_server(&plan.pki.path("stranger"), &identity);
        setup.certificates(&plan.pki.path("stranger")).start()
    };
    let other = Wanted::named_server("other.invalid");
    let misnamed = qemu(&plan, "misnamed", None, &other, VncSetup::new());
    let common = Wanted::server_by_common_name("other.invalid");
    let by_common_name = qemu(&plan, "common", None, &common, VncSetup::new());
    let cases = [
        ("authority", &of_stranger, vec!["no CA".to_owned(), "ca.pem".to_owned()]),
        ("name", &misnamed, vec!["other.invalid".to_owned(), "server_name".to_owned()]),
        ("common-name", &by_common_name, vec!["other.invalid".to_owned()]),
    ]
    .map(|(name, guest, words)| Case {
        name,
        target: format!("tcp://{}", guest.address()),
        upstream: String::new(),
        vnc: String::new(),
        end: "target tls certificate_refused",
        words,
    });
    let house = assert_told(plan, &cases);
    assert_eq!(house.daemon.handshakes("target"), 0.0);

    // A common name is a name where there is no other, and counted.
    let plan = Plan::new(driver);
    let guest =
        qemu(&plan, "qemu", None, &Wanted::server_by_common_name("hypervisor"), VncSetup::new());
    let more = plan.vnc("server_name = \"hypervisor\"", "mode = \"authenticate\"");
    let target = format!("tcp://{}", guest.address());
    let house = plan.listener("old", Front::Console, &target, &more).start();
    drop(house.open("old", &Login::new(security::NONE)).expect("a console"));
    assert_eq!(house.daemon.metric(names::BY_COMMON_NAME, &[("listener", "old")]), 1.0);
}

fn qemu_does_not_let_us_in(driver: Driver) {
    let plan = Plan::new(driver);
    let place = |setup: &VncSetup| Wanted::server(setup.address().ip());
    let setup = VncSetup::new().password("secret");
    let wanted = place(&setup);
    let by_password = qemu(&plan, "1", None, &wanted, setup);
    let setup = VncSetup::new().sasl("scram-sha-256");
    let wanted = place(&setup);
    let by_scram = qemu(&plan, "2", None, &wanted, setup);
    let setup = VncSetup::new().sasl("plain");
    let wanted = place(&setup);
    let by_plain = qemu(&plan, "3", None, &wanted, setup);
    let mutual = |name: &str, more: fn(VncSetup) -> VncSetup| {
        let setup = VncSetup::new();
        let identity: Issued = plan.pki.authority.issue(&place(&setup));
        plan.pki.authority.qemu_server(&plan.pki.path(name), &identity);
        more(setup.mutual(&plan.pki.path(name))).start()
    };
    let picky = mutual("4", |setup| setup);
    let listed = mutual("5", |setup| setup.only("O=Penstock,CN=proxy"));
    let file = plan.file("wrong", "wrong\n");
    let account = format!("sasl = {{ user = \"{SASL_USER}\", password_file = {file} }}");
    let pair = plan.pki.pair("another", &Wanted::client(&[("CN", "another")]));
    let cases = [
        (
            "password",
            &by_password,
            "",
            format!("password = {{ file = {file} }}"),
            vec!["Authentication failed`", "password"],
        ),
        ("scram", &by_scram, "", account.clone(), vec!["SASL"]),
        ("plain", &by_plain, "", account, vec!["SASL"]),
        ("no-certificate", &picky, "", String::new(), vec!["certificate"]),
        ("unlisted", &listed, pair.as_str(), String::new(), vec!["certificate"]),
    ]
    .map(|(name, guest, upstream, vnc, words)| Case {
        name,
        target: format!("tcp://{}", guest.address()),
        upstream: upstream.to_owned(),
        vnc,
        end: "target login not_let_in",
        words: words.into_iter().map(str::to_owned).collect(),
    });
    assert_told(plan, &cases);
}

fn what_qemu_offers_is_not_enough(driver: Driver) {
    let plan = Plan::new(driver);
    let anonymous = VncSetup::new().anonymous().start();
    let in_the_clear = VncSetup::new().sasl("digest-md5").start();
    let open = VncSetup::new().start();
    let with_password = VncSetup::new().password("secret").start();
    let setup = VncSetup::new().sasl("digest-md5");
    let wanted = Wanted::server(setup.address().ip());
    let outdated = qemu(&plan, "digest", None, &wanted, setup);
    let file = plan.file("password", "secret\n");
    let sasl = format!("sasl = {{ user = \"{SASL_USER}\", password_file = {file} }}");
    let cases = [
        ("anonymous", &anonymous, String::new(), vec!["TLSNone (257)", "tls-creds-x509"]),
        ("sasl", &in_the_clear, sasl.clone(), vec!["SASL (20)", "X509SASL"]),
        ("open", &open, String::new(), vec!["None (1)", "vnc_tls = 1"]),
        (
            "with-password",
            &with_password,
            format!("password = {{ file = {file} }}"),
            vec!["VNC (2)", "vnc_tls = 1"],
        ),
        ("digest", &outdated, sasl, vec!["DIGEST-MD5", "SCRAM-SHA-256"]),
    ]
    .map(|(name, guest, vnc, words)| Case {
        name,
        target: format!("tcp://{}", guest.address()),
        upstream: String::new(),
        vnc,
        end: "target login no_common_security",
        words: words.into_iter().map(str::to_owned).collect(),
    });
    assert_told(plan, &cases);
}

fn a_refusal_is_said_in_the_clients_version(driver: Driver) {
    let (plan, address) = (Plan::new(driver), loopback::address().into());
    let server =
        Server::start_at(address, Script::vencrypt(&[subtype::X509_VNC], plan.server(address)));
    let more = plan.vnc(
        "",
        &format!(
            "mode = \"authenticate\", password = {{ file = {} }}",
            plan.file("wrong", "wrong\n")
        ),
    );
    let target = format!("tcp://{}", server.address());
    let house = plan.listener("wrong", Front::Console, &target, &more).start();
    for (n, version) in [V33, V37, V38].into_iter().enumerate() {
        let said = refusal(&house, "wrong", version).expect("words");
        assert!(!said.is_empty() && said.len() <= 100, "{said}");
        assert!(!server.visit().admitted);
        let (reason, detail) = told(&house.record(n + 1));
        assert!(reason.ends_with("not_let_in"), "{reason}: {detail}");
    }
    house.is_empty();
}

fn who_is_no_vnc_server_is_told_so(driver: Driver) {
    let mut plan = Plan::new(driver);
    let nobody = Script { reason: "Too many\u{7} failures\0".to_owned(), ..Script::new(&[]) };
    let servers = [
        ("ssh", Script::new(&[1]).version(b"SSH-2.0-xyz\n"), "SSH-2.0-xyz"),
        ("repeater", Script::new(&[1]).version(b"RFB 000.000\n"), "repeater"),
        ("nobody", nobody, "Too many"),
        ("busy", Script { verdict: Some(2), ..Script::new(&[1]) }, "too often"),
        ("unknown", Script { verdict: Some(7), ..Script::new(&[1]) }, "7"),
    ]
    .map(|(name, script, words)| (name, Server::start(script), words));
    for (name, server, _) in &servers {
        let target = format!("tcp://{}", server.address());
        let more = plan.vnc("", "mode = \"authenticate\", schemes = [\"none\"]");
        plan = plan.listener(name, Front::Console, &target, &more);
    }
    let house = plan.start();
    for (n, (name, server, words)) in servers.iter().enumerate() {
        let said = refusal(&house, name, V38);
        let (reason, detail) = told(&house.record(n + 1));
        eprintln!("{name}: {reason}: {detail}; the client hears {said:?}");
        assert!(reason.starts_with("target "), "{name}: {reason}: {detail}");
        assert!(detail.contains(words), "{name}: {detail}");
        assert!(!detail.chars().any(char::is_control), "{name}: {detail:?}");
        assert_eq!(server.visit().shared, None, "{name}");
    }
    house.is_empty();
}
