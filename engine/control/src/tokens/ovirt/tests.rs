//! Tickets signed by OpenSSL's command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use penstock_core::control::Place;
use tempfile::TempDir;

use super::*;

/// 2026-01-01, and two minutes.
const FROM: (u64, &str) = (1_767_225_600, "20260101000000");
const TO: (u64, &str) = (1_767_225_720, "20260101000200");
const DATA: &str =
    "%7B%22host%22%3A%22h%22%2C%22port%22%3A%225900%22%2C%22ssl_target%22%3Afalse%7D";

/// An engine, with its key and certificate.
struct Signer(TempDir);

fn openssl(arguments: &[&str], dir: &Path) {
    let mut command = Command::new("openssl");
    let output = command.args(arguments).current_dir(dir).output().expect("OpenSSL is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Signer {
    fn new(bits: u32) -> Signer {
        let dir = tempfile::tempdir().expect("a folder");
        let key = format!("rsa:{bits}");
        let line = ["req", "-x509", "-newkey", &key, "-nodes", "-keyout", "key", "-out", "cert"];
        openssl(&[&line[..], &["-subj", "/CN=engine", "-days", "2"]].concat(), dir.path());
        Signer(dir)
    }

    fn cert(&self) -> PathBuf {
        self.0.path().join("cert")
    }

    /// Signs, with these options of OpenSSL's, beside the digest.
    fn sign(&self, message: &str, digest: &str, options: &[&str]) -> Vec<u8> {
        fs::write(self.0.path().join("message"), message).expect("ours");
        let mut line = vec!["dgst", digest, "-sign", "key", "-out", "signature"];
        for option in options {
            line.extend(["-sigopt", option]);
        }
        line.push("message");
        openssl(&line, self.0.path());
        fs::read(self.0.path().join("signature")).expect("signed")
    }

    fn ticket(&self, order: &str, digest: &str, options: &[&str]) -> BTreeMap<String, String> {
        let mut ticket: BTreeMap<String, String> =
            [("salt", "AAECAwQFBgc="), ("data", DATA), ("validFrom", FROM.1), ("validTo", TO.1)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let message: String = order.split(',').map(|name| &*ticket[name]).collect();
        let signature = BASE64_STANDARD.encode(self.sign(&message, digest, options));
        ticket.insert("signedFields".to_owned(), order.to_owned());
        ticket.insert("v2_signature".to_owned(), signature);
        ticket
    }
}

const ORDER: &str = "salt,data,validTo,validFrom";
const LONGEST: [&str; 3] = ["rsa_padding_mode:pss", "rsa_pss_saltlen:max", "rsa_mgf1_md:sha256"];

fn encoded(ticket: &BTreeMap<String, String>) -> String {
    BASE64_STANDARD.encode(serde_json::to_string(ticket).expect("texts"))
}

fn judged(ovirt: &Ovirt, text: &str, second: f64) -> Result<String, TokenFault> {
    let now = UNIX_EPOCH + Duration::from_secs_f64(second);
    let key = ovirt.key().expect("a certificate");
    match ovirt.judge(&key, text, None, now) {
        Ok(found) => match found.place {
            Place::Network(target) => Ok(target.to_string()),
            other => panic!("{other:?}"),
        },
        Err(refused) => Err(refused.why),
    }
}

fn good() -> Result<String, TokenFault> {
    Ok("h:5900".to_owned())
}

const DURING: f64 = (FROM.0 + 60) as f64;

#[test]
fn a_ticket_with_the_longest_salt_is_taken_of_keys_of_every_size() {
    for bits in [2048, 2049, 3072, 4096] {
        let engine = Signer::new(bits);
        let ovirt = Ovirt::new(&engine.cert(), Duration::ZERO, false);
        for order in [ORDER, "validFrom,validTo,data,salt"] {
            let ticket = engine.ticket(order, "-sha256", &LONGEST);
            assert_eq!(judged(&ovirt, &encoded(&ticket), DURING), good(), "{bits} {order}");
        }
    }
}

#[test]
fn a_signature_of_any_other_kind_is_refused() {
    let engine = Signer::new(2048);
    let ovirt = Ovirt::new(&engine.cert(), Duration::ZERO, false);
    let pss = "rsa_padding_mode:pss";
    for (digest, options) in [
        ("-sha256", vec![pss, "rsa_pss_saltlen:digest", "rsa_mgf1_md:sha256"]),
        ("-sha256", vec![pss, "rsa_pss_saltlen:221", "rsa_mgf1_md:sha256"]),
        ("-sha256", vec![pss, "rsa_pss_saltlen:0", "rsa_mgf1_md:sha256"]),
        ("-sha256", vec![pss, "rsa_pss_saltlen:max", "rsa_mgf1_md:sha1"]),
        ("-sha1", vec![pss, "rsa_pss_saltlen:max", "rsa_mgf1_md:sha1"]),
        ("-sha512", vec![pss, "rsa_pss_saltlen:max", "rsa_mgf1_md:sha512"]),
        ("-sha256", vec!["rsa_padding_mode:pkcs1"]),
    ] {
        let ticket = engine.ticket(ORDER, digest, &options);
        let refused = judged(&ovirt, &encoded(&ticket), DURING);
        assert_eq!(refused, Err(TokenFault::Unknown), "{digest} {options:?}");
    }
    let stranger = Signer::new(2048).ticket(ORDER, "-sha256", &LONGEST);
    assert_eq!(judged(&ovirt, &encoded(&stranger), DURING), Err(TokenFault::Unknown));
}

#[test]
fn no_field_can_be_changed_and_no_order() {
    let engine = Signer::new(2048);
    let ovirt = Ovirt::new(&engine.cert(), Duration::ZERO, false);
    let ticket = engine.ticket(ORDER, "-sha256", &LONGEST);
    assert_eq!(judged(&ovirt, &encoded(&ticket), DURING), good());
    for (name, value) in [
        ("salt", "AAECAwQFBgd="),
        ("data", &*DATA.replace("5900", "5901")),
        ("validFrom", "20250101000000"),
        ("validTo", "20270101000000"),
        ("signedFields", "data,salt,validTo,validFrom"),
        ("signedFields", "salt,data,validFrom,validTo"),
        ("v2_signature", &BASE64_STANDARD.encode([0; 256])),
    ] {
        let mut changed = ticket.clone();
        assert_ne!(changed.insert(name.to_owned(), value.to_owned()).as_deref(), Some(value));
        let refused = judged(&ovirt, &encoded(&changed), DURING);
        assert_eq!(refused, Err(TokenFault::Unknown), "{name}");
    }
    // What is signed by nobody counts for nothing.
    let mut more = ticket;
    more.insert("certificate".to_owned(), "whatever".to_owned());
    assert_eq!(judged(&ovirt, &encoded(&more), DURING), good());
}

#[test]
fn a_ticket_is_good_from_its_first_second_to_its_last_and_as_far_as_clocks_may_be_apart() {
    let engine = Signer::new(2048);
    let ticket = encoded(&engine.ticket(ORDER, "-sha256", &LONGEST));
    let [from, to] = [FROM.0 as f64, TO.0 as f64];
    for (skew, second, expected) in [
        (0, from - 0.5, Err(TokenFault::Expired)),
        (0, from, good()),
        (0, to, good()),
        (0, to + 0.5, Err(TokenFault::Expired)),
        (5, from - 5.5, Err(TokenFault::Expired)),
        (5, from - 5.0, good()),
        (5, to + 5.0, good()),
        (5, to + 5.5, Err(TokenFault::Expired)),
    ] {
        let ovirt = Ovirt::new(&engine.cert(), Duration::from_secs(skew), false);
        assert_eq!(judged(&ovirt, &ticket, second), expected, "{skew} {second}");
    }
}

#[test]
fn where_replay_is_denied_a_ticket_is_for_one_viewer_however_it_is_written() {
    let engine = Signer::new(2048);
    let ovirt = Ovirt::new(&engine.cert(), Duration::ZERO, true);
    let ticket = engine.ticket(ORDER, "-sha256", &LONGEST);
    let text = encoded(&ticket);
    assert_eq!(judged(&ovirt, &text, DURING), good());
    assert_eq!(judged(&ovirt, &text, DURING + 29.0), good());
    let json = format!(" {}", serde_json::to_string_pretty(&ticket).expect("texts"));
    for text in [text, BASE64_STANDARD.encode(json)] {
        assert_eq!(judged(&ovirt, &text, DURING + 30.0), Err(TokenFault::Used));
    }
}

#[test]
fn the_certificate_is_read_anew_when_it_has_changed() {
    let [old, new] = [Signer::new(2048), Signer::new(2048)];
    let ovirt = Ovirt::new(&old.cert(), Duration::ZERO, false);
    let tickets = [&old, &new].map(|engine| encoded(&engine.ticket(ORDER, "-sha256", &LONGEST)));
    let verdicts = || tickets.each_ref().map(|ticket| judged(&ovirt, ticket, DURING).is_ok());
    assert_eq!(verdicts(), [true, false]);
    fs::rename(new.cert(), old.cert()).expect("ours");
    assert_eq!(verdicts(), [false, true]);
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(old.cert(), text).expect("ours");
        let refused = ovirt.look_up(&tickets[1], None).expect_err("no certificate");
        assert_eq!(refused.why, TokenFault::Unavailable, "{text}");
    }
    fs::remove_file(old.cert()).expect("ours");
    let refused = ovirt.look_up(&tickets[1], None).expect_err("no file");
    assert!(refused.detail.contains("mend the path in `cert`"), "{}", refused.detail);
}
