//! Sessions' settings out of files: which files, which options, and what is wrong if it does not work.
//!
//! In: paths and options as configured. Out: a [`Server`] or a [`Client`], made anew at each [`load`](ServerFiles::load), so that files can be
//! renewed. The one place of this crate that reads files; it watches none, and it keeps nothing when something is wrong with any of them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use crate::fault::FileFault;
use crate::identity::{self, Authorities, Identity, Revoked};
use crate::provider::Implementation;
use crate::settings::{Client, ClientAuth, ClientOptions, MinVersion, Server, ServerOptions};
use crate::subject::Allowed;
use crate::verify::Verify;

/// A listener's side, as configured.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// Certificates with their chains, PEM: a client gets the first that is for the name it asks for, or the first of all.
    pub cert: Vec<PathBuf>,
    /// The key of each, in the same order.
    pub key: Vec<PathBuf>,
    /// The first line of it opens those keys that are encrypted.
    pub key_password_file: Option<PathBuf>,
    /// Who may have signed clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Revocation lists, of each CA in clients' chains.
    pub crl: Option<PathBuf>,
    /// Whether clients show a certificate.
    pub client_auth: ClientAuth,
    /// Subjects that may come in; none: all.
    pub allowed: Option<Allowed>,
    /// The oldest version.
    pub min_version: MinVersion,
    /// Protocols within, by preference.
    pub alpn: Vec<Vec<u8>>,
    /// Whether clients are given tickets, by which they may take a session up again.
    pub tickets: bool,
    /// Whose ciphers.
    pub implementation: Implementation,
}

/// Our side towards a target, as configured.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// Who may have signed the target's certificate. It is required but with [`Verify::Off`].
    pub ca: Option<Ca>,
    /// What we show if we are asked, PEM.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The first line of it opens the key, if that is encrypted.
    pub key_password_file: Option<PathBuf>,
    /// Revocation lists, of each CA in the target's chain.
    pub crl: Option<PathBuf>,
    /// What the certificate is held against.
    pub verify: Verify,
    /// The oldest version.
    pub min_version: MinVersion,
    /// Protocols within, by preference.
    pub alpn: Vec<Vec<u8>>,
    /// Whose ciphers.
    pub implementation: Implementation,
    /// Counts targets that were judged by their common name.
    pub by_common_name: Arc<AtomicU64>,
}

/// Where trusted authorities come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ca {
    /// A PEM file.
    File(PathBuf),
    /// The system's own; `SSL_CERT_FILE` and `SSL_CERT_DIR` say otherwise where they are set.
    Native,
}

/// A file that can't be used, or is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileError {
    /// The key that names the file, or should: `cert`, `key`, `key_password_file`, `client_ca`, `crl` or `ca`.
    pub key: &'static str,
    /// The file, if the key names one.
    pub path: Option<PathBuf>,
    /// What is wrong with it.
    pub fault: FileFault,
}

/// No certificate, list or key is larger: the system's authorities together have a quarter of a MiB.
const FILE_MAX: u64 = 16 << 20;

impl ServerFiles {
    /// Reads them all.
    ///
    /// # Errors
    /// The first file that is missing or can't be used.
    pub fn load(&self) -> Result<Server, FileError> {
        let client_authorities = match (self.client_auth, &self.client_ca) {
            (ClientAuth::Off, _) => None,
            (_, Some(path)) => Some(parsed("client_ca", path, identity::authorities)?),
            (_, None) => return Err(required("client_ca")),
        };
        let options = ServerOptions {
            identities: self.identities()?,
            client_auth: self.client_auth,
            client_authorities,
            revoked: revoked(self.crl.as_deref())?,
            allowed: self.allowed.clone(),
            min_version: self.min_version,
            alpn: self.alpn.clone(),
            tickets: self.tickets,
            implementation: self.implementation,
        };
        Server::new(options).map_err(|error| unusable("cert", &error))
    }

    fn identities(&self) -> Result<Vec<Identity>, FileError> {
        let (cert, key) = (&self.cert, &self.key);
        if cert.is_empty() {
            return Err(required("cert"));
        }
        if cert.len() != key.len() {
            let fault = FileFault::Unpaired { certificates: cert.len(), keys: key.len() };
            return Err(FileError { key: "key", path: None, fault });
        }
        let password = password(self.key_password_file.as_deref())?;
        cert.iter().zip(key).map(|(cert, key)| pair(cert, key, password.as_deref())).collect()
    }

    /// All files that are read.
    pub fn files(&self) -> Vec<&Path> {
        let others = [&self.key_password_file, &self.client_ca, &self.crl];
        let files = self.cert.iter().chain(&self.key).chain(others.into_iter().flatten());
        files.map(PathBuf::as_path).collect()
    }
}

impl ClientFiles {
    /// For targets that the system's own authorities have signed, for the name by which they are reached.
    pub fn of_the_system(implementation: Implementation) -> ClientFiles {
        ClientFiles {
            ca: Some(Ca::Native),
            cert: None,
            key: None,
            key_password_file: None,
            crl: None,
            verify: Verify::Name,
            min_version: MinVersion::Tls12,
            alpn: Vec::new(),
            implementation,
            by_common_name: Arc::default(),
        }
    }

