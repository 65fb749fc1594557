//! What a libvirtd is started with, and its start.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::{Libvirtd, ssh};
use crate::pki::{Authority, Issued};
use crate::private::{self, Processes};
use crate::process::{self, Process};
use crate::{loopback, procfs, wait};

/// What a libvirtd is started with.
#[derive(Debug)]
pub struct LibvirtdSetup {
    dir: TempDir,
    config: String,
    tcp: SocketAddr,
    tls: SocketAddr,
    ssh: Option<SocketAddr>,
}

/// Files that are the machine's own, with a line more. libvirtd does not start QEMU's driver without the user who is its
/// default, although it is told another one; whoever installs libvirtd as a service has that user.
const ACCOUNTS: [(&str, &str, &str); 2] = [
    ("passwd", "/etc/passwd", "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin"),
    ("group", "/etc/group", "libvirt-qemu:x:64055:"),
];

/// Folders that are its own, below its directory, and what they stand for.
const FOLDERS: [(&str, &str); 5] = [
    ("run", "/run"),
    ("etc", "/etc/libvirt"),
    ("lib", "/var/lib"),
    ("cache", "/var/cache"),
    ("log", "/var/log"),
];

/// Without a manager of services, without cgroups, and without changing the owner of anything.
const QEMU: &str = r#"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"#;

/// The first of its processes has to collect orphans, or libvirtd waits for each of them in vain.
const START: &str = r#"
mkdir -p /run/sshd /run/lock
[ ! -e "$0/sshd_config" ] || /usr/sbin/sshd -D -e -f "$0/sshd_config" &
libvirtd --listen &
wait
"#;

impl LibvirtdSetup {
    /// TCP and UNIX sockets where everybody is welcome.
    ///
    /// # Panics
    /// When there is no room for its files.
    pub fn new() -> LibvirtdSetup {
        let address = loopback::address();
        let port = |port| SocketAddr::from((address, port));
        LibvirtdSetup::at(port(16509), port(16514))
    }

    /// The same on ports of 127.0.0.1, for certificates that name `localhost`.
    ///
    /// # Panics
    /// When no port is free.
    pub fn on_localhost() -> LibvirtdSetup {
        let held =
            [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let [tcp, tls] = held.map(|listener| listener.local_addr().expect("a bound address"));
        LibvirtdSetup::at(tcp, tls)
    }

    fn at(tcp: SocketAddr, tls: SocketAddr) -> LibvirtdSetup {
        let config = format!(
            r#"
listen_tcp = 1
listen_addr = "{}"
tcp_port = "{}"
tls_port = "{}"
unix_sock_group = "root"
unix_sock_rw_perms = "0777"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "3:stderr"
"#,
            tcp.ip(),
            tcp.port(),
            tls.port()
        );
        let setup = LibvirtdSetup { dir: process::directory(), config, tcp, tls, ssh: None };
        for (folder, _) in FOLDERS {
            fs::create_dir(setup.dir.path().join(folder)).expect("our directory");
        }
        fs::create_dir(setup.dir.path().join("volumes")).expect("our directory");
        setup
    }

    /// Where it will listen.
    pub fn address(&self) -> IpAddr {
        self.tcp.ip()
    }

    /// Listens for TLS, too, and wants a certificate of that authority from its clients. It shows what it is given, even a
    /// certificate that it would not start with by default.
    ///
    /// # Panics
    /// When its files can't be written.
    #[must_use]
    pub fn tls(mut self, authority: &Authority, identity: &Issued) -> LibvirtdSetup {
        let path = |name: &str| self.dir.path().join(name);
        fs::write(path("ca.pem"), authority.pem()).expect("our directory");
        identity.write(&path("server.pem"), &path("server.key"));
        let dir = self.dir.path().display();
        self.config += &format!(
            "ca_file = \"{dir}/ca.pem\"\ncert_file = \"{dir}/server.pem\"\nkey_file = \"{dir}/server.key\"\ntls_no_sanity_certificate = 1\n"
        );
        self
    }

    /// Only lets clients in by TLS whose subject matches one of these.
    #[must_use]
    pub fn allow(mut self, patterns: &[&str]) -> LibvirtdSetup {
        // Its configuration knows both quotes and no escapes.
        let quoted = patterns.iter().map(|pattern| match pattern.contains('"') {
            true => format!("'{pattern}'"),
            false => format!("\"{pattern}\""),
        });
        let quoted: Vec<String> = quoted.collect();
        self.config += &format!("tls_allowed_dn_list = [ {} ]\n", quoted.join(", "));
        self
    }

    /// Has a revocation list for its clients.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn revocation_list(mut self, list: &str) -> LibvirtdSetup {
        let path = self.dir.path().join("crl.pem");
        fs::write(&path, list).expect("our directory");
        self.config += &format!("crl_file = \"{}\"\n", path.display());
        self
    }

