//! noVNC of Debian in Chromium, before real servers with each kind of security: the guest is drawn, and a password is asked for only
//! where that is meant to be.

use base64::Engine;
use penstock_tests::browser::Browser;
use penstock_tests::peers::{SASL_PASSWORD, SASL_USER, VncGuest, VncSetup, Xvnc};
use penstock_tests::picture::Font;
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::{Driver, both_drivers, names};
use sha2::{Digest, Sha256};

use crate::rig::{Front, House, Plan};

both_drivers! {
    novnc_draws_guests_without_a_password,
    novnc_draws_guests_that_look_at_our_certificate,
    novnc_draws_tigervnc,
    novnc_asks_for_the_password_through_a_bridge,
}

/// A browser, and what it was asked so far.
struct Viewer {
    browser: Browser,
    font: Font,
}

impl Viewer {
    fn new(key: &[u8]) -> Viewer {
        let key = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(key));
        Viewer { browser: Browser::start(Some(&key)), font: Font::of_qemu() }
    }

    fn open(&self, scheme: &str, house: &House, name: &str) {
        self.browser.open(&format!("{scheme}://{}/vnc_lite.html", house.at(name)));
    }

    /// Waits until the guest's line stands on the canvas.
    fn sees_the_guest(&self) {
        self.browser.wait_until("the screen shows the guest", || {
            let picture = self.browser.picture("canvas");
            picture.is_some_and(|picture| {
                picture.size() == (720, 400) && picture.text(&self.font) == [VncGuest::TEXT]
            })
        });
    }

    /// Whether the page asked for a password.
    fn was_asked(&self) -> bool {
        self.browser.said().iter().any(|said| said.contains("Password"))
    }

    /// Leaves, and nothing is left in the daemon.
    fn end(self, house: &House, consoles: usize) {
        self.browser.leave();
        self.browser.wait_until("all consoles have ended", || {
            house.daemon.metric(names::TUNNELS_OPEN, &[]) == 0.0
        });
        drop(self);
        let records = house.daemon.records(0).into_iter();
        let shown: Vec<_> = records.filter(|record| record["status"] == 101).collect();
        assert_eq!(shown.len(), consoles, "{shown:?}");
        for record in shown {
            assert_eq!((&record["side"], &record["phase"]), (&"client".into(), &"relay".into()));
            assert!(record["bytes_to_client"].as_u64() > Some(200), "{record}");
        }
    }
}

/// A guest whose certificate is of the plan's authority.
fn certified(plan: &Plan, name: &str, more: impl FnOnce(VncSetup) -> VncSetup) -> VncGuest {
    let setup = VncSetup::new();
    let identity = plan.pki.authority.issue(&Wanted::server(setup.address().ip()));
    let folder = plan.pki.path(name);
    plan.pki.authority.qemu_server(&folder, &identity);
    more(setup.certificates(&folder)).start()
}

fn novnc_draws_guests_without_a_password(driver: Driver) {
    let mut plan = Plan::new(driver);
    let password = plan.file("password", "secret\n");
    let account = plan.file("account", &format!("{SASL_PASSWORD}\n"));
    let sasl = format!("sasl = {{ user = \"{SASL_USER}\", password_file = {account} }}");
    let key = format!("password = {{ file = {password} }}");
    let guests = [
        ("none", VncSetup::new().start(), "schemes = [\"none\"]".to_owned()),
        (
            "password",
            VncSetup::new().password("secret").start(),
            format!("schemes = [\"vnc\"], {key}"),
        ),
        ("x509none", certified(&plan, "1", |setup| setup), String::new()),
        ("x509vnc", certified(&plan, "2", |setup| setup.password("secret")), key),
        ("x509sasl", certified(&plan, "3", |setup| setup.sasl("scram-sha-256")), sasl.clone()),
        ("x509sasl-plain", certified(&plan, "4", |setup| setup.sasl("plain")), sasl),
    ];
    for (name, guest, keys) in &guests {
        let comma = if keys.is_empty() { "" } else { ", " };
        let more = plan.vnc("", &format!("mode = \"authenticate\"{comma}{keys}"));
        plan = plan.listener(name, Front::Console, &format!("tcp://{}", guest.address()), &more);
    }
    let viewer = Viewer::new(&plan.key);
    let house = plan.start();
    for (name, ..) in &guests {
        viewer.open("http", &house, name);
        viewer.sees_the_guest();
        assert!(!viewer.was_asked(), "{name}");
    }
    viewer.end(&house, guests.len());
}

