//! What is done with VNC between its clients and its servers: nothing, or the security of one side is ours.

use std::path::PathBuf;

pub use penstock_proto::rfb::{Scheme, SchemeOrder, Subtype};

/// How a listener joins VNC's clients to its servers. Without one, bytes pass as they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vnc {
    /// Who proves to the server that it may come in.
    pub mode: VncMode,
    /// What a server may be spoken to by; what is not here is refused, however the server is set up.
    pub schemes: Vec<Scheme>,
    /// Which one, if a server offers several.
    pub order: SchemeOrder,
    /// What we prove ourselves by.
    pub credentials: Credentials,
    /// Whoever looks on can't type, point or paste.
    pub view_only: bool,
    /// Nobody who opens a console throws out whoever has it open.
    pub force_shared: bool,
    /// What native clients may use towards us; empty: they speak as browsers do, without TLS of VNC's own.
    pub listen: Vec<Subtype>,
    /// A console whose token says that its server wants TLS may be one of SPICE as well: whoever speaks first decides.
    pub or_spice: bool,
    /// Passwords of people are bridged to who did not come through TLS, too.
    pub unencrypted_clients: bool,
}

impl Vnc {
    /// One that takes VeNCrypt alone.
    pub fn new(mode: VncMode) -> Vnc {
        Vnc {
            mode,
            schemes: vec![Scheme::VeNCrypt],
            order: SchemeOrder::Strongest,
            credentials: Credentials::default(),
            view_only: false,
            force_shared: false,
            listen: Vec::new(),
            or_spice: false,
            unencrypted_clients: false,
        }
    }
}

/// Who proves to the server that it may come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VncMode {
    /// TLS ends here; the client answers what the server asks within.
    Bridge,
    /// We do: the client has shown by its token that it may.
    Authenticate,
}

/// What we prove ourselves by, where a server asks for it. Files are read at each connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Credentials {
    /// For the challenge.
    pub password: Option<Password>,
    /// For X509Plain.
    pub plain: Option<Account>,
    /// For X509SASL.
    pub sasl: Option<Account>,
}

impl Credentials {
    /// Whether any of it is in a file.
    pub fn has_files(&self) -> bool {
        let in_file = matches!(self.password, Some(Password::File(_) | Password::Folder(_)));
        in_file || self.plain.is_some() || self.sasl.is_some()
    }
}

/// Where a password is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Password {
    /// The first line of a file.
    File(PathBuf),
    /// The same of a file of that folder that is named as the target is: `host:port`.
    Folder(PathBuf),
    /// The token's source tells it.
    Token,
}

/// A user's name, and the file of its password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The name.
    pub user: Box<str>,
    /// The password is its first line.
    pub password_file: PathBuf,
}
