//! The peers that speak TLS on one of the two legs: HAProxy, nginx, hitch and stunnel, each on one core and with no log.

use super::{Build, Cores, Kind, Launch, Recipe, Site, Source, Version, words};
use crate::record::Family;

pub(super) fn recipes() -> Vec<Recipe> {
    let from = Kind::FromTls;
    let to = Kind::ToTls;
    vec![
        haproxy("haproxy-tls", from, ""),
        haproxy("haproxy-tls-wide", from, "tune.bufsize 262144"),
        nginx("nginx-tls", from, "16k"),
        nginx("nginx-tls-wide", from, "256k"),
        hitch(),
        stunnel("stunnel", from),
        haproxy("haproxy-to-tls", to, ""),
        haproxy("haproxy-to-tls-wide", to, "tune.bufsize 262144"),
        nginx("nginx-to-tls", to, "16k"),
        nginx("nginx-to-tls-wide", to, "256k"),
        stunnel("stunnel-to-tls", to),
    ]
}

fn recipe(name: &str, setting: String, kind: Kind, version: Version, build: Build) -> Recipe {
    Recipe {
        name: name.into(),
        family: Family::Peer,
        setting,
        kind,
        source: Source::Start { build, user: None, cores: Cores::Own },
        expected: None,
        version,
        guest_of: None,
    }
}

/// With the last words of a setting.
fn setting(kind: Kind, rest: &str) -> String {
    let leg = match kind {
        Kind::ToTls => "TLS 1.3 to the origin, its certificate checked",
        _ => "TLS 1.3 from the client",
    };
    format!("{leg}; {rest}")
}

fn haproxy(name: &str, kind: Kind, global: &'static str) -> Recipe {
    let build = move |site: &Site| {
        let Site { listen, echo, keys, .. } = site;
        let (ours, theirs) = match kind {
            Kind::ToTls => {
                let trusted = keys.authority.display();
                let checks = "verify required verifyhost localhost sni str(localhost)";
                (String::new(), format!("ssl ssl-min-ver TLSv1.3 {checks} ca-file {trusted}"))
            }
            _ => (format!("ssl ssl-min-ver TLSv1.3 crt {}", keys.both.display()), String::new()),
        };
        let config = format!(
            "global
  nbthread 1
  maxconn 6000
  {global}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen echo
  bind {listen} {ours}
  server echo {echo} {theirs}
"
        );
        let mut argv = words(&["haproxy", "-db", "-f"]);
        argv.push(site.config.display().to_string());
        Ok(Launch { argv, config: Some(config) })
    };
    let rest = if global.is_empty() { "mode tcp" } else { "mode tcp, tune.bufsize 262144" };
    let version = Version::Asked("haproxy".into(), "-v");
    recipe(name, setting(kind, rest), kind, version, Box::new(build))
}

fn nginx(name: &str, kind: Kind, buffer: &'static str) -> Recipe {
    let build = move |site: &Site| {
        let Site { listen, echo, keys, .. } = site;
        let (certificate, key) = (keys.certificate.display(), keys.key.display());
        let (ssl, settings) = match kind {
            Kind::ToTls => {
                let trusted = keys.authority.display();
                let settings = format!(
                    "proxy_ssl on; proxy_ssl_protocols TLSv1.3; proxy_ssl_name localhost; proxy_ssl_server_name on; \
                     proxy_ssl_verify on; proxy_ssl_trusted_certificate {trusted};"
                );
                ("", settings)
            }
            _ => {
                let identity = format!("ssl_certificate {certificate}; ssl_certificate_key {key};");
                (" ssl", format!("ssl_protocols TLSv1.3; {identity}"))
            }
        };
        let folder = site.folder.display();
        let config = format!(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 10240; }}
stream {{
  access_log off;
  proxy_buffer_size {buffer};
  {settings}
  server {{ listen {listen}{ssl}; proxy_pass {echo}; }}
}}
"
        );
        let mut argv = words(&["nginx", "-p"]);
        argv.extend([folder.to_string(), "-c".into(), site.config.display().to_string()]);
        Ok(Launch { argv, config: Some(config) })
    };
    let setting = setting(kind, &format!("stream, proxy_buffer_size {buffer}"));
    recipe(name, setting, kind, Version::Asked("nginx".into(), "-v"), Box::new(build))
}

/// It takes TLS from clients; towards origins it checks nobody.
fn hitch() -> Recipe {
    let build = |site: &Site| {
        let Site { listen, echo, keys, .. } = site;
        let config = format!(
            "frontend = \"[{}]:{}\"
backend = \"[{}]:{}\"
pem-file = \"{}\"
tls-protos = TLSv1.3
workers = 1
backlog = 4096
daemon = off
log-level = 1
ocsp-dir = \"\"
",
            listen.ip(),
            listen.port(),
            echo.ip(),
            echo.port(),
            keys.both.display()
        );
        let argv = vec!["hitch".into(), format!("--config={}", site.config.display())];
        Ok(Launch { argv, config: Some(config) })
    };
    let setting = setting(Kind::FromTls, "one worker");
    let version = Version::Asked("hitch".into(), "--version");
    let mut recipe = recipe("hitch", setting, Kind::FromTls, version, Box::new(build));
    if let Source::Start { user, .. } = &mut recipe.source {
        *user = Some("nobody");
    }
    recipe
}

fn stunnel(name: &str, kind: Kind) -> Recipe {
    let build = move |site: &Site| {
        let Site { listen, echo, keys, .. } = site;
        let settings = match kind {
            Kind::ToTls => format!(
                "client = yes\nCAfile = {}\nverifyChain = yes\ncheckHost = localhost\nsni = localhost",
                keys.authority.display()
            ),
            _ => format!(
                "cert = {}\nkey = {}\noptions = -NO_TICKET",
                keys.certificate.display(),
                keys.key.display()
            ),
        };
        let config = format!(
            "foreground = yes
syslog = no
debug = crit
pid =
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[echo]
accept = {listen}
connect = {echo}
sslVersionMin = TLSv1.3
{settings}
"
        );
        Ok(Launch {
            argv: vec!["stunnel4".into(), site.config.display().to_string()],
            config: Some(config),
        })
    };
    let setting = setting(kind, "one thread per tunnel");
    recipe(name, setting, kind, Version::Asked("stunnel4".into(), "-version"), Box::new(build))
}
