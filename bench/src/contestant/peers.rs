//! The peers that forward a port: HAProxy and nginx, each with one thread and no log; and nginx whose bytes Penstock carries, by the
//! module of ffi/hosts/nginx, with one thread more.

use anyhow::Result;

use super::{Cores, Kind, Launch, Programs, Recipe, Site, Source, Version, words};
use crate::record::Family;

pub(super) fn recipes(programs: &Programs) -> Vec<Recipe> {
    vec![
        haproxy("haproxy-copy", "mode tcp, no splice", "", ""),
        haproxy(
            "haproxy-wide",
            "mode tcp, no splice, tune.bufsize 65536",
            "tune.bufsize 65536",
            "",
        ),
        haproxy(
            "haproxy-auto",
            "mode tcp, option splice-auto, tune.pipesize 1048576: one setting for everything",
            "tune.pipesize 1048576",
            "option splice-auto",
        ),
        haproxy(
            "haproxy-splice",
            "mode tcp, splice forced both ways, tune.pipesize 1048576",
            "tune.pipesize 1048576",
            "option splice-request\n  option splice-response",
        ),
        haproxy("haproxy-busy", "mode tcp, no splice, busy-polling", "busy-polling", ""),
        nginx("nginx", "stream, proxy_buffer_size 64k", "proxy_buffer_size 64k;"),
        nginx("nginx-default", "stream, buffers as they come (16k)", ""),
        with_module("nginx-penstock", "stream, penstock on", "uring", programs),
        with_module("nginx-penstock-epoll", "stream, penstock on, by epoll", "epoll", programs),
    ]
}

fn recipe(
    name: &str,
    setting: &str,
    version: Version,
    build: impl Fn(&Site) -> Result<Launch> + 'static,
) -> Recipe {
    Recipe {
        name: name.into(),
        family: Family::Peer,
        setting: setting.into(),
        kind: Kind::Tcp,
        source: Source::Start { build: Box::new(build), user: None, cores: Cores::Own },
        expected: None,
        version,
        guest_of: None,
    }
}

fn haproxy(name: &str, setting: &str, global: &'static str, defaults: &'static str) -> Recipe {
    let build = move |site: &Site| {
        let Site { listen, listen_flood, echo, flood, .. } = site;
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
  {defaults}
listen echo
  bind {listen}
  server echo {echo}
listen flood
  bind {listen_flood}
  server flood {flood}
"
        );
        let mut argv = words(&["haproxy", "-db", "-f"]);
        argv.push(site.config.display().to_string());
        Ok(Launch { argv, config: Some(config) })
    };
    recipe(name, setting, Version::Asked("haproxy".into(), "-v"), build)
}

fn nginx(name: &str, setting: &str, stream: &'static str) -> Recipe {
    let build = move |site: &Site| Ok(launch_nginx(site, "", stream));
    recipe(name, setting, Version::Asked("nginx".into(), "-v"), build)
}

/// Buffers as they come: nginx's own carry nothing but what came before the handing over.
fn with_module(name: &str, setting: &str, driver: &'static str, programs: &Programs) -> Recipe {
    let module = programs.nginx_module.clone();
    let build = move |site: &Site| {
        let load = format!("load_module {};", module.display());
        let stream = format!("penstock on; penstock_driver {driver};");
        Ok(launch_nginx(site, &load, &stream))
    };
    let version = Version::Module(programs.nginx_module.clone());
    Recipe { family: Family::Penstock, ..recipe(name, setting, version, build) }
}

fn launch_nginx(site: &Site, load: &str, stream: &str) -> Launch {
    let Site { listen, listen_flood, echo, flood, .. } = site;
    let folder = site.folder.display();
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
{load}
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 10240; }}
stream {{
  access_log off;
  {stream}
  server {{ listen {listen}; proxy_pass {echo}; }}
  server {{ listen {listen_flood}; proxy_pass {flood}; }}
}}
"
    );
    let mut argv = words(&["nginx", "-p"]);
    argv.extend([folder.to_string(), "-c".into(), site.config.display().to_string()]);
    Launch { argv, config: Some(config) }
}
