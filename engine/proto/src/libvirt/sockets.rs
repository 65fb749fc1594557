//! Which UNIX socket of a host leads to a daemon.
//!
//! Whether one is there is asked by whoever opens it: a daemon may be started later than Penstock.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use super::parameters::{Mode, Parameter};
use super::surroundings::Surroundings;
use super::uri::Uri;

/// Where the sockets of the system's daemons are.
const SYSTEM: &str = "/var/run";

/// Sockets that may lead to a daemon: the first that is there counts, and the last if none is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sockets {
    others: Option<String>,
    last: String,
}

impl Sockets {
    /// Those of a URI on this host. `readonly` has no say over a socket that is given, or a user's own daemon.
    pub(super) fn of(uri: &Uri, surroundings: &Surroundings, readonly: bool) -> Sockets {
        if let Some(socket) = uri.parameter(Parameter::Socket) {
            return Sockets { others: None, last: socket.to_owned() };
        }
        let session = surroundings.session(uri);
        let folder = session.map_or(SYSTEM, |user| user.runtime.trim_end_matches('/'));
        let end = if readonly && session.is_none() { "-ro" } else { "" };
        let direct =
            || format!("{folder}/libvirt/virt{}d-sock{end}", uri.driver.to_ascii_lowercase());
        let legacy = || format!("{folder}/libvirt/libvirt-sock{end}");
        match uri.mode() {
            Mode::Direct => Sockets { others: None, last: direct() },
            Mode::Legacy => Sockets { others: None, last: legacy() },
            Mode::Auto => Sockets { others: Some(direct()), last: legacy() },
        }
    }

    /// In the order in which they are looked for.
    pub fn candidates(&self) -> impl Iterator<Item = &str> {
        self.others.iter().chain([&self.last]).map(String::as_str)
    }

    /// The one to open.
    pub fn choose(&self, exists: impl Fn(&str) -> bool) -> &str {
        let first = self.others.as_deref().filter(|socket| exists(socket));
        first.unwrap_or(&self.last)
    }
}

/// The socket that another host's daemon has, as seen from there.
pub(super) fn remote(readonly: bool) -> String {
    format!("{SYSTEM}/libvirt/libvirt-sock{}", if readonly { "-ro" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libvirt::User;
    use alloc::vec::Vec;

    fn user() -> Surroundings {
        let (home, runtime) = ("/home/u".to_owned(), "/run/user/7".to_owned());
        Surroundings { user: Some(User { home, runtime }) }
    }

    fn candidates(uri: &str, surroundings: &Surroundings, readonly: bool) -> String {
        let sockets = Sockets::of(&Uri::parse(uri).unwrap(), surroundings, readonly);
        sockets.candidates().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn sockets_are_those_of_libvirts_client() {
        let (root, user) = (Surroundings::default(), user());
        for (uri, surroundings, readonly, expected) in [
            ("qemu:///system?mode=legacy", &root, false, "/var/run/libvirt/libvirt-sock"),
            ("qemu:///system?mode=legacy", &root, true, "/var/run/libvirt/libvirt-sock-ro"),
            ("qemu:///system?mode=direct", &root, false, "/var/run/libvirt/virtqemud-sock"),
            ("qemu:///system?mode=direct", &user, true, "/var/run/libvirt/virtqemud-sock-ro"),
            ("lxc:///?mode=direct", &user, false, "/var/run/libvirt/virtlxcd-sock"),
            ("qemu:///session?mode=direct", &root, false, "/var/run/libvirt/virtqemud-sock"),
            ("qemu:///session?mode=legacy", &user, false, "/run/user/7/libvirt/libvirt-sock"),
            ("qemu:///session?mode=direct", &user, false, "/run/user/7/libvirt/virtqemud-sock"),
            ("qemu:///session?mode=legacy", &user, true, "/run/user/7/libvirt/libvirt-sock"),
            ("test:///default?mode=legacy", &user, false, "/run/user/7/libvirt/libvirt-sock"),
            ("remote:///?mode=legacy", &user, false, "/var/run/libvirt/libvirt-sock"),
            ("qemu:///system?socket=/a%20b&mode=direct", &root, true, "/a b"),
        ] {
            assert_eq!(candidates(uri, surroundings, readonly), expected, "{uri}");
        }
    }

    #[test]
    fn the_drivers_own_socket_comes_first_where_it_is() {
        let uri = Uri::parse("QEMU:///system").unwrap();
        let sockets = Sockets::of(&uri, &Surroundings::default(), false);
        let (own, legacy) = ("/var/run/libvirt/virtqemud-sock", "/var/run/libvirt/libvirt-sock");
        assert_eq!(sockets.candidates().collect::<Vec<_>>(), [own, legacy]);
        assert_eq!(sockets.choose(|_| true), own);
        assert_eq!(sockets.choose(|socket| socket == legacy), legacy);
        assert_eq!(sockets.choose(|_| false), legacy);
    }
}
