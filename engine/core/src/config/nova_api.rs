//! The API of OpenStack's compute service, which knows its consoles.

use std::path::PathBuf;
use std::time::Duration;

/// The compute API, which tells where a token leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NovaApi {
    /// The identity service: its URL, with or without `/v3`.
    pub auth_url: Box<str>,
    /// Who we are there.
    pub login: KeystoneLogin,
    /// The compute API's URL; none: the catalogue tells.
    pub endpoint: Option<Box<str>>,
    /// Which of the catalogue's; none: internal ones, and public ones where there is none.
    pub interface: Option<Box<str>>,
    /// Of which region; none: of the first.
    pub region: Option<Box<str>>,
    /// Who may have signed their certificates; none: the system's own authorities.
    pub ca: Option<PathBuf>,
    /// The type of consoles.
    pub console_type: Box<str>,
    /// Protocols of pages that may ask; none: all. The API doesn't tell which page a token was given to.
    pub expected_origin_schemes: Vec<Box<str>>,
    /// How long a session may last. The API doesn't tell when a token ends.
    pub max_session: Option<Duration>,
}

/// Who we are to the identity service. Secrets are the first lines of files, read at each login.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeystoneLogin {
    /// By user name and password.
    Password {
        /// The user.
        username: Box<str>,
        /// Its domain's name.
        user_domain: Box<str>,
        /// What it acts for.
        project: Box<str>,
        /// Its domain's name.
        project_domain: Box<str>,
        /// The password is in it.
        password_file: PathBuf,
    },
    /// By an application credential.
    ApplicationCredential {
        /// Its number.
        id: Box<str>,
        /// The secret is in it.
        secret_file: PathBuf,
    },
}