    /// Wants a name and a password by SASL from who comes by TCP or TLS: see [`Libvirtd::password`].
    ///
    /// # Panics
    /// When `saslpasswd2` is missing.
    #[must_use]
    pub fn sasl(mut self) -> LibvirtdSetup {
        let (dir, users) = (self.dir.path().join("sasl"), self.dir.path().join("sasl/users"));
        fs::create_dir(&dir).expect("our directory");
        // The only one of Debian's mechanisms that brings a security layer, without which plain TCP is refused, and needs no realm.
        let config = format!(
            "mech_list: digest-md5\npwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {}\n",
            users.display()
        );
        fs::write(dir.join("libvirt.conf"), config).expect("our directory");
        let mut command = Command::new("sh");
        command.args(["-c", "echo secret | saslpasswd2 -p -c -a libvirt -f \"$0\" lab"]).arg(users);
        process::run(&mut command);
        let password = "[credentials-lab]\nauthname=lab\npassword=secret\n[auth-libvirt-default]\ncredentials=lab\n";
        fs::write(self.dir.path().join("password"), password).expect("our directory");
        self.config += "auth_tcp = \"sasl\"\nauth_tls = \"sasl\"\n";
        self
    }

    /// Is reached by ssh, too: by root, with a key that was made for it.
    ///
    /// # Panics
    /// When OpenSSH is missing.
    #[must_use]
    pub fn ssh(mut self) -> LibvirtdSetup {
        let address = SocketAddr::new(self.tcp.ip(), 2222);
        ssh::make(self.dir.path(), address);
        self.ssh = Some(address);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When libvirtd is missing or nothing listens within 20 s.
    pub fn start(self) -> Libvirtd {
        let LibvirtdSetup { dir, mut config, tcp, tls, ssh } = self;
        for (key, default) in [("auth_tcp", "\"none\""), ("auth_tls", "\"none\"")] {
            if !config.contains(key) {
                config += &format!("{key} = {default}\n");
            }
        }
        let has_tls = config.contains("cert_file");
        config += &format!("listen_tls = {}\n", u8::from(has_tls));
        fs::write(dir.path().join("etc/libvirtd.conf"), config).expect("our directory");
        fs::write(dir.path().join("etc/qemu.conf"), QEMU).expect("our directory");
        let mut mounts = FOLDERS.map(|(folder, place)| (dir.path().join(folder), place)).to_vec();
        for (name, place, line) in ACCOUNTS {
            let known = fs::read_to_string(place).expect("the users of this machine");
            let all =
                if known.contains("libvirt-qemu:") { known } else { format!("{known}{line}\n") };
            fs::write(dir.path().join(name), all).expect("our directory");
            mounts.push((dir.path().join(name), place));
        }
        let mut command = private::command(&mounts, Processes::Own);
        command.args(["sh", "-c", START]).arg(dir.path());
        command.env("SASL_CONF_PATH", dir.path().join("sasl"));
        let mut libvirtd = Libvirtd {
            process: Process::start(&mut command, dir),
            tcp,
            tls,
            ssh: ssh.unwrap_or(tcp),
        };
        wait::until_true("libvirtd listens", Duration::from_secs(20), || {
            let ended = libvirtd.process.ended();
            assert!(ended.is_none(), "ended with {ended:?}");
            UnixStream::connect(libvirtd.socket()).is_ok()
                && procfs::listens(tcp)
                && (!has_tls || procfs::listens(tls))
                && ssh.is_none_or(procfs::listens)
        });
        libvirtd
    }
}

impl Default for LibvirtdSetup {
    fn default() -> LibvirtdSetup {
        LibvirtdSetup::new()
    }
}
