//! Certificates of a run's servers and clients: made once for all runs, right, or wrong in one way.
//!
//! All keys and signatures are of Ed25519, all serial numbers and times are fixed: whatever the keys, the certificates and the
//! handshakes in which they are shown have the same lengths in every run and on every machine.

use std::sync::LazyLock;

use penstock_tls::{Authorities, Identity, authorities};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, SerialNumber, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What somebody shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shown {
    /// A certificate that is right.
    Good,
    /// Its time is over.
    Expired,
    /// Of an authority that nobody trusts.
    Foreign,
    /// It is for another name, and its subject is in no list.
    Stranger,
}

/// The name that targets have, whatever their address.
pub const TARGET: &str = "target.sim";
/// Subjects that are let in where a list says so.
pub const LISTED: &str = "*CN=friend*";

/// A certificate and its key, both PEM.
pub struct Paper {
    certificate: String,
    key: String,
}

struct Papers {
    authority: String,
    good: Paper,
    expired: Paper,
    foreign: Paper,
    stranger: Paper,
}

static PAPERS: LazyLock<Papers> = LazyLock::new(|| {
    let (authority, issuer) = authority("Authority of the simulation");
    let (_, other) = self::authority("Authority of somebody else");
    let names = [TARGET, "*.listener.sim"];
    let right = leaf("friend", &names);
    let mut late = right.clone();
    (late.not_before, late.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
    Papers {
        authority,
        good: issue(&right, &issuer),
        expired: issue(&late, &issuer),
        foreign: issue(&right, &other),
        stranger: issue(&leaf("stranger", &["stranger.sim"]), &issuer),
    }
});

impl Shown {
    /// The paper itself.
    pub fn paper(self) -> &'static Paper {
        match self {
            Shown::Good => &PAPERS.good,
            Shown::Expired => &PAPERS.expired,
            Shown::Foreign => &PAPERS.foreign,
            Shown::Stranger => &PAPERS.stranger,
        }
    }
}

impl Paper {
    /// For sessions of ours.
    pub fn identity(&self) -> Identity {
        Identity::from_pem(self.certificate.as_bytes(), self.key.as_bytes(), None)
            .expect("it was just made")
    }

    /// For sessions of rustls.
    pub fn pair(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes());
        (vec![certificate.expect("it was just made")], key.expect("it was just made"))
    }
}

/// Whom everybody trusts.
pub fn trusted() -> Authorities {
    authorities(PAPERS.authority.as_bytes()).expect("it was just made")
}

/// The same for sessions of rustls.
pub fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(PAPERS.authority.as_bytes());
    roots.add(certificate.expect("it was just made")).expect("it is an authority");
    roots
}

fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
    let mut params = with_subject(name, &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = key();
    let certificate = params.self_signed(&key).expect("it can be signed").pem();
    (certificate, Issuer::new(params, key))
}

fn leaf(name: &str, names: &[&str]) -> CertificateParams {
    let mut params = with_subject(name, names);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn with_subject(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("they are names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(7u64));
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(4000, 1, 1));
    params
}

fn issue(params: &CertificateParams, issuer: &Issuer<'static, KeyPair>) -> Paper {
    let key = key();
    let certificate = params.signed_by(&key, issuer).expect("it can be signed").pem();
    Paper { certificate, key: key.serialize_pem() }
}

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("a key can be made")
}
