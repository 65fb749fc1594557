//! nginx as an HTTPS origin of static files, with a certificate made for the occasion.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{self, Process};
use crate::{loopback, wait};

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    address: SocketAddr,
}

impl Nginx {
    /// Starts it with an empty folder of files.
    ///
    /// # Panics
    /// When nginx or openssl is missing or nothing listens within 10 s.
    pub fn start() -> Nginx {
        let dir = process::directory();
        let address = SocketAddr::from((loopback::address(), 8443));
        fs::create_dir(dir.path().join("files")).expect("our directory");
        make_certificate(&dir.path().join("certificate.pem"), *address_v4(&address));
        fs::write(dir.path().join("nginx.conf"), config(dir.path(), address))
            .expect("our directory");
        let mut command = process::command("nginx");
        command.arg("-p").arg(dir.path()).arg("-c").arg(dir.path().join("nginx.conf"));
        let nginx = Nginx { process: Process::start(&mut command, dir), address };
        wait::until_true("nginx listens", Duration::from_secs(10), || {
            TcpStream::connect(address).is_ok()
        });
        nginx
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the file that it serves as `/NAME` must lie.
    pub fn file(&self, name: &str) -> PathBuf {
        self.process.path("files").join(name)
    }

    /// Its certificate, for the client to trust.
    pub fn certificate(&self) -> PathBuf {
        self.process.path("certificate.pem")
    }
}

fn address_v4(address: &SocketAddr) -> &Ipv4Addr {
    match address {
        SocketAddr::V4(address) => address.ip(),
        SocketAddr::V6(_) => unreachable!("loopback::address gives IPv4"),
    }
}

fn make_certificate(path: &std::path::Path, ip: Ipv4Addr) {
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]);
    openssl.args([
        "-days",
        "2",
        "-subj",
        "/CN=origin",
        "-addext",
        &format!("subjectAltName=IP:{ip}"),
    ]);
    openssl.arg("-keyout").arg(path.with_extension("key")).arg("-out").arg(path);
    process::run(&mut openssl);
}

fn config(dir: &std::path::Path, address: SocketAddr) -> String {
    let dir = dir.display();
    // One process, since a test ends it by a signal that leaves it no time to end others. As root it would drop to a user who
    // may not read our files; "user" is ignored otherwise.
    format!(
        "user root; daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; keepalive_requests 1000000;
            client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
            uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
            server {{
                listen {address} ssl; root {dir}/files;
                ssl_certificate {dir}/certificate.pem; ssl_certificate_key {dir}/certificate.key;
            }}
        }}\n"
    )
}