/// The guest wants to see a certificate, and only ours will do.
fn novnc_draws_guests_that_look_at_our_certificate(driver: Driver) {
    let plan = Plan::new(driver);
    let setup = VncSetup::new();
    let identity = plan.pki.authority.issue(&Wanted::server(setup.address().ip()));
    plan.pki.authority.qemu_server(&plan.pki.path("qemu"), &identity);
    let setup = setup.mutual(&plan.pki.path("qemu")).password("secret");
    let guest = setup.only("O=Penstock,CN=proxy").start();
    let pair = plan.pki.pair("proxy", &Wanted::client(&[("O", "Penstock"), ("CN", "proxy")]));
    let more = plan.vnc(
        &pair,
        &format!(
            "mode = \"authenticate\", password = {{ file = {} }}",
            plan.file("password", "secret\n")
        ),
    );
    let target = format!("tcp://{}", guest.address());
    let viewer = Viewer::new(&plan.key);
    let house = plan.listener("guest", Front::SecureConsole, &target, &more).start();
    viewer.open("https", &house, "guest");
    viewer.sees_the_guest();
    assert!(!viewer.was_asked());
    viewer.end(&house, 1);
}

fn novnc_draws_tigervnc(driver: Driver) {
    let plan = Plan::new(driver);
    let server = Xvnc::start(&plan.pki);
    let more = plan.vnc(
        "",
        &format!(
            "mode = \"authenticate\", plain = {{ user = \"{}\", password_file = {} }}",
            Xvnc::USER,
            plan.file("account", &format!("{}\n", Xvnc::PASSWORD))
        ),
    );
    let target = format!("tcp://{}", server.address());
    let viewer = Viewer::new(&plan.key);
    let house = plan.listener("screen", Front::Console, &target, &more).start();
    viewer.open("http", &house, "screen");
    let title = format!("document.body.textContent.includes('Connected to {}')", Xvnc::NAME);
    viewer.browser.wait_for("the screen's name", &title);
    viewer.browser.wait_until("the screen is white", || {
        let picture = viewer.browser.picture("canvas");
        picture.is_some_and(|picture| {
            let (width, height) = picture.size();
            (width, height) == Xvnc::SIZE && picture.ink() == width * height
        })
    });
    assert!(!viewer.was_asked());
    viewer.end(&house, 1);
}

fn novnc_asks_for_the_password_through_a_bridge(driver: Driver) {
    let plan = Plan::new(driver);
    let guest = certified(&plan, "qemu", |setup| setup.password("secret"));
    let target = format!("tcp://{}", guest.address());
    let more = plan.vnc("", "mode = \"bridge\"");
    let viewer = Viewer::new(&plan.key);
    let house = plan.listener("guest", Front::SecureConsole, &target, &more).start();
    viewer.browser.answer("secret");
    viewer.open("https", &house, "guest");
    viewer.sees_the_guest();
    assert!(viewer.was_asked());
    viewer.end(&house, 1);
}

#[test]
fn novnc_asks_and_a_wrong_answer_is_heard_without_anything_between() {
    let (setup, _pki) = (VncSetup::new().password("secret"), Folder::new());
    let guest = setup.start();
    // Proof of the viewer itself, before a console that changes nothing.
    let plan = Plan::new(Driver::Epoll);
    let target = format!("tcp://{}", guest.address());
    let viewer = Viewer::new(&plan.key);
    let house = plan.listener("guest", Front::SecureConsole, &target, "").start();
    viewer.browser.answer("secret");
    viewer.open("https", &house, "guest");
    viewer.sees_the_guest();
    assert!(viewer.was_asked());
    viewer.browser.answer("wrong");
    viewer.open("https", &house, "guest");
    let refused = "document.body.textContent.includes('Something went wrong') || document.body.textContent.includes('Disconnected')";
    viewer.browser.wait_for("the page says so", refused);
}