    /// Reads them all.
    ///
    /// # Errors
    /// The first file that is missing or can't be used.
    pub fn load(&self) -> Result<Client, FileError> {
        let authorities = match (&self.ca, &self.verify) {
            (None, Verify::Off) => None,
            (None, _) => return Err(required("ca")),
            (Some(Ca::File(path)), _) => Some(parsed("ca", path, identity::authorities)?),
            (Some(Ca::Native), _) => Some(native()?),
        };
        let identity = match (&self.cert, &self.key) {
            (None, None) => None,
            (Some(_), None) => return Err(required("key")),
            (None, Some(_)) => return Err(required("cert")),
            (Some(cert), Some(key)) => {
                let password = password(self.key_password_file.as_deref())?;
                Some(pair(cert, key, password.as_deref())?)
            }
        };
        let options = ClientOptions {
            authorities,
            verify: self.verify.clone(),
            revoked: revoked(self.crl.as_deref())?,
            identity,
            min_version: self.min_version,
            alpn: self.alpn.clone(),
            implementation: self.implementation,
            by_common_name: Arc::clone(&self.by_common_name),
        };
        Client::new(options).map_err(|error| unusable("ca", &error))
    }

    /// All files that are read; of the system's own authorities, those that have them all.
    pub fn files(&self) -> Vec<&Path> {
        let mut files = match &self.ca {
            Some(Ca::File(path)) => vec![path.as_path()],
            Some(Ca::Native) => bundles(),
            None => Vec::new(),
        };
        let others = [&self.cert, &self.key, &self.key_password_file, &self.crl];
        files.extend(others.into_iter().flatten().map(PathBuf::as_path));
        files
    }
}

impl Ca {
    /// The file that has all of the system's, where there is one.
    pub fn system_file() -> Option<&'static Path> {
        bundles().into_iter().find(|file| file.is_file())
    }
}

/// Where the system's authorities may be in one file. It need not be there.
fn bundles() -> Vec<&'static Path> {
    static NAMED: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("SSL_CERT_FILE").map(PathBuf::from));
    match NAMED.as_deref() {
        Some(path) => vec![path],
        None => BUNDLES.iter().map(Path::new).collect(),
    }
}

/// Of Debian, Red Hat (two), SUSE, and others.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What is current, while it is being renewed: a handle to it that may be cloned.
#[derive(Clone, Debug)]
pub struct Swap<T>(Arc<RwLock<T>>);

impl<T: Clone> Swap<T> {
    /// A handle to `current`.
    pub fn new(current: T) -> Swap<T> {
        Swap(Arc::new(RwLock::new(current)))
    }

    /// What is current.
    pub fn get(&self) -> T {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes `renewed` what is current. What was given out before stays as it is.
    pub fn put(&self, renewed: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = renewed;
    }
}

fn required(key: &'static str) -> FileError {
    FileError { key, path: None, fault: FileFault::Required }
}

fn unusable(key: &'static str, error: &crate::Error) -> FileError {
    FileError { key, path: None, fault: FileFault::Malformed(error.to_string()) }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, FileError> {
    let fault = |fault| FileError { key, path: Some(path.to_owned()), fault };
    contents(path).map_err(|error| fault(FileFault::of(&error)))
}

/// Of regular files only: a pipe would have us wait, and could not be read again.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 <= FILE_MAX {
        true => Ok(bytes),
        false => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB")),
    }
}

fn parsed<T>(
    key: &'static str,
    path: &Path,
    parse: impl Fn(&[u8]) -> Result<T, FileFault>,
) -> Result<T, FileError> {
    let bytes = read(key, path)?;
    parse(&bytes).map_err(|fault| FileError { key, path: Some(path.to_owned()), fault })
}

fn revoked(path: Option<&Path>) -> Result<Revoked, FileError> {
    path.map_or(Ok(Revoked::default()), |path| parsed("crl", path, identity::revoked))
}

fn password(path: Option<&Path>) -> Result<Option<Vec<u8>>, FileError> {
    let Some(path) = path else { return Ok(None) };
    let mut bytes = read("key_password_file", path)?;
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    bytes.truncate(end.unwrap_or(bytes.len()));
    Ok(Some(bytes))
}

fn pair(cert: &Path, key: &Path, password: Option<&[u8]>) -> Result<Identity, FileError> {
    let (certificates, private) = (read("cert", cert)?, read("key", key)?);
    Identity::from_pem(&certificates, &private, password).map_err(|fault| {
        let of_certificate = fault.is_of_certificate();
        let (key, path) = if of_certificate { ("cert", cert) } else { ("key", key) };
        FileError { key, path: Some(path.to_owned()), fault }
    })
}

/// Some of the system's may be beyond our understanding: that must not take the others from us.
fn native() -> Result<Authorities, FileError> {
    let found = rustls_native_certs::load_native_certs();
    let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
    identity::of_the_system(found.certs).ok_or_else(|| {
        let fault = FileFault::NoSystem(errors.join("; "));
        FileError { key: "ca", path: None, fault }
    })
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "`{}` ({}): {}", self.key, path.display(), self.fault),
            None => write!(f, "`{}`: {}", self.key, self.fault),
        }
    }
}

impl std::error::Error for FileError {}
