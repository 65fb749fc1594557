//! An authority, what it signed, and a folder where that lies for programs to read.

use std::path::PathBuf;

use tempfile::TempDir;

use super::{Authority, Wanted, write};
use crate::process;

/// An authority, what it signed, and a folder where that lies.
#[derive(Debug)]
pub struct Folder {
    dir: TempDir,
    /// Whose certificate is in [`Folder::authority_file`].
    pub authority: Authority,
}

impl Folder {
    /// The common name of every such authority: all look the same, and each has a key of its own.
    pub const AUTHORITY: &'static str = "Penstock's authority";

    /// A new authority in a new folder.
    ///
    /// # Panics
    /// When there is no room for it.
    pub fn new() -> Folder {
        let (dir, authority) = (process::directory(), Authority::new(Folder::AUTHORITY));
        write(dir.path(), "ca.pem", authority.pem());
        Folder { dir, authority }
    }

    /// The authority's certificate.
    pub fn authority_file(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A place for a file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Signs what is wanted and writes it: the keys `cert` and `key` of a table in TOML.
    ///
    /// # Panics
    /// When a file can't be made.
    pub fn pair(&self, name: &str, wanted: &Wanted) -> String {
        self.known_pair(name, wanted).0
    }

    /// The same, and the SubjectPublicKeyInfo by which who has no authorities may know it.
    ///
    /// # Panics
    /// When a file can't be made.
    pub fn known_pair(&self, name: &str, wanted: &Wanted) -> (String, Vec<u8>) {
        let (certificate, key) =
            (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        let issued = self.authority.issue(wanted);
        issued.write(&certificate, &key);
        let keys = format!("cert = \"{}\", key = \"{}\"", certificate.display(), key.display());
        (keys, issued.public_key)
    }

    /// Signs what is wanted and writes it as [`Authority::libvirt_client`] does.
    ///
    /// # Panics
    /// When a file can't be made.
    pub fn pkipath(&self, name: &str, wanted: &Wanted) -> PathBuf {
        let identity = self.authority.issue(wanted);
        self.authority.libvirt_client(&self.path(name), Some(&identity), None);
        self.path(name)
    }
}

impl Default for Folder {
    fn default() -> Folder {
        Folder::new()
    }
}
