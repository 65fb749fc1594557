//! Certificates that change on disk while clients come and go: whatever is half-written or does not fit, nobody is turned away.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use penstock_tests::connect::PATIENCE;
use penstock_tests::pki::{Folder, Issued, Wanted};
use penstock_tests::tls::{TlsClient, shown};
use penstock_tests::{Driver, Setup, both_drivers, names, wait};

both_drivers! {
    nobody_notices_that_certificates_are_swapped,
}

/// Clients at the same time, and how often each of them connects: 200 handshakes a second in all.
const CLIENTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(20);
/// Between two changes on disk: a hundred in a minute.
const SWAP: Duration = Duration::from_millis(600);

/// The two files that a listener shows.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl Pair {
    /// As careful programs do: each file is whole at any time, but for a moment they don't belong together.
    fn replace(&self, with: &Issued) {
        let (certificate, key) =
            (self.certificate.with_extension("new"), self.key.with_extension("new2"));
        with.write(&certificate, &key);
        fs::rename(key, &self.key).expect("our files");
        fs::rename(certificate, &self.certificate).expect("our files");
    }

    /// As careless programs do, and then they stop.
    fn half_write(&self, with: &Issued) {
        fs::write(&self.key, &with.key).expect("our files");
        fs::write(&self.certificate, &with.certificate[..with.certificate.len() / 2])
            .expect("our files");
    }

    /// A certificate without its key.
    fn mismatch(&self, with: &Issued) {
        fs::write(&self.certificate, &with.certificate).expect("our files");
    }
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    handshakes: u32,
    failures: Vec<String>,
    certificates: HashSet<Vec<u8>>,
}

fn come_and_go(client: &TlsClient, address: SocketAddr, until: Instant, seen: &Mutex<Seen>) {
    let mut next = Instant::now();
    while next < until {
        let result = client.connect(address);
        let mut seen = seen.lock().expect("no client panicked");
        match &result {
            Ok(stream) => {
                seen.handshakes += 1;
                seen.certificates.insert(shown(stream).to_vec());
            }
            Err(error) => seen.failures.push(error.to_string()),
        }
        drop(seen);
        next += PAUSE;
        sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Changes the files until the time is over: two whole pairs, then one that is half-written, then one that does not fit. How
/// many whole ones there were.
fn swap(pair: &Pair, pki: &Folder, wanted: &Wanted, until: Instant, seen: &Mutex<Seen>) -> usize {
    let mut whole = 0;
    for turn in 0.. {
        let next = Instant::now() + SWAP;
        if next > until {
            break;
        }
        let with = pki.authority.issue(wanted);
        match turn % 4 {
            0 | 1 => {
                pair.replace(&with);
                whole += 1;
            }
            2 => pair.half_write(&with),
            _ => pair.mismatch(&with),
        }
        sleep(next.saturating_duration_since(Instant::now()));
        // A look that comes late must not miss it.
        let is_seen =
            || seen.lock().expect("no client panicked").certificates.contains(&with.der.to_vec());
        while turn % 4 < 2 && !is_seen() && Instant::now() < until {
            sleep(PAUSE);
        }
    }
    whole
}

fn nobody_notices_that_certificates_are_swapped(driver: Driver) {
    let seconds = if std::env::var_os("PENSTOCK_LONG").is_some() { 60 } else { 20 };
    let (pki, setup) = (Folder::new(), Setup::new(driver));
    let wanted = Wanted::server(setup.address());
    let table = pki.pair("proxy", &wanted);
    let pair = Pair { certificate: pki.path("proxy.pem"), key: pki.path("proxy.key") };
    let penstock = setup.set("listen", "tls", &format!("{{ {table} }}")).start();
    let before = penstock.holdings();
    let (client, seen) = (TlsClient::new(&pki.authority, None), Mutex::new(Seen::default()));
    let until = Instant::now() + Duration::from_secs(seconds);
    let whole = scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| come_and_go(&client, penstock.proxy(), until, &seen));
        }
        swap(&pair, &pki, &wanted, until, &seen)
    });

    let Seen { handshakes, failures, certificates } =
        seen.into_inner().expect("no client panicked");
    assert!(failures.is_empty(), "{} of {handshakes}: {failures:?}", failures.len());
    let expected = seconds as u32 * CLIENTS * 50;
    assert!(
        handshakes > expected * 9 / 10,
        "{handshakes} of {expected} handshakes: too slow a machine"
    );
    // The last ones have ended for the clients, and may yet have to for the daemon.
    wait::until_true("all are counted", PATIENCE, || {
        penstock.handshakes("client") >= f64::from(handshakes)
    });
    assert_eq!(penstock.handshakes("client"), f64::from(handshakes));
    // The first pair, and nearly all whole ones: a look every half second misses the one that is gone by then.
    assert!(certificates.len() > whole * 8 / 10, "{} of {whole} certificates", certificates.len());
    let reloads =
        |result| penstock.metric(names::RELOADS, &[("side", "client"), ("result", result)]);
    assert!(reloads("ok") >= certificates.len() as f64 - 1.0, "{} reloads", reloads("ok"));
    assert!(reloads("failed") > whole as f64 / 2.0, "{} faults noticed", reloads("failed"));
    assert!(penstock.said().contains("proxy.pem"), "{}", penstock.said());

    let last = pki.authority.issue(&wanted);
    pair.replace(&last);
    wait::until_true("the last certificate is shown", PATIENCE, || {
        shown(&client.connect(penstock.proxy()).expect("a handshake")) == last.der
    });
    penstock.assert_holds(&before);
}
