//! Certificates made for the occasion: authorities, and leaves that are right or wrong in one chosen way.
//!
//! Leaves are of ECDSA P-256. All of them may sign and encipher keys, because libvirt refuses a certificate that says
//! nothing of the latter, whatever its algorithm.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PublicKeyData, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};

mod folder;

pub use folder::Folder;

/// An authority.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted(CertificateParams);

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM.
    pub certificate: String,
    /// PEM.
    pub key: String,
    /// DER.
    pub der: Vec<u8>,
    /// The SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    serial: u64,
}

impl Authority {
    /// One that has this common name.
    ///
    /// # Panics
    /// Never: nothing about it can be wrong.
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&[("CN", name)]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Signs what is wanted.
    ///
    /// # Panics
    /// When a subject holds what its type can't.
    pub fn issue(&self, wanted: &Wanted) -> Issued {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let serial = SERIAL.fetch_add(1, Relaxed);
        let mut params = wanted.0.clone();
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let der = certificate.der().to_vec();
        let public_key = key.subject_public_key_info();
        Issued { certificate: certificate.pem(), key: key.serialize_pem(), der, public_key, serial }
    }

    /// A revocation list, PEM, that names these and no others.
    ///
    /// # Panics
    /// Never: nothing about it can be wrong.
    pub fn revoke(&self, revoked: &[&Issued]) -> String {
        let revoked = revoked.iter().map(|issued| RevokedCertParams {
            serial_number: SerialNumber::from(issued.serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 2),
            next_update: date_time_ymd(4000, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("a list").pem().expect("PEM")
    }

    /// Writes its certificate, and maybe an identity and a list, as `pkipath` of a libvirt URI wants them.
    ///
    /// # Panics
    /// When the folder can't be made.
    pub fn libvirt_client(&self, dir: &Path, identity: Option<&Issued>, list: Option<&str>) {
        fs::create_dir_all(dir).expect("a folder");
        write(dir, "cacert.pem", &self.pem);
        if let Some(identity) = identity {
            identity.write(&dir.join("clientcert.pem"), &dir.join("clientkey.pem"));
        }
        if let Some(list) = list {
            write(dir, "cacrl.pem", list);
        }
    }

    /// Writes its certificate and a server's identity as QEMU wants them, for SPICE and for all that has TLS credentials.
    ///
    /// # Panics
    /// When the folder can't be made.
    pub fn qemu_server(&self, dir: &Path, identity: &Issued) {
        fs::create_dir_all(dir).expect("a folder");
        write(dir, "ca-cert.pem", &self.pem);
        identity.write(&dir.join("server-cert.pem"), &dir.join("server-key.pem"));
    }
}

/// Writes one file of a folder.
fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("a file in our directory");
}

impl Issued {
    /// Writes it.
    ///
    /// # Panics
    /// When a file can't be made.
    pub fn write(&self, certificate: &Path, key: &Path) {
        fs::write(certificate, &self.certificate).expect("a file in our directory");
        fs::write(key, &self.key).expect("a file in our directory");
    }
}

impl Wanted {
    /// For a server at that address, whose subject is another name.
    pub fn server(address: impl Into<IpAddr>) -> Wanted {
        let mut params =
            leaf(&[("O", "Penstock"), ("CN", "server")], ExtendedKeyUsagePurpose::ServerAuth);
        params.subject_alt_names = vec![SanType::IpAddress(address.into())];
        Wanted(params)
    }

    /// For a server of that name.
    ///
    /// # Panics
    /// When it isn't ASCII.
    pub fn named_server(name: &str) -> Wanted {
        let mut wanted = Wanted::server_by_common_name(name);
        wanted.0.subject_alt_names = vec![SanType::DnsName(name.try_into().expect("ASCII"))];
        wanted
    }

    /// For a server whose name stands in its subject only, as it did before 2000 and does on many a hypervisor.
    pub fn server_by_common_name(name: &str) -> Wanted {
        Wanted(leaf(&[("O", "Penstock"), ("CN", name)], ExtendedKeyUsagePurpose::ServerAuth))
    }

    /// For a client with that subject: pairs of an attribute's short name and a value, in their order.
    ///
    /// # Panics
    /// When an attribute is unknown.
    pub fn client(pairs: &[(&str, &str)]) -> Wanted {
        Wanted(leaf(pairs, ExtendedKeyUsagePurpose::ClientAuth))
    }

    /// The same, but its time was over in 2020.
    #[must_use]
    pub fn expired(mut self) -> Wanted {
        self.0.not_before = date_time_ymd(2020, 1, 1);
        self.0.not_after = date_time_ymd(2020, 2, 1);
        self
    }
}

fn leaf(pairs: &[(&str, &str)], purpose: ExtendedKeyUsagePurpose) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(pairs);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![purpose];
    params.use_authority_key_identifier_extension = true;
    params
}

fn subject(pairs: &[(&str, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (attribute, value) in pairs {
        let value = match *attribute {
            // Of UTF-8, GnuTLS would tell a country or an address in hexadecimal.
            "C" => DnValue::PrintableString((*value).try_into().expect("ASCII")),
            "EMAIL" => DnValue::Ia5String((*value).try_into().expect("ASCII")),
            _ => DnValue::from(*value),
        };
        name.push(kind(attribute), value);
    }
    name
}

fn kind(attribute: &str) -> DnType {
    match attribute {
        "C" => DnType::CountryName,
        "ST" => DnType::StateOrProvinceName,
        "L" => DnType::LocalityName,
        "O" => DnType::OrganizationName,
        "OU" => DnType::OrganizationalUnitName,
        "CN" => DnType::CommonName,
        "EMAIL" => DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]),
        "street" => DnType::CustomDnType(vec![2, 5, 4, 9]),
        "title" => DnType::CustomDnType(vec![2, 5, 4, 12]),
        "UID" => DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]),
        // Of the arc for documentation: nobody has a name for it.
        "2.999.1" => DnType::CustomDnType(vec![2, 999, 1]),
        other => panic!("{other} is no attribute that the rig knows"),
    }
}
