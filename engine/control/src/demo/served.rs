//! What is served, and how to try it: the listeners of a configuration as a table of HTML.
//!
//! Names, addresses and targets only. Of tokens it says that they are needed; who knows them, it does not say.

use std::fmt::Write;

use penstock_core::config::{Address, Config, ConsoleTarget, Listener, Service, Web};

/// Rows of a table: name, service, addresses, what to type.
pub(super) fn rows(config: &Config) -> String {
    let mut rows = String::new();
    for listener in &config.listeners {
        let places: Vec<String> = listener.addresses.iter().map(place).collect();
        let tries: Vec<String> = listener
            .addresses
            .iter()
            .take(1)
            .flat_map(|address| tries(listener, address))
            .collect();
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&listener.name),
            escape(&service(listener)),
            codes(&places),
            codes(&tries)
        );
    }
    rows
}

fn service(listener: &Listener) -> String {
    let what = match &listener.service {
        Service::Connect => "HTTP CONNECT proxy".to_owned(),
        Service::Forward(destination) => format!("forwards to {}", destination.text),
        Service::Console(console) => match &console.to {
            ConsoleTarget::Fixed(destination) => format!("console of {}", destination.text),
            ConsoleTarget::Tokens(_) => "consoles, each by its token".to_owned(),
        },
    };
    if listener.tls.is_some() { what + ", with TLS" } else { what }
}

fn place(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(socket) => format!("unix:{}", socket.path.display()),
        Address::StandardInput => "where it was told to".to_owned(),
    }
}

/// What to type for it.
fn tries(listener: &Listener, address: &Address) -> Vec<String> {
    let is_tls = listener.tls.is_some();
    let address = match address {
        Address::Tcp(address) => address,
        Address::Unix(socket) => {
            return vec![format!("socat - UNIX-CONNECT:{}", socket.path.display())];
        }
        Address::StandardInput => return Vec::new(),
    };
    // Whoever reads this is somewhere else.
    let host = if address.ip().is_unspecified() {
        format!("HOST:{}", address.port())
    } else {
        address.to_string()
    };
    let scheme = if is_tls { "https" } else { "http" };
    match &listener.service {
        Service::Connect => vec![
            format!("SPICE_PROXY={scheme}://{host} remote-viewer spice://TARGET:5900"),
            format!("curl --proxytunnel --proxy {scheme}://{host} http://TARGET:PORT/"),
        ],
        Service::Forward(destination) if destination.text.starts_with("qemu") => {
            let transport = if is_tls { "tls" } else { "tcp" };
            vec![format!("virsh -c qemu+{transport}://{host}/system list")]
        }
        Service::Forward(_) if is_tls => vec![format!("openssl s_client -connect {host}")],
        Service::Forward(_) => vec![format!("socat - TCP:{host}")],
        Service::Console(console) => {
            let page = match (&console.to, console.web.as_deref()) {
                (ConsoleTarget::Fixed(_), Some(_)) => "",
                (ConsoleTarget::Fixed(_), None) => "websockify",
                (ConsoleTarget::Tokens(_), Some(Web::Directory(_))) => {
                    "vnc.html?path=%3Ftoken%3DTOKEN"
                }
                (ConsoleTarget::Tokens(_), _) => "?token=TOKEN",
            };
            let scheme = match (console.web.is_some(), is_tls) {
                (true, _) => scheme,
                (false, true) => "wss",
                (false, false) => "ws",
            };
            vec![format!("{scheme}://{host}/{page}")]
        }
    }
}

fn codes(lines: &[String]) -> String {
    let codes: Vec<_> = lines.iter().map(|line| format!("<code>{}</code>", escape(line))).collect();
    codes.join("<br>")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
