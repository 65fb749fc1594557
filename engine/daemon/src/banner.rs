//! What a user who started the daemon without arguments gets to read.

use penstock_config::Settings;
use penstock_core::config::{Listener, Service};

/// What is served, and lines to try that work as they stand.
pub(crate) fn of(settings: &Settings) -> String {
    let mut text = format!(
        "penstock {} serves its embedded configuration, for clients on this host only:\n",
        env!("CARGO_PKG_VERSION")
    );
    let listeners = &settings.config.listeners;
    for listener in listeners {
        let name = match listener.service {
            Service::Connect => "HTTP CONNECT",
            Service::Forward(_) => "forwarding",
            Service::Console(_) => "a console",
        };
        for address in &listener.addresses {
            text += &format!("  {name:15} http://{address}\n");
        }
    }
    let connects = |listener: &&Listener| listener.service == Service::Connect;
    let proxy = listeners.iter().find(connects).and_then(|listener| listener.addresses.first());
    if let (Some(admin), Some(proxy)) = (settings.admin, proxy) {
        text += &format!("  metrics, state  http://{admin}/metrics /health /ready /tunnels\n");
        text += &format!("Try it:\n  curl -p -x http://{proxy} http://{admin}/health\n");
        text += &format!("  SPICE_PROXY=http://{proxy} remote-viewer spice://HOST:PORT\n");
    }
    let has_console = |listener: &&Listener| matches!(listener.service, Service::Console(_));
    if let Some(address) = listeners.iter().find(has_console).and_then(|one| one.addresses.first())
    {
        text += &format!("  a browser on    http://{address}/\n");
    }
    text + "Your own configuration: penstock --config FILE; to have it explained: penstock check FILE\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_try_goes_through_the_proxy_to_the_admin_page() {
        let text = of(&penstock_config::default());
        assert!(
            text.contains("curl -p -x http://127.0.0.1:3128 http://127.0.0.1:9128/health\n"),
            "{text}"
        );
    }
}
