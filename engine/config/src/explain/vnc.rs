//! What is done with VNC between clients and servers, in words. Of passwords, where they are.

use std::fmt::{self, Write};

use penstock_core::config::{Account, Password, Scheme, SchemeOrder, Subtype, Vnc, VncMode};

pub(super) fn write(to: &mut String, vnc: &Vnc) -> fmt::Result {
    let who = match vnc.mode {
        VncMode::Bridge => "the client answers what the server asks, TLS ends here",
        VncMode::Authenticate => "we log in at the server, the client has nothing to show it",
    };
    writeln!(to, "  VNC: {who}")?;
    let schemes: Vec<_> = vnc.schemes.iter().map(|scheme| name(*scheme)).collect();
    let order = match vnc.order {
        SchemeOrder::Strongest => "the strongest",
        SchemeOrder::Server => "the first in the server's list",
    };
    writeln!(to, "    a server may ask for {}; of several, {order} is taken", schemes.join(", "))?;
    match &vnc.credentials.password {
        None => {}
        Some(Password::File(path)) => writeln!(to, "    password: from {}", path.display())?,
        Some(Password::Folder(path)) => {
            writeln!(to, "    password: from {}/HOST:PORT", path.display())?
        }
        Some(Password::Token) => writeln!(to, "    password: as the token's source says")?,
    }
    for (what, account) in
        [("X509Plain", &vnc.credentials.plain), ("X509SASL", &vnc.credentials.sasl)]
    {
        if let Some(Account { user, password_file }) = account {
            writeln!(to, "    {what}: as {user}, password from {}", password_file.display())?;
        }
    }
    if !vnc.listen.is_empty() {
        let subtypes: Vec<_> = vnc.listen.iter().map(|one| subtype(*one)).collect();
        writeln!(to, "    clients come by VeNCrypt: {}", subtypes.join(", "))?;
    }
    if vnc.force_shared {
        writeln!(to, "    nobody who opens a console throws out whoever has it open")?;
    }
    if vnc.view_only {
        writeln!(to, "    clients may look, and neither type nor point")?;
    }
    if vnc.unencrypted_clients {
        writeln!(to, "    warning: passwords are passed on from clients in the clear")?;
    }
    Ok(())
}

fn name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::VeNCrypt => "VeNCrypt",
        Scheme::Vnc => "a password in the clear (warning: DES of eight letters protects nothing)",
        Scheme::None => "nothing (warning: nobody knows that it is the server)",
    }
}

fn subtype(subtype: Subtype) -> &'static str {
    match subtype {
        Subtype::X509None => "X509None",
        Subtype::X509Vnc => "X509Vnc",
        Subtype::X509Plain => "X509Plain",
        Subtype::X509Sasl => "X509SASL",
    }
}
