//! Files that are renewed, half-written, mixed up and missing, with the looks of a watch at them.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use penstock_core::config::{Engine, ListenerTls, Service, UpstreamTls};
use penstock_core::policy::Rules;
use penstock_core::tls::{Ca, ClientAuth, ClientFiles, MinVersion, ServerFiles, Swap, Verify};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, Issuer, KeyIdMethod, KeyPair, SerialNumber,
    date_time_ymd,
};
use tempfile::TempDir;

use super::*;

/// What goes to the log meanwhile.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("one thread").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Rig {
    folder: TempDir,
    watch: Watch,
    now: Instant,
    time: SystemTime,
    log: Log,
}

/// Certificate and key, PEM, until a new year.
fn pair(year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(year, 1, 1);
    let key = KeyPair::generate().expect("randomness");
    (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

/// A revocation list, PEM, until a new year.
fn list(year: i32) -> String {
    let key = KeyPair::generate().expect("randomness");
    let authority = CertificateParams::new(Vec::new()).expect("no name");
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 1, 1),
        next_update: date_time_ymd(year, 1, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(&Issuer::new(authority, key)).expect("signed").pem().expect("PEM")
}

/// Days until that new year.
fn days_before(year: u64, days: u64) -> SystemTime {
    // Leap years in between: every fourth since 1972, and no century that is none before 2100.
    let begun = (year - 1970) * 365 + (year - 1969) / 4;
    UNIX_EPOCH + DAY * (begun - days) as u32
}

/// One listener that shows a certificate to clients and another to its target, from `folder`.
pub(crate) fn config(folder: &Path) -> Arc<Config> {
    let path = |name: &str| folder.join(name);
    for side in ["server", "client"] {
        let (certificate, key) = pair(2040);
        fs::write(path(&format!("{side}.pem")), certificate).expect("written");
        fs::write(path(&format!("{side}.key")), key).expect("written");
    }
    fs::write(path("lists.pem"), list(2060) + &list(2050)).expect("written");
    let mut listener = Listener::new("one", Vec::new(), Service::Connect, Rules::default());
    listener.tls = Some(tls(ServerFiles {
        tickets: true,
        cert: vec![path("server.pem")],
        key: vec![path("server.key")],
        key_password_file: None,
        client_ca: None,
        crl: None,
        client_auth: ClientAuth::Off,
        allowed: None,
        min_version: MinVersion::Tls12,
        alpn: Vec::new(),
        implementation: Implementation::Ring,
    }));
    listener.upstream_tls = Some(upstream_tls(ClientFiles {
        ca: Some(Ca::File(path("client.pem"))),
        cert: Some(path("client.pem")),
        key: Some(path("client.key")),
        key_password_file: None,
        crl: Some(path("lists.pem")),
        verify: Verify::Name,
        min_version: MinVersion::Tls12,
        alpn: Vec::new(),
        implementation: Implementation::AwsLc,
        by_common_name: Arc::new(AtomicU64::new(3)),
    }));
    Arc::new(Config { engine: Engine::default(), listeners: vec![listener] })
}

fn tls(files: ServerFiles) -> ListenerTls {
    let server = Swap::new(files.load().expect("sound"));
    ListenerTls { server, files, only: true, libvirt: false }
}

fn upstream_tls(files: ClientFiles) -> UpstreamTls {
    let client = Swap::new(files.load().expect("sound"));
    UpstreamTls {
        client,
        files,
        server_name: None,
        max_record: 1 << 14,
        libvirt: false,
        not_to_sockets: false,
    }
}

impl Rig {
    fn new() -> Rig {
        let folder = TempDir::new().expect("a folder");
        let (now, time) = (Instant::now(), days_before(2040, 100));
        let watch = Watch::new(of(&config(folder.path())), now, time);
        Rig { watch, folder, now, time, log: Log::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }

    /// What is logged at the next look.
    fn look(&mut self) -> String {
        self.now += PAUSE;
        let log = self.log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_target(false);
        let subscriber = subscriber.with_writer(move || log.clone()).finish();
        tracing::subscriber::with_default(subscriber, || self.watch.look(self.now, self.time));
        let mut log = self.log.0.lock().expect("one thread");
        String::from_utf8(std::mem::take(&mut *log)).expect("text")
    }

    /// Loaded anew and failed, of the server and of the client.
    fn counts(&self) -> [[u64; 2]; 2] {
        [0, 1].map(|side| {
            let watched: &Watched = &self.watch.all[side];
            [0, 1].map(|result: usize| watched.reloads[result].load(Relaxed))
        })
    }

    /// Rounded, of the server.
    fn days(&self) -> i64 {
        self.watch.all[0].days_left(self.time).expect("one is shown").round() as i64
    }
}

#[test]
fn what_does_not_change_is_left_alone() {
    let mut rig = Rig::new();
    assert_eq!((rig.look(), rig.counts(), rig.days()), (String::new(), [[0, 0], [0, 0]], 100));
}

#[test]
fn a_new_pair_is_loaded_once_each_of_its_files_is_there() {
    let mut rig = Rig::new();
    let (certificate, key) = pair(2041);
    rig.put("server.pem", &certificate);
    let log = rig.look();
    assert!(
        log.contains("WARN listener `one`: tls: what was loaded before stays in use: `key` ("),
        "{log}"
    );
    assert_eq!((rig.counts(), rig.days()), ([[0, 1], [0, 0]], 100));
    // Said once, not at every look.
    assert_eq!(rig.look(), "");
    rig.put("server.key", &key);
    let log = rig.look();
    assert!(log.contains("INFO listener `one`: tls: loaded anew"), "{log}");
    assert_eq!((rig.counts(), rig.days()), ([[1, 1], [0, 0]], 466));
    assert_eq!((rig.look(), rig.counts()), (String::new(), [[1, 1], [0, 0]]));
}

#[test]
fn half_a_file_changes_nothing_and_each_change_is_judged_anew() {
    let mut rig = Rig::new();
    let (certificate, _) = pair(2041);
    for part in [100, 200] {
        rig.put("server.pem", &certificate[..part]);
        let log = rig.look();
        assert!(log.contains("stays in use: `cert` ("), "{log}");
    }
    fs::remove_file(rig.path("server.key")).expect("it is there");
    rig.look();
    assert_eq!((rig.counts(), rig.days()), ([[0, 3], [0, 0]], 100));
}

#[test]
fn each_side_is_for_itself() {
    let mut rig = Rig::new();
    let (certificate, key) = pair(2041);
    rig.put("client.pem", &certificate);
    rig.put("client.key", &key);
    let log = rig.look();
    assert!(log.contains("listener `one`: upstream_tls: loaded anew"), "{log}");
    assert_eq!(rig.counts(), [[0, 0], [1, 0]]);
    let days = rig.watch.all[1].days_left(rig.time).expect("one is shown");
    assert!((days - 466.0).abs() < 1.0, "{days}");
}

#[test]
fn a_file_of_the_same_size_and_time_is_a_change_if_it_is_another() {
    let mut rig = Rig::new();
    let old = fs::metadata(rig.path("server.pem")).expect("there");
    let other = rig.path("other.pem");
    fs::copy(rig.path("server.pem"), &other).expect("copied");
    let file = fs::File::options().write(true).open(&other).expect("ours");
    file.set_modified(old.modified().expect("a time")).expect("ours");
    fs::rename(&other, rig.path("server.pem")).expect("ours");
    rig.look();
    assert_eq!(rig.counts(), [[1, 0], [0, 0]]);
}

#[test]
fn what_changed_before_the_first_look_is_loaded() {
    let mut rig = Rig::new();
    let (certificate, key) = pair(2041);
    fs::write(rig.folder.path().join("server.pem"), certificate).expect("written");
    fs::write(rig.folder.path().join("server.key"), key).expect("written");
    rig.watch = Watch::new(rig.watch.all, rig.now, rig.time);
    // Before anybody could be given a ticket that the next look would make worthless.
    assert_eq!((rig.counts(), rig.days()), ([[0, 0], [0, 0]], 466));
    assert_eq!((rig.look(), rig.counts()), (String::new(), [[0, 0], [0, 0]]));
}

#[test]
fn what_could_not_be_loaded_is_tried_again_after_a_while_without_a_word() {
    let mut rig = Rig::new();
    fs::rename(rig.path("server.key"), rig.path("away")).expect("ours");
    rig.look();
    assert_eq!(rig.counts(), [[0, 1], [0, 0]]);
    rig.now += RETRY;
    assert_eq!((rig.look(), rig.counts()), (String::new(), [[0, 1], [0, 0]]));
    // As if the reason had been elsewhere than in the files.
    fs::rename(rig.path("away"), rig.path("server.key")).expect("ours");
    rig.watch.seen[0].stamps = Some(rig.watch.all[0].files().into_iter().map(Stamp::of).collect());
    assert_eq!(rig.look(), "");
    rig.now += RETRY;
    assert!(rig.look().contains("loaded anew"));
    assert_eq!(rig.counts(), [[1, 1], [0, 0]]);
}

#[test]
fn a_list_that_is_out_of_date_is_warned_of_and_loaded_all_the_same() {
    let mut rig = Rig::new();
    assert_eq!(rig.watch.all[0].days_left_of_lists(rig.time), None);
    rig.put("lists.pem", &(list(2060) + &list(2040)));
    assert!(rig.look().contains("upstream_tls: loaded anew"));
    assert_eq!(rig.watch.all[1].days_left_of_lists(rig.time).map(f64::round), Some(100.0));
    // Certificates are warned of, too, from earlier on.
    rig.time = days_before(2040, 2);
    assert!(!rig.look().contains("`crl`"));
    (rig.time, rig.now) = (days_before(2040, 1) + DAY / 2, rig.now + DAY);
    let log = rig.look();
    assert!(log.contains("upstream_tls: a list of `crl` is out of date in 0.5 days"), "{log}");
    assert!(!rig.look().contains("`crl`"));
    (rig.time, rig.now) = (days_before(2040, 0) + DAY, rig.now + DAY);
    assert!(rig.look().contains("a list of `crl` is out of date since 1.0 days"));
    rig.put("lists.pem", &list(2030));
    assert!(rig.look().contains("upstream_tls: loaded anew"), "old as it is");
}

#[test]
fn an_end_that_is_near_is_warned_of_once_a_day() {
    let mut rig = Rig::new();
    let lines = |log: String| log.lines().count();
    rig.time = days_before(2040, 15);
    assert_eq!(lines(rig.look()), 0);
    rig.time = days_before(2040, 13);
    let log = rig.look();
    assert!(
        log.contains("WARN listener `one`: tls: the certificate expires in 13.0 days"),
        "{log}"
    );
    // Of either side.
    assert_eq!((lines(log), lines(rig.look())), (2, 0));
    rig.now += DAY;
    assert_eq!(lines(rig.look()), 2);
    rig.now += DAY;
    rig.time = days_before(2040, 0) + DAY * 2;
    assert!(rig.look().contains("upstream_tls: the certificate has expired 2.0 days ago"));
    assert_eq!(rig.days(), -2);
    // A new one ends the matter.
    let (certificate, key) = pair(2041);
    rig.put("server.pem", &certificate);
    rig.put("server.key", &key);
    rig.now += DAY;
    let log = rig.look();
    assert!(!log.contains(" tls: the certificate"), "{log}");
}

#[tokio::test]
async fn files_are_followed_while_it_runs() {
    let Rig { watch, folder, time, .. } = Rig::new();
    let all = watch.all.clone();
    tokio::spawn(keep(watch));
    let (certificate, key) = pair(2041);
    fs::write(folder.path().join("server.pem"), certificate).expect("written");
    fs::write(folder.path().join("server.key"), key).expect("written");
    let begun = Instant::now();
    while all[0].days_left(time).expect("one is shown") < 400.0 {
        assert!(begun.elapsed() < 120 * PAUSE, "nobody has looked");
        sleep(PAUSE / 10).await;
    }
}
