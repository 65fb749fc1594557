//! What a user who started the daemon without arguments gets to read.

use penstock_config::Settings;

/// What is served, and lines to try that work as they stand.
pub(crate) fn of(settings: &Settings) -> String {
    let mut text = format!(
        "penstock {} serves its embedded configuration, for clients on this host only:\n",
        env!("CARGO_PKG_VERSION")
    );
    let addresses = settings.config.listeners.iter().flat_map(|listener| &listener.addresses);
    for address in addresses.clone() {
        text += &format!("  HTTP CONNECT    http://{address}\n");
    }
    let proxy = addresses.clone().next();
    if let (Some(admin), Some(proxy)) = (settings.admin, proxy) {
        text += &format!("  metrics, state  http://{admin}/metrics /health /ready /tunnels\n");
        text += &format!("Try it:\n  curl -p -x http://{proxy} http://{admin}/health\n");
        text += &format!("  SPICE_PROXY=http://{proxy} remote-viewer spice://HOST:PORT\n");
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
