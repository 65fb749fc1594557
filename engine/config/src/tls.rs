//! TLS of listeners and towards targets: keys of a table to recipes, and what the files make of them now.
//!
//! In: the tables `tls` and `upstream_tls`. Out: what the engine shows and asks, loaded once, so that a file that is missing or does not
//! fit stops the start and not the first client. What they are held against is in engine/tls.

use std::path::PathBuf;

use penstock_core::config::{ListenerTls, UpstreamTls};
use penstock_core::tls::{
    Allowed, Ca, ClientAuth, ClientFiles, FileError, Implementation, MinVersion, ServerFiles, Swap,
    Verify,
};
use serde::Deserialize;
use toml::Spanned;

use crate::error::Fault;
use crate::value::OneOrMore;

/// Plaintext that a record may carry (RFC 8446 §5.1).
const RECORD_MAX: usize = 1 << 14;

/// TLS with clients.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    cert: Spanned<OneOrMore<PathBuf>>,
    key: Spanned<OneOrMore<PathBuf>>,
    key_password_file: Option<Spanned<PathBuf>>,
    client_ca: Option<Spanned<PathBuf>>,
    client_auth: Option<Spanned<ClientAuthWord>>,
    allowed_dn: Option<Spanned<Vec<String>>>,
    crl: Option<Spanned<PathBuf>>,
    #[serde(default)]
    min_version: VersionWord,
    #[serde(default)]
    alpn: Vec<Spanned<String>>,
}

/// TLS with targets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Upstream {
    pub(crate) ca: Option<Spanned<String>>,
    pub(crate) cert: Option<Spanned<PathBuf>>,
    pub(crate) key: Option<Spanned<PathBuf>>,
    pub(crate) key_password_file: Option<Spanned<PathBuf>>,
    pub(crate) verify: Option<Spanned<VerifyWord>>,
    pub(crate) server_name: Option<Spanned<String>>,
    pub(crate) allowed_dn: Option<Spanned<Vec<String>>>,
    pub(crate) crl: Option<Spanned<PathBuf>>,
    pub(crate) min_version: Option<VersionWord>,
    pub(crate) alpn: Vec<Spanned<String>>,
    pub(crate) max_record: Option<Spanned<usize>>,
}

impl Tls {
    /// Whether nobody comes in without a certificate.
    pub(crate) fn requires_certificates(&self) -> bool {
        self.client_auth() == ClientAuthWord::Require
    }

    /// Whether anybody may show a certificate.
    pub(crate) fn asks_for_certificates(&self) -> bool {
        self.client_auth() != ClientAuthWord::Off
    }

