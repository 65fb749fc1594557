//! Where the certificates of a client are looked for, and which of them are taken.
//!
//! In: a `pkipath`, or whose home it is. Out: candidates in order; whether one is there is asked of a closure, so that
//! nothing here opens a file. Stricter than libvirt's client in one thing: it takes half an identity for none, and is sent
//! away by the server.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use super::surroundings::Surroundings;

const SYSTEM_CA: &str = "/etc/pki/CA";
const SYSTEM: &str = "/etc/pki/libvirt";
const VNC: &str = "/etc/pki/libvirt-vnc";

/// Where to look, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// The authorities that sign servers.
    pub ca: Vec<String>,
    /// Their revocations.
    pub crl: Vec<String>,
    /// Certificate and key of the client. One pair is taken as a whole.
    pub identity: Vec<Identity>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The certificate's file.
    pub certificate: String,
    /// The key's.
    pub key: String,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The authorities.
    pub ca: String,
    /// Revocations, if there are any.
    pub crl: Option<String>,
    /// Who we are, if we can say.
    pub identity: Option<Identity>,
}

/// What is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// Authorities, at any of these places.
    Ca(Vec<String>),
    /// One file of a pair whose other file is there.
    Half {
        /// Is there.
        found: String,
        /// Is not, or can't be seen by us.
        missing: String,
    },
}

impl Places {
    /// Those of libvirt's client: of `pkipath` alone, or of the user and then of the system.
    pub fn of(pkipath: Option<&str>, surroundings: &Surroundings) -> Places {
        let flat = |folder: &str| {
            let file = |name: &str| format!("{}/{name}", folder.trim_end_matches('/'));
            let identity =
                Identity { certificate: file("clientcert.pem"), key: file("clientkey.pem") };
            Places {
                ca: vec![file("cacert.pem")],
                crl: vec![file("cacrl.pem")],
                identity: vec![identity],
            }
        };
        if let Some(folder) = pkipath {
            return flat(folder);
        }
        let system = Places {
            ca: vec![format!("{SYSTEM_CA}/cacert.pem")],
            crl: vec![format!("{SYSTEM_CA}/cacrl.pem")],
            identity: vec![Identity {
                certificate: format!("{SYSTEM}/clientcert.pem"),
                key: format!("{SYSTEM}/private/clientkey.pem"),
            }],
        };
        match &surroundings.user {
            None => system,
            Some(user) => {
                flat(&format!("{}/.pki/libvirt", user.home.trim_end_matches('/'))).then(system)
            }
        }
    }

    /// Those of viewers of VNC consoles: of the user and then of the system. A host's own authorities are good for other hosts, too.
    pub fn of_vnc(surroundings: &Surroundings) -> Places {
        let system = Places {
            ca: vec![format!("{VNC}/ca-cert.pem"), format!("{SYSTEM_CA}/cacert.pem")],
            crl: vec![format!("{VNC}/ca-crl.pem"), format!("{SYSTEM_CA}/cacrl.pem")],
            identity: vec![Identity {
                certificate: format!("{VNC}/clientcert.pem"),
                key: format!("{VNC}/private/clientkey.pem"),
            }],
        };
        let Some(user) = &surroundings.user else { return system };
        let pki = format!("{}/.pki", user.home.trim_end_matches('/'));
        let own = Places {
            ca: vec![format!("{pki}/libvirt-vnc/ca-cert.pem"), format!("{pki}/CA/cacert.pem")],
            crl: vec![format!("{pki}/libvirt-vnc/ca-crl.pem"), format!("{pki}/CA/cacrl.pem")],
            identity: vec![Identity {
                certificate: format!("{pki}/libvirt-vnc/clientcert.pem"),
                key: format!("{pki}/libvirt-vnc/private/clientkey.pem"),
            }],
        };
        own.then(system)
    }

    fn then(mut self, others: Places) -> Places {
        self.ca.extend(others.ca);
        self.crl.extend(others.crl);
        self.identity.extend(others.identity);
        self
    }

    /// The files to use.
    ///
    /// # Errors
    /// If no CA is there, or half an identity where a whole one was looked for last.
    pub fn find(&self, exists: impl Fn(&str) -> bool) -> Result<Files, Missing> {
        let first = |places: &[String]| places.iter().find(|path| exists(path)).cloned();
        let whole = |pair: &&Identity| exists(&pair.certificate) && exists(&pair.key);
        let identity = self.identity.iter().find(whole).cloned();
        if let (None, Some(last)) = (&identity, self.identity.last()) {
            let pair = (&last.certificate, &last.key);
            for (found, missing) in [pair, (pair.1, pair.0)] {
                if exists(found) {
                    let (found, missing) = (found.clone(), missing.clone());
                    return Err(Missing::Half { found, missing });
                }
            }
        }
        let ca = first(&self.ca).ok_or_else(|| Missing::Ca(self.ca.clone()))?;
        Ok(Files { ca, crl: first(&self.crl), identity })
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ca(places) => write!(
                f,
                "expected the CA that signed the server's certificate at {}; put it there, or name the folder with `pkipath=` or the file with `ca` in `upstream_tls`",
                places.join(" or ")
            ),
            Self::Half { found, missing } => write!(
                f,
                "{found} is there, but {missing} is missing or can't be seen by the user that Penstock runs as; the two belong together"
            ),
        }
    }
}

impl core::error::Error for Missing {}

#[cfg(test)]
mod tests;
