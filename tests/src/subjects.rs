//! A certificate authority for one test, by openssl: certificates whose subjects are whatever a test wants.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::process;

/// An authority, and everything that it signed, in a directory that goes with this value.
#[derive(Debug)]
pub struct Signer {
    dir: TempDir,
}

/// A certificate of a [`Signer`] and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// A subject: attributes in order, `+` before the name of one that shares the set of the one before.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'s> {
    /// Names as openssl knows them, or `custom` for one that nobody does (2.999.1), with their values.
    pub attributes: &'s [(&'s str, &'s str)],
    /// What kinds of text may be chosen from, as openssl's `string_mask` has it.
    pub mask: &'s str,
}

impl<'s> Subject<'s> {
    /// One in UTF-8.
    pub const fn new(attributes: &'s [(&'s str, &'s str)]) -> Subject<'s> {
        Subject { attributes, mask: "utf8only" }
    }
}

impl Signer {
    /// Makes an authority.
    ///
    /// # Panics
    /// When openssl is missing.
    pub fn new() -> Signer {
        let signer = Signer { dir: process::directory() };
        let mut openssl = openssl("req");
        openssl.args(["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args(["-days", "2", "-subj", "/CN=authority"]);
        openssl.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        openssl.arg("-keyout").arg(signer.file("authority.key"));
        process::run(openssl.arg("-out").arg(signer.certificate()));
        signer
    }

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.file("authority.pem")
    }

    /// A certificate for a server or a client, whose files are called `name`. Daemons of other users may read them.
    ///
    /// # Panics
    /// When openssl does not take the subject.
    pub fn issue(&self, name: &str, subject: Subject<'_>) -> Signed {
        let file = |end: &str| self.file(&format!("{name}.{end}"));
        fs::write(file("conf"), config(subject)).expect("our directory");
        let mut request = openssl("req");
        request.args(["-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        request.arg("-config").arg(file("conf")).arg("-keyout").arg(file("key"));
        if subject.attributes.is_empty() {
            request.args(["-subj", "/"]);
        }
        process::run(request.arg("-out").arg(file("csr")));
        let mut sign = openssl("x509");
        sign.args(["-req", "-days", "2", "-CAcreateserial", "-extensions", "extensions"]);
        sign.arg("-in").arg(file("csr")).arg("-extfile").arg(file("conf"));
        sign.arg("-CA").arg(self.certificate()).arg("-CAkey").arg(self.file("authority.key"));
        process::run(sign.arg("-out").arg(file("pem")));
        let issued = Signed { certificate: file("pem"), key: file("key") };
        fs::set_permissions(&issued.key, fs::Permissions::from_mode(0o644)).expect("our file");
        issued
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

/// The bytes of a PEM certificate.
///
/// # Panics
/// When it is none.
pub fn der(certificate: &Path) -> Vec<u8> {
    let mut openssl = openssl("x509");
    openssl.args(["-outform", "DER", "-in"]).arg(certificate);
    let output = openssl.output().expect("openssl");
    assert!(output.status.success(), "{certificate:?}: {output:?}");
    output.stdout
}

fn openssl(what: &str) -> Command {
    let mut command = Command::new("openssl");
    command.arg(what);
    command
}

/// What openssl needs to know for a request and its certificate.
fn config(subject: Subject<'_>) -> String {
    let mut text = format!(
        "oid_section = oids\n[oids]\ncustom = 2.999.1\n\
         [req]\nprompt = no\nutf8 = yes\nstring_mask = {}\ndistinguished_name = subject\n\
         [extensions]\nkeyUsage = digitalSignature,keyEncipherment\nextendedKeyUsage = serverAuth,clientAuth\n\
         [subject]\n",
        subject.mask
    );
    for (place, (name, value)) in subject.attributes.iter().enumerate() {
        let (plus, name) = name.strip_prefix('+').map_or(("", *name), |name| ("+", name));
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        // The number in front lets a name stand there twice; openssl takes it off, and then looks for the plus sign.
        let _ = writeln!(text, "{place}.{plus}{name} = \"{value}\"");
    }
    text
}
