//! Files of oVirt's proxy: what they mean, and what is wrong with them.

use std::fs;
use std::path::Path;

use penstock_core::config::{Address, ConsoleTarget, Listener, RecordFormat, Service, TokenSource};
use penstock_core::tls::{Ca, MinVersion, Verify};
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::tests::resolve;

/// A folder of configurations, with a certificate in it.
struct Etc(TempDir);

impl Etc {
    fn new() -> Etc {
        let dir = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["a.example".to_owned()]).expect("a name");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        for (name, text) in [("cert", &certificate), ("key", &key.serialize_pem())] {
            fs::write(dir.path().join(name), text).expect("ours");
        }
        fs::write(dir.path().join("both"), certificate + &key.serialize_pem()).expect("ours");
        fs::create_dir(dir.path().join("ovirt-websocket-proxy.conf.d")).expect("ours");
        Etc(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn options(&self) -> Options {
        Options {
            config_dir: self.0.path().to_owned(),
            defaults: self.path("none"),
            debug: false,
            is_seen: true,
            ca: Some(self.path("cert")),
            verify_names: false,
            insecure_target: false,
            deny_replay: false,
            skew: Duration::ZERO,
            origins: Vec::new(),
        }
    }

    /// Reads these lines, and the certificate for tickets. `DIR` stands for the folder.
    fn read(&self, lines: &str, options: &Options) -> Result<Served, Refusal> {
        let lines = format!("CERT_FOR_DATA_VERIFICATION=DIR/cert\n{lines}\n");
        let text = lines.replace("DIR", &self.0.path().display().to_string());
        fs::write(self.path("ovirt-websocket-proxy.conf.d/10-setup.conf"), text).expect("ours");
        read(options, &resolve)
    }

    fn served(&self, lines: &str) -> Served {
        self.read(lines, &self.options()).unwrap_or_else(|refusal| panic!("{refusal}\n{lines}"))
    }

    fn refused(&self, lines: &str) -> String {
        self.read(lines, &self.options()).expect_err(lines).to_string()
    }
}

fn listener(served: &Served) -> &Listener {
    &served.settings.config.listeners[0]
}

fn places(served: &Served) -> Vec<String> {
    listener(served).addresses.iter().map(Address::to_string).collect()
}

fn source(served: &Served) -> TokenSource {
    match &listener(served).service {
        Service::Console(console) => match &console.to {
            ConsoleTarget::Tokens(tokens) => tokens.source.clone(),
            ConsoleTarget::Fixed(_) => panic!("{console:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_setup_writes_is_served_on_tls_alone() {
    let etc = Etc::new();
    let lines = "PROXY_PORT=6100\nSSL_CERTIFICATE=DIR/cert\nSSL_KEY=DIR/key\nSSL_ONLY=True";
    let served = etc.served(lines);
    assert_eq!(places(&served), ["0.0.0.0:6100"]);
    let tls = listener(&served).tls.as_ref().expect("a certificate");
    assert!(tls.only && tls.files.min_version == MinVersion::Tls12);
    assert_eq!(tls.files.key, [etc.path("key")]);
    let expected =
        TokenSource::Ovirt { cert: etc.path("cert"), replay: true, skew: Duration::ZERO };
    assert_eq!(source(&served), expected);
    let vnc = listener(&served).vnc.as_ref().expect("VeNCrypt is spoken");
    assert!(vnc.or_spice);
    let Service::Console(console) = &listener(&served).service else { panic!("{served:?}") };
    assert!(!console.silent && console.web.is_none());
    assert!(console.origins.judge(Some(b"https://any.example"), None, None).is_ok());
    assert_eq!(served.warnings.len(), 1, "{:?}", served.warnings);
}

#[test]
fn addresses_are_those_of_a_host_and_a_family() {
    let etc = Etc::new();
    for (lines, expected) in [
        ("", vec!["0.0.0.0:6100"]),
        ("PROXY_HOST=*\nSOURCE_IS_IPV6=True", vec!["[::]:6100", "0.0.0.0:6100"]),
        ("PROXY_HOST=dual\nPROXY_PORT=\"7000\"", vec!["10.0.0.1:7000"]),
        ("PROXY_HOST=dual\nSOURCE_IS_IPV6=yes", vec!["[fd00::1]:6100"]),
        ("PROXY_HOST=10.0.0.9", vec!["10.0.0.9:6100"]),
    ] {
        assert_eq!(places(&etc.served(lines)), expected, "{lines}");
    }
}

#[test]
fn tls_is_spoken_where_there_is_a_certificate() {
    let etc = Etc::new();
    let both = etc.served("SSL_CERTIFICATE=DIR/both\nSSL_MIN_VERSION=TLSv1.3");
    let tls = listener(&both).tls.as_ref().expect("a certificate");
    assert!(!tls.only && tls.files.min_version == MinVersion::Tls13);
    let told = |lines: &str, words: &str| {
        let served = etc.served(lines);
        assert!(served.warnings.iter().any(|w| w.contains(words)), "{:?}", served.warnings);
        served
    };
    let old = told("SSL_CERTIFICATE=DIR/both\nSSL_MIN_VERSION=TLSv1.1", "TLSv1.1 not supported");
    let tls = listener(&old).tls.as_ref().expect("a certificate");
    assert_eq!(tls.files.min_version, MinVersion::Tls12);
    told("SSL_CERTIFICATE=DIR/both\nSSL_CIPHERS=\"HIGH:AES256-SHA\"", "AES256-SHA is not spoken");
    let none = told("SSL_CERTIFICATE=DIR/none", "in the clear");
    assert!(listener(&none).tls.is_none());
}

#[test]
fn targets_are_trusted_for_their_authority_their_name_or_not_at_all() {
    let etc = Etc::new();
    let files = |options: &Options| {
        let served = etc.read("", options).expect("valid");
        let files = listener(&served).upstream_tls.as_ref().expect("always").files.clone();
        (files.ca, files.verify, served.warnings)
    };
    let (ca, verify, _) = files(&etc.options());
    assert_eq!(ca, Some(Ca::File(etc.path("cert"))));
    assert!(matches!(verify, Verify::Authority));
    let (_, verify, _) = files(&Options { verify_names: true, ..etc.options() });
    assert!(matches!(verify, Verify::Name));
    let (ca, verify, told) = files(&Options { ca: None, insecure_target: true, ..etc.options() });
    assert!(matches!((ca, verify), (None, Verify::Off)));
    assert!(told.iter().any(|line| line.contains("can read along")), "{told:?}");
    if !Path::new("/etc/pki/ovirt-engine/ca.pem").exists() {
        let (ca, verify, told) = files(&Options { ca: None, ..etc.options() });
        assert!(
            matches!((ca, verify), (Some(Ca::Native), Verify::Name)),
            "anybody has one of these"
        );
        assert!(told.iter().any(|line| line.contains("--ca says")), "{told:?}");
    }
    let none = Options { ca: Some(etc.path("none")), ..etc.options() };
    assert!(etc.read("", &none).is_err_and(|refusal| refusal.to_string().contains("--ca")));
}

#[test]
fn what_the_command_line_says_of_tickets_and_pages_counts() {
    let etc = Etc::new();
    let skew = Duration::from_secs(5);
    let origins = vec!["https://engine.example".to_owned()];
    let options = Options { deny_replay: true, skew, origins, ..etc.options() };
    let served = etc.read("", &options).expect("valid");
    assert!(
        matches!(source(&served), TokenSource::Ovirt { replay: false, skew: s, .. } if s == skew)
    );
    let Service::Console(console) = &listener(&served).service else { panic!("{served:?}") };
    let judged = |origin: &str| console.origins.judge(Some(origin.as_bytes()), None, None).is_ok();
    assert!(judged("https://engine.example") && !judged("https://any.example"));
    let wrong = Options { origins: vec!["engine".to_owned()], ..etc.options() };
    assert!(etc.read("", &wrong).is_err_and(|refusal| refusal.to_string().contains("--origin")));
}

#[test]
fn what_passes_is_written_down_if_that_is_said() {
    let etc = Etc::new();
    let served = etc.served("TRACE_ENABLE=True\nTRACE_FILE=DIR/trace");
    let record = listener(&served).record.as_ref().expect("it was said");
    assert_eq!((&record.path, record.format), (&etc.path("trace"), RecordFormat::Websockify));
    assert!(listener(&etc.served("TRACE_FILE=DIR/trace")).record.is_none());
    assert!(etc.refused("TRACE_ENABLE=1").contains("TRACE_FILE: TRACE_ENABLE needs one"));
    assert!(etc.refused("TRACE_ENABLE=1\nTRACE_FILE=/none/x").contains("there is no folder"));
}

#[test]
fn what_is_wrong_is_told_by_its_name() {
    let etc = Etc::new();
    for (lines, expected) in [
        ("PROXY_PORT=x", "PROXY_PORT: expected a port"),
        ("PROXY_HOST=nobody", "PROXY_HOST: "),
        ("CERT_FOR_DATA_VERIFICATION=", "CERT_FOR_DATA_VERIFICATION: expected the engine's"),
        ("CERT_FOR_DATA_VERIFICATION=/none", "CERT_FOR_DATA_VERIFICATION: can't read /none"),
        (
            "CERT_FOR_DATA_VERIFICATION=DIR/key",
            "CERT_FOR_DATA_VERIFICATION: expected a certificate",
        ),
        ("SSL_ONLY=1", "SSL_ONLY is set but SSL_CERTIFICATE or SSL_KEY file not found"),
        ("SSL_ONLY=1\nSSL_CERTIFICATE=DIR/both", "SSL_ONLY is set but"),
        ("SSL_CERTIFICATE=DIR/cert", "SSL_KEY: "),
        ("SSL_CERTIFICATE=DIR/cert\nSSL_KEY=DIR/none", "SSL_KEY: "),
        ("SSL_CERTIFICATE=DIR/key", "SSL_CERTIFICATE: "),
        ("PROXY_PORT", "10-setup.conf, line 2: expected NAME=value"),
    ] {
        let message = etc.refused(lines);
        assert!(message.contains(expected), "{lines}: {message}");
    }
}

#[test]
fn packaged_defaults_count_less_and_unknown_names_are_told() {
    let etc = Etc::new();
    let defaults = "PACKAGE_NAME=\"x\"\nENGINE_USR=\"/usr\"\nPROXY_PORT=1\nPROXY_HOST=10.0.0.9\n";
    fs::write(etc.path("defaults"), defaults).expect("ours");
    let options = Options { defaults: etc.path("defaults"), ..etc.options() };
    let served = etc.read("PROXY_PORT=2\nSSL_ONLYY=True", &options).expect("valid");
    assert_eq!(places(&served), ["10.0.0.9:2"]);
    let unknown: Vec<_> =
        served.warnings.iter().filter(|w| w.contains("no such setting")).collect();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert!(unknown[0].starts_with("SSL_ONLYY "));
}
