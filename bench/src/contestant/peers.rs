//! The peers, each with one thread and no log, and the bare relays of this program.

use super::{Kind, Recipe, Site};

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "squid",
        setting: "CONNECT, no cache, no log",
        kind: Kind::Connect,
        build: squid,
        user: Some("proxy"),
    },
    Recipe {
        name: "haproxy-copy",
        setting: "mode tcp, no splice",
        kind: Kind::Tcp,
        build: |site| haproxy(site, "", ""),
        user: None,
    },
    Recipe {
        name: "haproxy-auto",
        setting: "mode tcp, option splice-auto",
        kind: Kind::Tcp,
        build: |site| haproxy(site, "", "option splice-auto"),
        user: None,
    },
    Recipe {
        name: "haproxy-splice",
        setting: "mode tcp, splice forced both ways, tune.pipesize 1048576",
        kind: Kind::Tcp,
        build: |site| {
            haproxy(
                site,
                "tune.pipesize 1048576",
                "option splice-request\n  option splice-response",
            )
        },
        user: None,
    },
    Recipe {
        name: "nginx",
        setting: "stream, proxy_buffer_size 64k",
        kind: Kind::Tcp,
        build: nginx,
        user: None,
    },
    Recipe {
        name: "tokio-uring",
        setting: "plain relay, 64 KiB each way",
        kind: Kind::Tcp,
        build: |site| bare(site, "tokio-uring"),
        user: None,
    },
    Recipe {
        name: "bare-copy",
        setting: "epoll, recv and send, 64 KiB",
        kind: Kind::Tcp,
        build: |site| bare(site, "copy"),
        user: None,
    },
    Recipe {
        name: "bare-splice",
        setting: "epoll, splice(2), pipes of 1 MiB",
        kind: Kind::Tcp,
        build: |site| bare(site, "splice"),
        user: None,
    },
];

fn squid(site: &Site) -> (Option<String>, Vec<String>) {
    let folder = site.folder.display();
    let config = format!(
        "http_port {}
acl CONNECT method CONNECT
http_access allow CONNECT localhost
http_access deny all
visible_hostname bench
cache deny all
cache_mem 8 MB
access_log none
cache_log {folder}/cache.log
pid_filename none
coredump_dir {folder}
pinger_enable off
shutdown_lifetime 0 seconds
client_lifetime 1 day
",
        site.first
    );
    (Some(config), command(&["squid", "-N", "-f"], site))
}

fn haproxy(site: &Site, global: &str, defaults: &str) -> (Option<String>, Vec<String>) {
    let Site { first, second, echo, flood, .. } = site;
    let config = format!(
        "global
  nbthread 1
  maxconn 4500
  {global}
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  {defaults}
listen echo
  bind {first}
  server echo {echo}
listen flood
  bind {second}
  server flood {flood}
"
    );
    (Some(config), command(&["haproxy", "-db", "-f"], site))
}

fn nginx(site: &Site) -> (Option<String>, Vec<String>) {
    let Site { folder, first, second, echo, flood, .. } = site;
    let folder = folder.display();
    let config = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 8192; }}
stream {{
  access_log off;
  proxy_buffer_size 64k;
  server {{ listen {first}; proxy_pass {echo}; }}
  server {{ listen {second}; proxy_pass {flood}; }}
}}
"
    );
    (Some(config), command(&["nginx", "-p", &folder.to_string(), "-c"], site))
}

fn bare(site: &Site, kind: &str) -> (Option<String>, Vec<String>) {
    let forwards =
        [format!("{}={}", site.first, site.echo), format!("{}={}", site.second, site.flood)];
    let itself =
        std::env::current_exe().map_or("penstock-bench".into(), |path| path.display().to_string());
    let argv = [itself, "relay".into(), kind.into()].into_iter().chain(forwards).collect();
    (None, argv)
}

/// The command, ending with the path of the configuration file.
fn command(words: &[&str], site: &Site) -> Vec<String> {
    words.iter().map(|word| word.to_string()).chain([site.config.display().to_string()]).collect()
}
