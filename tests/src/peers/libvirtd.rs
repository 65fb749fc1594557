//! libvirtd with everything that a client can want of it: every transport, every way to prove who one is, a guest, a folder
//! of volumes. It has its own `/run`, `/etc/libvirt` and `/var/*/libvirt`, so that many of them run beside the machine's own.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::qemu;
use crate::pki::{Authority, Issued};
use crate::private::{self, Processes};
use crate::process::{self, Process};
use crate::{loopback, wait};

/// A running libvirtd. All of it, with guests and servers beside it, ends when this value is dropped.
#[derive(Debug)]
pub struct Libvirtd {
    process: Process,
    tcp: SocketAddr,
    tls: SocketAddr,
    ssh: SocketAddr,
}

/// What a libvirtd is started with.
#[derive(Debug)]
pub struct LibvirtdSetup {
    dir: TempDir,
    config: String,
    tcp: SocketAddr,
    tls: SocketAddr,
    ssh: Option<SocketAddr>,
}

/// Folders that are its own, below its directory, and what they stand for.
const FOLDERS: [(&str, &str); 5] = [
    ("run", "/run"),
    ("etc", "/etc/libvirt"),
    ("lib", "/var/lib/libvirt"),
    ("cache", "/var/cache/libvirt"),
    ("log", "/var/log/libvirt"),
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

    /// Listens for TLS, too, and wants a certificate of that authority from its clients.
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
            "ca_file = \"{dir}/ca.pem\"\ncert_file = \"{dir}/server.pem\"\nkey_file = \"{dir}/server.key\"\n"
        );
        self
    }

    /// Only lets clients in by TLS whose subject matches one of these.
    #[must_use]
    pub fn allow(mut self, patterns: &[&str]) -> LibvirtdSetup {
        let quoted: Vec<String> = patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect();
        self.config += &format!("tls_allowed_dn_list = [ {} ]\n", quoted.join(", "));
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
        make_ssh(self.dir.path(), address);
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
        let mounts = FOLDERS.map(|(folder, place)| (dir.path().join(folder), place));
        let mut command = private::command(&mounts, Processes::Own);
        command.args(["sh", "-c", START]).arg(dir.path());
        command.env("SASL_CONF_PATH", dir.path().join("sasl"));
        let listens = |address| TcpStream::connect(address).is_ok();
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
                && listens(tcp)
                && (!has_tls || listens(tls))
                && ssh.is_none_or(listens)
        });
        libvirtd
    }
}

impl Default for LibvirtdSetup {
    fn default() -> LibvirtdSetup {
        LibvirtdSetup::new()
    }
}

/// Keys, the server's configuration, and a client that trusts it.
fn make_ssh(dir: &Path, address: SocketAddr) {
    use std::os::unix::fs::PermissionsExt;

    for name in ["ssh-host", "ssh-user"] {
        let mut keygen = Command::new("ssh-keygen");
        process::run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name)));
    }
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("a key");
    let write = |name: &str, text: String| fs::write(dir.join(name), text).expect("our directory");
    let (host, port) = (address.ip(), address.port());
    write("ssh-known", format!("[{host}]:{port} {}", read("ssh-host.pub")));
    let dir_text = dir.display();
    write(
        "sshd_config",
        format!(
            "ListenAddress {address}\nHostKey {dir_text}/ssh-host\nAuthorizedKeysFile {dir_text}/ssh-user.pub
StrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nUsePAM no\nPidFile none\n"
        ),
    );
    // Nothing of the user's own has a say, neither configuration nor known hosts nor other keys.
    write(
        "ssh",
        format!(
            "#!/bin/sh\nexec ssh -F none -o UserKnownHostsFile={dir_text}/ssh-known -o GlobalKnownHostsFile=none -o IdentityAgent=none \"$@\"\n"
        ),
    );
    fs::set_permissions(dir.join("ssh"), fs::Permissions::from_mode(0o755)).expect("our file");
}

impl Libvirtd {
    /// Its UNIX socket, seen from outside.
    pub fn socket(&self) -> PathBuf {
        self.process.path("run/libvirt/libvirt-sock")
    }

    /// The one for those who may only look.
    pub fn readonly_socket(&self) -> PathBuf {
        self.process.path("run/libvirt/libvirt-sock-ro")
    }

    /// By its UNIX socket.
    pub fn by_unix(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket().display())
    }

    /// By TCP.
    pub fn by_tcp(&self) -> String {
        format!("qemu+tcp://{}/system", self.tcp)
    }

    /// By TLS, with the certificates in a folder: see [`Authority::libvirt_client`].
    pub fn by_tls(&self, pkipath: &Path) -> String {
        format!("qemu+tls://{}/system?pkipath={}", self.tls, pkipath.display())
    }

    /// By ssh, with the key that it was given.
    pub fn by_ssh(&self) -> String {
        let path = |name| self.process.path(name).display().to_string();
        let (key, command) = (path("ssh-user"), path("ssh"));
        format!("qemu+ssh://root@{}/system?keyfile={key}&command={command}", self.ssh)
    }

    /// Where it listens for TLS.
    pub fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// The file that tells virsh name and password, for the parameter `authfile`.
    pub fn password(&self) -> PathBuf {
        self.process.path("password")
    }

    /// What it and those beside it said so far.
    pub fn said(&self) -> String {
        self.process.text("errors")
    }

    /// Starts the guest `guest`, whose serial console gives back what it gets, and waits until it is up.
    ///
    /// # Panics
    /// When it isn't within 30 s.
    pub fn start_guest(&self) {
        let dir = self.process.path("");
        let disk = qemu::make_disk(&dir);
        let serial = dir.join("serial");
        let domain = format!(
            "<domain type='qemu'><name>guest</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='floppy'><driver name='qemu' type='raw'/><source file='{}'/><target dev='fda'/><readonly/></disk>
<serial type='pty'><log file='{}' append='off'/></serial><memballoon model='none'/></devices></domain>",
            disk.display(),
            serial.display()
        );
        fs::write(dir.join("guest.xml"), domain).expect("our directory");
        self.manage(&["create", &dir.join("guest.xml").display().to_string()]);
        wait::until_true("the guest is up", Duration::from_secs(30), || {
            self.process.text("serial").contains(qemu::Guest::TEXT)
        });
    }

    /// Makes the storage pool `files`, with an empty volume `volume` of that size.
    ///
    /// # Panics
    /// When libvirtd refuses.
    pub fn make_volume(&self, bytes: u64) {
        let volumes = self.process.path("volumes").display().to_string();
        self.manage(&["pool-create-as", "files", "dir", "--target", &volumes]);
        self.manage(&["vol-create-as", "files", "volume", &format!("{bytes}b")]);
    }

    /// Stops the guest for a while, which is an event.
    ///
    /// # Panics
    /// When it doesn't run.
    pub fn pause_guest(&self) {
        self.manage(&["suspend", "guest"]);
    }

    /// Lets the guest run on.
    ///
    /// # Panics
    /// When it does already.
    pub fn resume_guest(&self) {
        self.manage(&["resume", "guest"]);
    }

    /// Tells it something by its own socket.
    fn manage(&self, arguments: &[&str]) {
        process::run(Command::new("virsh").args(["-c", &self.by_unix()]).args(arguments));
    }
}

impl Drop for Libvirtd {
    fn drop(&mut self) {
        private::end(&mut self.process);
    }
}
