//! The peers of TLS, libvirt and serial lines among themselves, without Penstock: when these fail, no other failure means anything.

use penstock_tests::peers::{Libvirtd, LibvirtdSetup, VOLUME, Virsh, run_errands};
use penstock_tests::pki::{Authority, Wanted};
use penstock_tests::process;

/// A libvirtd with a guest and a volume.
fn with_guest(setup: LibvirtdSetup) -> Libvirtd {
    let libvirtd = setup.start();
    libvirtd.start_guest();
    libvirtd.make_volume(VOLUME);
    libvirtd
}

#[test]
fn errands_can_be_run_by_unix_and_tcp() {
    let libvirtd = with_guest(LibvirtdSetup::new());
    run_errands(&Virsh::new(libvirtd.by_unix()), &libvirtd);
    run_errands(&Virsh::new(libvirtd.by_tcp()), &libvirtd);
}

#[test]
fn errands_can_be_run_by_ssh() {
    let libvirtd = with_guest(LibvirtdSetup::new().ssh());
    run_errands(&Virsh::new(libvirtd.by_ssh()), &libvirtd);
    let socket = "&proxy=netcat&netcat=nc&socket=/run/libvirt/libvirt-sock";
    run_errands(&Virsh::new(libvirtd.by_ssh() + socket), &libvirtd);
}

#[test]
fn errands_can_be_run_by_tls() {
    let (authority, dir) = (Authority::new("CA"), process::directory());
    let setup = LibvirtdSetup::new();
    let server = authority.issue(&Wanted::server(setup.address()));
    let libvirtd = with_guest(setup.tls(&authority, &server).allow(&["O=Penstock,CN=*"]));
    let client = authority.issue(&Wanted::client(&[("O", "Penstock"), ("CN", "somebody")]));
    authority.libvirt_client(dir.path(), Some(&client), None);
    run_errands(&Virsh::new(libvirtd.by_tls(dir.path())), &libvirtd);
}
