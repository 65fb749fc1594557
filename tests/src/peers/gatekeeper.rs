//! libvirtd on TLS, as a user of its own and without any driver: it says whose certificate may enter, and no more.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{self, Process};
use crate::subjects::{Signed, Signer, Subject};
use crate::{loopback, wait};

/// Some user who is not root: root's libvirtd is the system's, and there can be one only.
const USER: u32 = 65_534;

/// A running libvirtd.
#[derive(Debug)]
pub struct Gatekeeper {
    process: Process,
    address: SocketAddr,
}

impl Gatekeeper {
    /// Starts one that knows clients by certificates of `signer`; `allowed` is its `tls_allowed_dn_list`, if it has one.
    ///
    /// # Panics
    /// When libvirtd is missing, or nothing listens within 20 s.
    pub fn start(signer: &Signer, allowed: Option<&[&str]>) -> Gatekeeper {
        let dir = process::directory();
        let address = SocketAddr::from((loopback::address(), 16_514));
        for folder in ["home", "run", "drivers"] {
            let path = dir.path().join(folder);
            fs::create_dir(&path).expect("our directory");
            process::open_to_all(&path);
        }
        let server = signer.issue("libvirtd", Subject::new(&[("CN", "libvirtd")]));
        let file = dir.path().join("libvirtd.conf");
        fs::write(&file, config(address, signer, &server, allowed)).expect("our directory");
        let mut command = process::command_as(USER, "libvirtd");
        command.arg("--listen").arg("--config").arg(&file);
        command.env("HOME", dir.path().join("home"));
        command.env("XDG_RUNTIME_DIR", dir.path().join("run"));
        command.env("LIBVIRT_DRIVER_DIR", dir.path().join("drivers"));
        let process = Process::start(&mut command, dir);
        wait::until_true("libvirtd listens", Duration::from_secs(20), || {
            TcpStream::connect(address).is_ok()
        });
        Gatekeeper { process, address }
    }

    /// Whether it lets in who has this certificate: then it says so by a byte, otherwise it hangs up.
    ///
    /// # Panics
    /// When openssl is missing, it says something else, or it hangs up for another reason than the certificate.
    pub fn admits(&self, signer: &Signer, client: &Signed) -> bool {
        let before = self.refusals();
        let mut openssl = process::command("openssl");
        openssl.args(["s_client", "-quiet", "-verify_return_error", "-connect"]);
        openssl.arg(self.address.to_string()).arg("-CAfile").arg(signer.certificate());
        openssl.arg("-cert").arg(&client.certificate).arg("-key").arg(&client.key);
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = openssl.spawn().expect("openssl");
        let mut byte = [0];
        let said = child.stdout.as_mut().expect("its output").read(&mut byte).expect("its output");
        let _ = child.kill();
        let _ = child.wait();
        assert!(said == 0 || byte == [1], "byte {byte:?}");
        if said == 0 {
            let limit = Duration::from_secs(10);
            wait::until_true("it says why", limit, || self.refusals() == before + 1);
        }
        said == 1
    }

    /// Certificates that it did not like so far.
    fn refusals(&self) -> usize {
        self.process.text("errors").matches("Certificate check failed").count()
    }
}

/// A certificate's subject as libvirt sees it; none if it can't.
///
/// # Panics
/// When libvirt's client programs are missing.
pub fn subject_by_libvirt(certificate: &Path) -> Option<String> {
    let mut command = Command::new("virt-pki-query-dn");
    let output = command.arg(certificate).output().expect("virt-pki-query-dn");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    // One line end is the program's own: a subject may end in another.
    let subject = text.strip_suffix('\n').map(ToOwned::to_owned);
    subject.filter(|_| output.status.success())
}

fn config(
    address: SocketAddr,
    signer: &Signer,
    server: &Signed,
    allowed: Option<&[&str]>,
) -> String {
    let list = allowed.map_or(String::new(), |patterns| {
        let quoted: Vec<String> = patterns.iter().map(|pattern| quoted(pattern)).collect();
        format!("tls_allowed_dn_list = [ {} ]", quoted.join(", "))
    });
    format!(
        "listen_tls = 1\nlisten_tcp = 0\ntls_port = \"{}\"\nlisten_addr = \"{}\"\nauth_tls = \"none\"
key_file = \"{}\"\ncert_file = \"{}\"\nca_file = \"{}\"\nlog_outputs = \"3:stderr\"\n{list}\n",
        address.port(),
        address.ip(),
        server.key.display(),
        server.certificate.display(),
        signer.certificate().display(),
    )
}

/// For libvirt's configuration, which has two kinds of quotation marks and no escapes.
fn quoted(text: &str) -> String {
    let mark = if text.contains('"') { '\'' } else { '"' };
    assert!(!text.contains(mark), "libvirt can't say {text}");
    format!("{mark}{text}{mark}")
}
