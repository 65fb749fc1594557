//! What an administrator does with one hypervisor in one sitting: looks, types on a console, moves volumes, and has the guest's
//! life followed all the while.

use std::fs::File;
use std::time::Duration;

use super::{Libvirtd, Virsh};
use crate::stream::{Pattern, sha256};
use crate::{process, wait};

/// Bytes of the volume that goes up and comes down again.
pub const VOLUME: u64 = 20 << 20;

/// Connections to the hypervisor that [`run_errands`] takes: a list, a console, two volumes, a follower, and two by who promised
/// only to look.
pub const CONNECTIONS: usize = 7;

/// What libvirt says to who may only look and wants more.
pub const READONLY_REFUSAL: &str = "read only access prevents virDomainDestroy";

/// Runs all errands by a client of a hypervisor that has a guest and a volume of [`VOLUME`] bytes.
///
/// # Panics
/// When one of them fails.
pub fn run_errands(virsh: &Virsh, libvirtd: &Libvirtd) {
    let mut follower = virsh.follow();
    wait::until_true("the follower sees something", Duration::from_secs(15), || {
        libvirtd.pause_guest();
        libvirtd.resume_guest();
        follower.count("Resumed") > 0
    });
    assert_eq!(virsh.list().as_deref(), Ok(&["guest".to_owned()][..]));
    type_on_console(virsh);
    move_volume(virsh);
    look_only(&virsh.clone().readonly());

    // After all that has passed by, the connection that did nothing is as good as new.
    let before = follower.count("Suspended");
    libvirtd.pause_guest();
    wait::until_true("one more event", Duration::from_secs(15), || {
        follower.count("Suspended") == before + 1
    });
    libvirtd.resume_guest();
}

/// Types on the guest's console until the guest has given back what was typed, to the byte.
fn type_on_console(virsh: &Virsh) {
    let mut console = virsh.console();
    // Whatever is there before virsh listens to the terminal is lost, as it is for people.
    wait::until_true("the guest answers", Duration::from_secs(15), || {
        console.type_in("?");
        std::thread::sleep(Duration::from_millis(50));
        console.rest().contains('?')
    });
    console.type_in("[");
    console.expect("[");
    let typed: String = ('a'..='z').cycle().take(2000).collect();
    console.type_in(&format!("{typed}]"));
    assert_eq!(console.expect("]"), typed);
}

/// Sees the guest, and can't destroy it.
fn look_only(virsh: &Virsh) {
    assert_eq!(virsh.list().as_deref(), Ok(&["guest".to_owned()][..]));
    let said = virsh.try_run(&["destroy", "guest"]).expect_err("it promised only to look");
    assert!(said.contains(READONLY_REFUSAL), "{said}");
}

/// Uploads a volume, downloads it again, and compares.
fn move_volume(virsh: &Virsh) {
    let dir = process::directory();
    let (up, down) = (dir.path().join("up"), dir.path().join("down"));
    let mut source = Pattern::new(VOLUME);
    source.send(&mut File::create(&up).expect("our directory"), VOLUME).expect("room for it");
    let name = |path: &std::path::Path| path.display().to_string();
    virsh.run(&["vol-upload", "volume", &name(&up), "--pool", "files"]);
    virsh.run(&["vol-download", "volume", &name(&down), "--pool", "files"]);
    let arrived = sha256(File::open(&down).expect("what was downloaded")).expect("our directory");
    assert_eq!(arrived, (source.sha256(), VOLUME));
}
