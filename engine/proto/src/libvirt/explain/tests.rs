//! What an operator is told.

use super::*;
use crate::libvirt::WayError;
use crate::libvirt::error::ReadOnlyFault;

fn told(uri: &str, readonly: bool, there: &[&str]) -> Result<String, WayError> {
    let uri = Uri::parse(uri).unwrap();
    let lines = explain(&uri, &Surroundings::default(), readonly, &|path| there.contains(&path));
    lines.map(|lines| lines.join("\n"))
}

#[test]
fn files_are_told_in_the_order_in_which_they_are_looked_for() {
    let there = ["/p/cacert.pem", "/p/clientcert.pem", "/p/clientkey.pem"];
    let text =
        told("qemu://h.example/system?pkipath=/p&name=x:///y&no_tty=1&keyfile=/k", false, &there);
    let expected = "\
TLS to h.example, port 16514
its certificate must be signed by the CA and be for `h.example`
CA looked for: /p/cacert.pem
revocations looked for: /p/cacrl.pem (missing)
own certificate looked for: /p/clientcert.pem with /p/clientkey.pem
taken: /p/cacert.pem, no revocations, /p/clientcert.pem with /p/clientkey.pem
the server wants our certificate signed by its CA, its subject in tls_allowed_dn_list where there is one; it judges ours, never the client's
the server wants SASL of the client, if auth_tls says so
clients ask for `x:///y` by themselves: Penstock reads nothing of what they say
`name` is for what the client says to the daemon: write it in the client's URI
`no_tty` has no effect: nobody is ever asked for a password
`keyfile` has no say over this transport";
    assert_eq!(text.as_deref(), Ok(expected));
}

#[test]
fn what_is_missing_or_dangerous_stands_out() {
    let text =
        told("qemu://h/system?no_verify=1&tls_priority=NORMAL:-VERS-TLS1.2", false, &[]).unwrap();
    for part in [
        "NOT USABLE: expected the CA",
        "NOT VERIFIED (`no_verify`)",
        "GnuTLS understands `NORMAL:-VERS-TLS1.2`",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = told("qemu+ssh://h/system?no_verify=1", false, &[]).unwrap();
    assert!(text.contains("WHO THE HOST IS, IS NOT VERIFIED"), "{text}");
}

#[test]
fn a_command_line_can_be_pasted_into_a_shell() {
    let text = told("qemu+ssh://u@h:7/system?proxy=native", false, &[]).unwrap();
    let line = r"runs: ssh -p 7 -l u -T -e none -o BatchMode=yes -- h 'sh -c '\''virt-ssh-helper '\''qemu:///system'\'''\'''";
    assert_eq!(text.lines().next(), Some(line));
    let text = told("qemu+ext:///system?command=/opt/my%20door", false, &[]).unwrap();
    assert!(text.starts_with("runs: '/opt/my door'\nwith LC_ALL=C and"), "{text}");
}

#[test]
fn the_socket_is_told_with_what_it_wants() {
    let there = ["/var/run/libvirt/virtqemud-sock-ro"];
    let text = told("qemu:///system", true, &there).unwrap();
    let expected = "\
UNIX socket looked for at each connection: /var/run/libvirt/virtqemud-sock-ro, then /var/run/libvirt/libvirt-sock-ro (missing)
now it would be /var/run/libvirt/virtqemud-sock-ro
the server wants what unix_sock_ro_perms and auth_unix_ro say
clients ask for `qemu:///system` by themselves: Penstock reads nothing of what they say";
    assert_eq!(text, expected);
    let text = told("remote:///", false, &there).unwrap();
    assert!(text.contains("polkit sees Penstock's user") && text.contains("driver by themselves"));
}

#[test]
fn read_only_is_kept_or_refused() {
    let refusal = |uri| told(uri, true, &[]).expect_err(uri);
    let fault = |fault| WayError::ReadOnly(fault);
    for uri in ["qemu://h/system", "qemu+tcp://h/system", "qemu+ext:///system?command=x"] {
        assert_eq!(refusal(uri), fault(ReadOnlyFault::Transport), "{uri}");
    }
    for uri in ["qemu:///system?socket=/x", "qemu+ssh://h/system?socket=/x"] {
        assert_eq!(refusal(uri), fault(ReadOnlyFault::Socket), "{uri}");
    }
    assert_eq!(refusal("qemu+ssh://h/session"), fault(ReadOnlyFault::Session));
    assert_eq!(refusal("qemu+ssh://h/system?name=qemu:///session"), fault(ReadOnlyFault::Name));
    assert!(told("qemu:///session", true, &[]).is_ok(), "for root this is the system's");
    assert!(told("qemu+ssh://h/system", true, &[]).unwrap().contains("virt-ssh-helper -r"));
}

#[test]
fn sasl_passes_where_both_legs_are_of_one_kind() {
    use ClientLeg::{Tcp, Tls, Unix};
    for leg in [Tcp, Tls, Unix] {
        for transport in [Transport::Tls, Transport::Tcp, Transport::Unix, Transport::Ssh] {
            let is_tcp = (leg == Tcp, transport == Transport::Tcp);
            let conflict = sasl_conflict(leg, transport).is_some();
            assert_eq!(conflict, is_tcp.0 != is_tcp.1, "{leg:?} {transport:?}");
        }
    }
}
