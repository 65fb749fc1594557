//! VNC of a host that wants encryption: a guest of QEMU's that offers VeNCrypt with X509Vnc alone, and a browser that knows nothing but passwords.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::process::{self, Process};
use penstock_tests::web_socket::{BINARY, Client, frame};
use penstock_tests::{Driver, both_drivers, loopback, wait};

use crate::rig::{Engine, Plan, Ticket};

both_drivers! {
    a_password_of_vnc_passes_within_tls_that_the_browser_does_not_speak,
    a_host_of_another_authority_is_not_spoken_to,
}

const PASSWORD: &str = "penguin7";
const VERSION: &[u8] = b"RFB 003.008\n";

/// A guest whose screen is shown by VNC over TLS, to who knows the password.
struct Guest {
    _process: Process,
    address: SocketAddr,
}

impl Guest {
    fn start(folder: &Folder) -> Guest {
        let ip = loopback::address();
        let address = SocketAddr::from((ip, 5900));
        let certificates = folder.path("qemu");
        let identity = folder.authority.issue(&Wanted::server(ip));
        folder.authority.qemu_server(&certificates, &identity);
        let tls = format!(
            "tls-creds-x509,id=tls,dir={},endpoint=server,verify-peer=off",
            certificates.display()
        );
        let secret = format!("secret,id=password,data={PASSWORD}");
        let vnc = format!("{ip}:0,tls-creds=tls,password-secret=password");
        let mut command = process::command("qemu-system-x86_64");
        command.args(["-machine", "pc,accel=tcg", "-m", "16", "-nodefaults", "-vga", "std", "-S"]);
        command.args(["-name", "guest 7", "-object", &tls, "-object", &secret, "-vnc", &vnc]);
        let process = Process::start(&mut command, process::directory());
        wait::until_true("it listens", Duration::from_secs(30), || {
            std::net::TcpStream::connect(address).is_ok()
        });
        Guest { _process: process, address }
    }
}

/// What proves the password: the challenge, encrypted with the password's bytes, each of them with its bits in reverse order.
fn proof(challenge: &[u8]) -> Vec<u8> {
    let key: String = PASSWORD.bytes().map(|byte| format!("{:02x}", byte.reverse_bits())).collect();
    let mut command = Command::new("openssl");
    command.args(["enc", "-des-ecb", "-nopad", "-K", &key]);
    command.args(["-provider", "legacy", "-provider", "default"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("OpenSSL");
    child.stdin.take().expect("a pipe").write_all(challenge).expect("it reads");
    let proof = child.wait_with_output().expect("it ends").stdout;
    assert_eq!(proof.len(), 16);
    proof
}

/// What the browser hears next, so many bytes of it, with what was left of the messages before.
fn hear(browser: &mut Client, left: &mut Vec<u8>, length: usize) -> Vec<u8> {
    while left.len() < length {
        let frame = browser.frame().expect("a frame");
        assert_eq!(frame.first, BINARY, "{frame:?} after {left:?}");
        left.extend(frame.payload);
    }
    left.drain(..length).collect()
}

fn a_password_of_vnc_passes_within_tls_that_the_browser_does_not_speak(driver: Driver) {
    let engine = Engine::new();
    let proxy = Plan::new(driver, &engine).start();
    let guest = Guest::start(&proxy.pki);
    let mut browser = proxy.open(&Ticket::to(guest.address, true).signed(&engine));
    let mut left = Vec::new();
    assert_eq!(hear(&mut browser, &mut left, 12), VERSION);
    browser.say(&frame(BINARY, VERSION));
    assert_eq!(hear(&mut browser, &mut left, 2), [1, 2], "one scheme: a password");
    browser.say(&frame(BINARY, &[2]));
    let challenge = hear(&mut browser, &mut left, 16);
    browser.say(&frame(BINARY, &proof(&challenge)));
    assert_eq!(hear(&mut browser, &mut left, 4), [0; 4], "the password is right");
    browser.say(&frame(BINARY, &[1]));
    let start = hear(&mut browser, &mut left, 24);
    let length = start[23].into();
    let name = hear(&mut browser, &mut left, length);
    assert_eq!(String::from_utf8_lossy(&name), "QEMU (guest 7)");
}

fn a_host_of_another_authority_is_not_spoken_to(driver: Driver) {
    let (engine, stranger) = (Engine::new(), Folder::new());
    let proxy = Plan::new(driver, &engine).start();
    let guest = Guest::start(&stranger);
    let mut browser = proxy.open(&Ticket::to(guest.address, true).signed(&engine));
    // No security type is offered, and so no challenge.
    let mut heard = Vec::new();
    loop {
        match browser.frame() {
            Ok(frame) if frame.first == BINARY => {
                let answer: &[u8] = if heard.is_empty() { VERSION } else { &[2] };
                heard.extend(frame.payload);
                let _ = browser.try_say(&penstock_tests::web_socket::frame(BINARY, answer));
            }
            Ok(frame) => {
                assert_ne!(frame.close().0, Some(1000));
                break;
            }
            Err(end) => panic!("{end:?}"),
        }
    }
    let words = String::from_utf8_lossy(&heard[VERSION.len()..]);
    assert!(words.starts_with('\0') && words.contains("can't be reached securely"), "{words}");
    let said = proxy.records(1)[0].to_string();
    assert!(said.contains("signed by no CA that is trusted here"), "{said}");
}
