//! The peers that take CONNECT. Each with no log and, where it can be told so, one thread.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::{Cores, Kind, Launch, Recipe, Site, Source, Version, words};
use crate::record::Family;

pub(super) fn recipes() -> Vec<Recipe> {
    vec![
        recipe(
            "squid",
            "CONNECT, no cache, no client statistics (client_db), no log",
            "-v",
            "proxy",
            squid,
        ),
        recipe("tinyproxy", "CONNECT, one thread per tunnel", "-v", "nobody", tinyproxy),
        recipe(
            "trafficserver",
            "CONNECT, one event thread, no cache, no log",
            "--version",
            "trafficserver",
            traffic_server,
        ),
    ]
}

fn recipe(
    name: &str,
    setting: &str,
    version: &'static str,
    user: &'static str,
    build: fn(&Site) -> Result<Launch>,
) -> Recipe {
    let program = if name == "trafficserver" { TRAFFIC_SERVER } else { name };
    Recipe {
        name: name.into(),
        family: Family::Peer,
        setting: setting.into(),
        kind: Kind::Connect,
        source: Source::Start { build: Box::new(build), user: Some(user), cores: Cores::Own },
        expected: None,
        version: Version::Asked(program.into(), version),
        guest_of: None,
    }
}

const TRAFFIC_SERVER: &str = "traffic_server";

fn squid(site: &Site) -> Result<Launch> {
    let folder = site.folder.display();
    let config = format!(
        "http_port {}
acl CONNECT method CONNECT
http_access allow CONNECT localhost
http_access deny all
visible_hostname bench
cache deny all
cache_mem 8 MB
client_db off
access_log none
cache_log {folder}/cache.log
pid_filename none
coredump_dir {folder}
pinger_enable off
shutdown_lifetime 0 seconds
client_lifetime 1 day
",
        site.listen
    );
    let mut argv = words(&["squid", "-N", "-f"]);
    argv.push(site.config.display().to_string());
    Ok(Launch { argv, config: Some(config) })
}

fn tinyproxy(site: &Site) -> Result<Launch> {
    let config = format!(
        "Port {}
Listen 127.0.0.1
Timeout 3600
MaxClients 1100
LogLevel Critical
DisableViaHeader Yes
Allow 127.0.0.1
",
        site.listen.port()
    );
    let mut argv = words(&["tinyproxy", "-d", "-c"]);
    argv.push(site.config.display().to_string());
    Ok(Launch { argv, config: Some(config) })
}

/// It wants a tree of its own, and every file of its configuration in it.
fn traffic_server(site: &Site) -> Result<Launch> {
    let folder = &site.folder;
    let settings = folder.join("etc");
    for name in ["etc", "log", "run", "cache"] {
        fs::create_dir(folder.join(name))?;
    }
    copy_files(Path::new("/etc/trafficserver"), &settings)?;
    let records = format!(
        "CONFIG proxy.config.http.server_ports STRING {}:ip-in=127.0.0.1
CONFIG proxy.config.http.connect_ports STRING *
CONFIG proxy.config.url_remap.remap_required INT 0
CONFIG proxy.config.exec_thread.autoconfig.enabled INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.net.connections_throttle INT 9000
CONFIG proxy.config.http.transaction_no_activity_timeout_in INT 3600
CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.diags.output.diag STRING E
",
        site.listen.port()
    );
    let allow =
        "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n";
    fs::write(settings.join("records.config"), &records)?;
    fs::write(settings.join("ip_allow.yaml"), allow)?;
    fs::write(settings.join("remap.config"), "")?;
    fs::write(settings.join("plugin.config"), "")?;
    fs::write(settings.join("storage.config"), format!("{}/cache 32M\n", folder.display()))?;
    let root = folder.join("runroot.yaml");
    fs::write(&root, run_root(folder))?;
    // It would bind its threads to all cores of the machine, whatever it was given; a machine made up for hwloc(7) binds nobody.
    let mut argv = words(&["env", "HWLOC_SYNTHETIC=pu:1", TRAFFIC_SERVER]);
    argv.push(format!("--run-root={}", root.display()));
    Ok(Launch { argv, config: Some(records) })
}

fn run_root(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "prefix: {folder}
exec_prefix: {folder}
bindir: /usr/bin
sbindir: /usr/sbin
sysconfdir: {folder}/etc
datadir: {folder}/cache
includedir: {folder}
libdir: /usr/lib/trafficserver
libexecdir: /usr/lib/trafficserver/modules
localstatedir: {folder}
runtimedir: {folder}/run
logdir: {folder}/log
cachedir: {folder}/cache
"
    )
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}
