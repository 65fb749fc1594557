//! What libvirt's client asks of the machine and the user it runs as, and what follows from it.

use alloc::format;
use alloc::string::String;

use super::uri::Uri;

/// The user that Penstock runs as. The default is root.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Surroundings {
    /// None for root, who has no daemons and certificates of its own but the system's.
    pub user: Option<User>,
}

/// A user who is not root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// The home folder.
    pub home: String,
    /// Where the sockets of this user's programs are.
    pub runtime: String,
}

impl Surroundings {
    /// Those of a user and the environment that a program of theirs was given.
    pub fn of(is_root: bool, variable: impl Fn(&str) -> Option<String>) -> Surroundings {
        let variable = |name| variable(name).filter(|value| value.starts_with('/'));
        let user = || {
            let home = variable("HOME").unwrap_or_else(|| String::from("/"));
            let runtime = variable("XDG_RUNTIME_DIR")
                .or_else(|| variable("XDG_CACHE_HOME"))
                .unwrap_or_else(|| format!("{}/.cache", home.trim_end_matches('/')));
            User { home, runtime }
        };
        Surroundings { user: (!is_root).then(user) }
    }

    /// The user whose own daemon a URI means; none: the system's.
    pub(super) fn session(&self, uri: &Uri) -> Option<&User> {
        self.user.as_ref().filter(|_| uri.names_session())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned;

    fn runtime(variables: &[(&str, &str)]) -> String {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        let of = |name: &str| find(name).map(|(_, value)| (*value).to_owned());
        Surroundings::of(false, of).user.unwrap().runtime
    }

    #[test]
    fn sockets_of_a_user_are_where_the_environment_says() {
        let (home, cache) = (("HOME", "/home/u"), ("XDG_CACHE_HOME", "/c"));
        assert_eq!(runtime(&[home, cache, ("XDG_RUNTIME_DIR", "/run/user/7")]), "/run/user/7");
        assert_eq!(runtime(&[home, cache]), "/c");
        assert_eq!(runtime(&[home]), "/home/u/.cache");
        assert_eq!(runtime(&[home, ("XDG_RUNTIME_DIR", "here")]), "/home/u/.cache");
        assert_eq!(runtime(&[]), "/.cache");
        assert_eq!(Surroundings::of(true, |_| Some("/x".to_owned())), Surroundings::default());
    }
}
