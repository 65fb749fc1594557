//! Five hundred consoles at once through one worker, each with TLS and a password towards its server, and a real guest among them.

use std::sync::Mutex;
use std::time::Instant;

use penstock_tests::peers::VncSetup;
use penstock_tests::pki::Wanted;
use penstock_tests::vnc::client::{Console, Login};
use penstock_tests::vnc::server::{Script, Server};
use penstock_tests::vnc::{security, subtype};
use penstock_tests::{Driver, both_drivers, loopback, names};

use crate::rig::{Front, House, Plan};

both_drivers! {
    five_hundred_consoles_come_at_once_and_all_are_served,
}

const CONSOLES: usize = 500;
/// So many of them begin at the same time.
const AT_ONCE: usize = 50;

/// All of them, none of which ended meanwhile.
fn open(house: &House) -> Vec<Console> {
    let (left, open) = (Mutex::new(CONSOLES), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while take(&left) {
                    let console = house.open("crowd", &Login::new(security::NONE));
                    open.lock().expect("a list").push(console.expect("a console"));
                }
            });
        }
    });
    open.into_inner().expect("a list")
}

fn take(left: &Mutex<usize>) -> bool {
    let mut left = left.lock().expect("a number");
    let is_one = *left > 0;
    *left = left.saturating_sub(1);
    is_one
}

fn five_hundred_consoles_come_at_once_and_all_are_served(driver: Driver) {
    let plan = Plan::new(driver).set("engine", "workers", "1");
    let address = loopback::address().into();
    let script = Script::vencrypt(&[subtype::X509_VNC], plan.server(address));
    let server = Server::start_at(address, script);
    let setup = VncSetup::new().password("secret");
    let identity = plan.pki.authority.issue(&Wanted::server(setup.address().ip()));
    plan.pki.authority.qemu_server(&plan.pki.path("qemu"), &identity);
    let guest = setup.certificates(&plan.pki.path("qemu")).start();
    let more = plan.vnc(
        "",
        &format!(
            "mode = \"authenticate\", password = {{ file = {} }}",
            plan.file("password", "secret\n")
        ),
    );
    let house = plan
        .listener("crowd", Front::Console, &format!("tcp://{}", server.address()), &more)
        .listener("guest", Front::Console, &format!("tcp://{}", guest.address()), &more)
        .start();
    let since = Instant::now();
    let real = std::thread::scope(|scope| {
        let real = scope.spawn(|| house.open("guest", &Login::new(security::NONE)));
        let mut crowd = open(&house);
        println!("{CONSOLES} consoles after {:?}", since.elapsed());
        assert_eq!(crowd.len(), CONSOLES);
        let real = real.join().expect("a thread").expect("a console");
        assert_eq!((real.name.as_str(), real.size), ("QEMU", (720, 400)));
        assert_eq!(house.daemon.metric(names::TUNNELS_OPEN, &[]), (CONSOLES + 1) as f64);
        for console in &mut crowd {
            console.echo(&[3; 10_000]).expect("an open stream");
        }
        println!("and an echo of each after {:?}", since.elapsed());
        real
    });
    drop(real);
    for _ in 0..CONSOLES {
        let visit = server.visit();
        assert_eq!((visit.admitted, visit.said), (true, 10_000), "{visit:?}");
    }
    house.is_empty();
    assert_eq!(house.daemon.metrics().closed(&[("cause", "tls_failed")]), 0.0);
}
