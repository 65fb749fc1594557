//! What a listener of consoles serves to whom, in words. Of secrets nothing but that they are there.

use std::fmt::{self, Write};

use penstock_core::config::{
    Auth, Carried, Console, ConsoleTarget, Listener, TokenSource, Tokens, Web,
};

use super::{span, span_or};

pub(super) fn write(to: &mut String, listener: &Listener, console: &Console) -> fmt::Result {
    match &console.to {
        ConsoleTarget::Fixed(destination) => writeln!(to, "  console: {}", destination.text)?,
        ConsoleTarget::Tokens(tokens) => write_tokens(to, tokens, console.host_token)?,
    }
    match console.web.as_deref() {
        None => writeln!(to, "  pages: none; who asks for one is told 405")?,
        Some(Web::Demo) => writeln!(to, "  pages: the one that is built in")?,
        Some(Web::Directory(path)) => writeln!(to, "  pages: the files of {}", path.display())?,
    }
    match &console.auth {
        None => {}
        Some(Auth::Basic(_)) => writeln!(to, "  who: by user name and password")?,
        Some(Auth::CommonName(names)) => {
            writeln!(to, "  who: by a certificate of the name {}", names.join(" or "))?
        }
    }
    if console.web_auth {
        writeln!(to, "    and pages, too")?;
    }
    writeln!(to, "  pages that may ask for a console: {}", console.origins)?;
    if console.silent {
        writeln!(to, "  refused tokens are answered by silence, as websockify does")?;
    }
    let timeouts = &listener.timeouts;
    writeln!(
        to,
        "  a browser is asked every {}, and taken for dead after {} of silence; without keys and pointer it is left {}",
        span_or(console.heartbeat, "never"),
        span_or(timeouts.dead_peer.filter(|_| console.heartbeat.is_some()), "no time"),
        span_or(timeouts.user_idle, "alone for ever"),
    )
}

fn write_tokens(to: &mut String, tokens: &Tokens, by_host: bool) -> fmt::Result {
    let Tokens { source, timeout, single_use, bind_client, expiry } = tokens;
    let token = match source.carried() {
        _ if by_host => "the Host header",
        Carried::Argument(_) => "a token",
        Carried::Path => "the path",
    };
    writeln!(to, "  console: as {token} says, by {source:?}, within {}", span(*timeout))?;
    if let TokenSource::Ovirt { replay, skew, .. } = source {
        let viewers =
            if *replay { "whoever shows it, as often as they like" } else { "one viewer" };
        writeln!(to, "    each ticket is for {viewers}, and says whether its target wants TLS")?;
        if !skew.is_zero() {
            writeln!(to, "    clocks may be {} apart", span(*skew))?;
        }
    }
    if *single_use {
        writeln!(to, "    each token has one viewer")?;
    }
    if *bind_client {
        writeln!(to, "    after its first use, from the same address only")?;
    }
    match expiry {
        Some(expiry) => writeln!(to, "    not later than {} after its first use", span(*expiry)),
        None => Ok(()),
    }
}