    fn client_auth(&self) -> ClientAuthWord {
        self.client_auth.as_ref().map_or(ClientAuthWord::Off, |word| *word.get_ref())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClientAuthWord {
    Off,
    Optional,
    Require,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VerifyWord {
    Name,
    Ca,
    Dn,
    Off,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
pub(crate) enum VersionWord {
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

impl From<VersionWord> for MinVersion {
    fn from(word: VersionWord) -> MinVersion {
        match word {
            VersionWord::Tls12 => MinVersion::Tls12,
            VersionWord::Tls13 => MinVersion::Tls13,
        }
    }
}

/// Whose ciphers are used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Provider {
    #[default]
    Auto,
    AwsLc,
    Ring,
}

impl Provider {
    /// None: whichever is faster here.
    pub(crate) fn chosen(self) -> Option<Implementation> {
        match self {
            Provider::AwsLc => Some(Implementation::AwsLc),
            Provider::Ring => Some(Implementation::Ring),
            Provider::Auto => None,
        }
    }

    /// For where TLS is spoken.
    pub(crate) fn implementation(self) -> Implementation {
        self.chosen().unwrap_or_else(Implementation::fastest)
    }
}

/// A listener's table, with the two keys beside it.
pub(crate) fn of_listener(
    table: &Spanned<Tls>,
    provider: Provider,
    only: bool,
    libvirt: bool,
) -> Result<ListenerTls, Fault> {
    let tls = table.get_ref();
    judge_clients(tls)?;
    if tls.cert.get_ref().0.len() != tls.key.get_ref().0.len() {
        let message = "expected as many keys as certificates, in the same order";
        return Err(Fault::at(tls.key.span(), message));
    }
    let files = ServerFiles {
        cert: tls.cert.get_ref().0.clone(),
        key: tls.key.get_ref().0.clone(),
        key_password_file: path(tls.key_password_file.as_ref()),
        client_ca: path(tls.client_ca.as_ref()),
        crl: path(tls.crl.as_ref()),
        client_auth: match tls.client_auth() {
            ClientAuthWord::Off => ClientAuth::Off,
            ClientAuthWord::Optional => ClientAuth::Optional,
            ClientAuthWord::Require => ClientAuth::Require,
        },
        allowed: tls.allowed_dn.as_ref().map(allowed),
        min_version: tls.min_version.into(),
        alpn: protocols(&tls.alpn)?,
        // libvirt's clients read once after the handshake, and take a ticket for a refusal.
        tickets: !libvirt,
        implementation: provider.implementation(),
    };
    let spans = [
        ("cert", Some(tls.cert.span())),
        ("key", Some(tls.key.span())),
        ("key_password_file", tls.key_password_file.as_ref().map(Spanned::span)),
        ("client_ca", tls.client_ca.as_ref().map(Spanned::span)),
        ("crl", tls.crl.as_ref().map(Spanned::span)),
    ];
    let server = files.load().map_err(|error| unusable(&error, &spans, table.span()))?;
    Ok(ListenerTls { server: Swap::new(server), files, only, libvirt })
}

fn judge_clients(tls: &Tls) -> Result<(), Fault> {
    let asks = tls.client_auth() != ClientAuthWord::Off;
    match (&tls.client_ca, &tls.allowed_dn, &tls.crl) {
        (None, _, _) if asks => {
            let message =
                "`client_auth` needs `client_ca`: who may have signed clients' certificates";
            let word = tls.client_auth.as_ref().map(Spanned::span);
            Err(Fault::at(word.unwrap_or(tls.cert.span()), message))
        }
        (Some(ca), _, _) if !asks => {
            let message =
                "`client_ca` has no effect without `client_auth = \"require\"` or \"optional\"";
            Err(Fault::at(ca.span(), message))
        }
        (_, Some(list), _) if !asks => {
            let message =
                "`allowed_dn` has no effect without `client_auth = \"require\"` or \"optional\"";
            Err(Fault::at(list.span(), message))
        }
        (_, _, Some(crl)) if !asks => {
            let message =
                "`crl` is about clients' certificates: without `client_auth` none is asked for";
            Err(Fault::at(crl.span(), message))
        }
        _ => Ok(()),
    }
}

/// The table towards targets. `whole` is where it stands, or what implies it.
pub(crate) fn upstream(
    tls: &Upstream,
    whole: std::ops::Range<usize>,
    provider: Provider,
) -> Result<UpstreamTls, Fault> {
    let verify = verify(tls, whole.clone())?;
    let files = ClientFiles {
        ca: authorities(tls, whole.clone())?,
        cert: path(tls.cert.as_ref()),
        key: path(tls.key.as_ref()),
        key_password_file: path(tls.key_password_file.as_ref()),
        crl: path(tls.crl.as_ref()),
        verify,
        min_version: tls.min_version.unwrap_or_default().into(),
        alpn: protocols(&tls.alpn)?,
        implementation: provider.implementation(),
        by_common_name: Default::default(),
    };
    let spans = [
        ("ca", tls.ca.as_ref().map(Spanned::span)),
        ("cert", tls.cert.as_ref().map(Spanned::span)),
        ("key", tls.key.as_ref().map(Spanned::span)),
        ("key_password_file", tls.key_password_file.as_ref().map(Spanned::span)),
        ("crl", tls.crl.as_ref().map(Spanned::span)),
    ];
    let client = files.load().map_err(|error| unusable(&error, &spans, whole))?;
    if let Some(name) = &tls.server_name
        && client.session(name.get_ref()).is_err()
    {
        let message = format!("expected a host name or an address, got `{}`", name.get_ref());
        return Err(Fault::at(name.span(), message));
    }
    Ok(UpstreamTls {
        client: Swap::new(client),
        files,
        server_name: tls.server_name.as_ref().map(|name| name.get_ref().as_str().into()),
        max_record: max_record(tls.max_record.as_ref())?,
        libvirt: false,
        not_to_sockets: false,
    })
}

fn verify(tls: &Upstream, whole: std::ops::Range<usize>) -> Result<Verify, Fault> {
    let word = tls.verify.as_ref().map_or(VerifyWord::Name, |word| *word.get_ref());
    match (word, &tls.allowed_dn) {
        (VerifyWord::Dn, None) => {
            let message =
                "`verify = \"dn\"` needs `allowed_dn`: the subjects that a target may have";
            Err(Fault::at(tls.verify.as_ref().map_or(whole, Spanned::span), message))
        }
        (VerifyWord::Dn, Some(list)) => Ok(Verify::Subject(allowed(list))),
        (_, Some(list)) => {
            let message = "`allowed_dn` has no effect without `verify = \"dn\"`";
            Err(Fault::at(list.span(), message))
        }
        (VerifyWord::Name, None) => Ok(Verify::Name),
        (VerifyWord::Ca, None) => Ok(Verify::Authority),
        (VerifyWord::Off, None) => Ok(Verify::Off),
    }
}

fn authorities(tls: &Upstream, whole: std::ops::Range<usize>) -> Result<Option<Ca>, Fault> {
    match (&tls.ca, tls.verify.as_ref().map(|word| *word.get_ref())) {
        (Some(ca), _) if ca.get_ref() == "system" => Ok(Some(Ca::Native)),
        (Some(ca), _) => Ok(Some(Ca::File(ca.get_ref().into()))),
        (None, Some(VerifyWord::Off)) => Ok(None),
        (None, _) => {
            let message = "TLS with targets needs `upstream_tls.ca`: a PEM file of the CAs that sign them, or \"system\"";
            Err(Fault::at(whole, message))
        }
    }
}

fn max_record(value: Option<&Spanned<usize>>) -> Result<usize, Fault> {
    match value.map(|bytes| (*bytes.get_ref(), bytes.span())) {
        None => Ok(RECORD_MAX),
        Some((bytes @ 1..=RECORD_MAX, _)) => Ok(bytes),
        Some((other, span)) => {
            Err(Fault::at(span, format!("expected 1 to 16384 bytes of plaintext, got {other}")))
        }
    }
}

fn allowed(list: &Spanned<Vec<String>>) -> Allowed {
    Allowed::new(list.get_ref().iter().map(String::as_str))
}

/// A name has one byte for its length (RFC 7301 §3.1).
fn protocols(names: &[Spanned<String>]) -> Result<Vec<Vec<u8>>, Fault> {
    let bytes = |name: &Spanned<String>| match name.get_ref().len() {
        1..=255 => Ok(name.get_ref().clone().into_bytes()),
        length => {
            let message = format!(
                "expected a protocol's name of 1 to 255 bytes, such as \"http/1.1\", got {length} bytes"
            );
            Err(Fault::at(name.span(), message))
        }
    };
    names.iter().map(bytes).collect()
}

fn path(value: Option<&Spanned<PathBuf>>) -> Option<PathBuf> {
    value.map(|path| path.get_ref().clone())
}

/// A file's fault, at the key that names it.
fn unusable(
    error: &FileError,
    spans: &[(&str, Option<std::ops::Range<usize>>)],
    whole: std::ops::Range<usize>,
) -> Fault {
    let named = spans.iter().find(|(key, _)| *key == error.key);
    let span = named.and_then(|(_, span)| span.clone()).unwrap_or(whole);
    Fault::at(span, error.to_string())
}
