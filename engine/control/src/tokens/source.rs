//! Whoever knows tokens: one of websockify's plugins, or a cloud.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use penstock_core::config::TokenSource;
use penstock_core::console::Token;
use penstock_core::control::{Found, Place};
use penstock_core::ring::Errno;
use penstock_core::tls::Implementation;

use super::api::Api;
use super::file::{Files, Folder};
use super::jwt::Jwt;
use super::nova::api::NovaRest;
use super::nova::database::NovaDb;
use super::ovirt::Ovirt;
use super::redis::Redis;
use super::threads::Threads;
use super::{Answer, Judged, unavailable, unknown};
use crate::within;

pub(super) struct Source {
    name: String,
    kind: Kind,
    threads: Threads,
}

enum Kind {
    File(Arc<Files>),
    FileName(Arc<Folder>),
    UnixDirectory(PathBuf),
    Api(Api),
    Jwt(Arc<Jwt>),
    Redis(Redis),
    Ovirt(Arc<Ovirt>),
    NovaDb(NovaDb),
    Nova(Box<NovaRest>),
}

impl Source {
    pub(super) fn new(
        source: &TokenSource,
        threads: Threads,
        ciphers: Option<Implementation>,
    ) -> Source {
        let mut name = format!("{source:?}");
        let kind = match source {
            TokenSource::File { path, read_only } => {
                Kind::File(Arc::new(Files::new(path, *read_only)))
            }
            TokenSource::FileName(path) => Kind::FileName(Arc::new(Folder::new(path))),
            TokenSource::UnixDirectory(path) => Kind::UnixDirectory(path.clone()),
            TokenSource::Api { url, json } => {
                let api = Api::new(url, *json, threads.clone(), ciphers);
                if let Some(authority) = api.authority() {
                    name = format!("{name} at {authority}");
                }
                Kind::Api(api)
            }
            TokenSource::Jwt(path) => Kind::Jwt(Arc::new(Jwt::new(path))),
            TokenSource::Redis { host, port, database, password, namespace } => {
                let redis = Redis::new(host, *port, threads.clone());
                Kind::Redis(redis.with(*database, password.as_deref(), namespace.as_deref()))
            }
            TokenSource::Ovirt { cert, replay, skew } => {
                Kind::Ovirt(Arc::new(Ovirt::new(cert, *skew, !replay)))
            }
            TokenSource::NovaDatabase(nova) => Kind::NovaDb(NovaDb::new(nova)),
            TokenSource::Nova(nova) => {
                Kind::Nova(Box::new(NovaRest::new(nova, threads.clone(), ciphers)))
            }
        };
        Source { name, kind, threads }
    }

    /// For the log.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What it knows of a token that a client shows, on a page of this protocol.
    pub(super) async fn look_up(
        &self,
        token: &Token,
        client: Option<IpAddr>,
        page: Option<&str>,
    ) -> Answer {
        let (threads, asked) = (&self.threads, token.clone());
        let place = match &self.kind {
            Kind::Ovirt(ovirt) => {
                let ovirt = ovirt.clone();
                return threads.run(move || ovirt.look_up(asked.secret(), client)).await;
            }
            Kind::File(files) => {
                let files = files.clone();
                threads.run(move || files.look_up(asked.secret())).await
            }
            Kind::FileName(folder) => {
                let folder = folder.clone();
                threads.run(move || folder.look_up(asked.secret())).await
            }
            Kind::UnixDirectory(folder) => {
                let folder = folder.clone();
                threads.run(move || socket_in(folder, asked)).await
            }
            Kind::Jwt(jwt) => {
                let jwt = jwt.clone();
                threads.run(move || jwt.look_up(asked.secret())).await
            }
            Kind::Api(api) => return api.look_up(token.secret()).await,
            Kind::Redis(redis) => redis.look_up(token.secret()).await,
            Kind::NovaDb(nova) => return nova.look_up(token.secret(), page).await,
            Kind::Nova(nova) => return nova.look_up(token.secret(), page).await,
        };
        place.map(Found::from)
    }
}

/// The answer is where it was found; whoever connects looks there once more, and goes no other way.
fn socket_in(folder: PathBuf, token: Token) -> Judged {
    match within::find(&folder, token.secret().as_ref()) {
        Ok(_) => Ok(Place::Within { folder, name: token }),
        Err(errno @ (Errno::EXDEV | Errno::ELOOP)) => Err(unknown(format!(
            "the token names a way out of the folder, or a symbolic link, which is not followed ({errno})"
        ))),
        Err(errno @ (Errno::EACCES | Errno::EMFILE | Errno::ENFILE | Errno::EIO)) => {
            Err(unavailable(format!(
                "can't be looked into ({errno}): let the user that Penstock runs as enter it"
            )))
        }
        Err(_) if !folder.is_dir() => {
            Err(unavailable("no such folder: make it, or mend the path in `source`"))
        }
        Err(errno) => Err(unknown(format!("no socket of that name in the folder ({errno})"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use penstock_core::control::TokenFault;

    use super::*;

    #[test]
    fn a_socket_is_named_by_its_token_and_nothing_else_is() {
        let outside = tempfile::tempdir().expect("a folder");
        let folder = outside.path().join("vm");
        fs::create_dir(&folder).expect("made");
        let _within = UnixListener::bind(folder.join("canary")).expect("bound");
        let _without = UnixListener::bind(outside.path().join("canary")).expect("bound");
        fs::write(folder.join("file"), "").expect("written");
        let look_up = |token: &str| socket_in(folder.clone(), Token::from(token.to_owned()));
        let place = look_up("canary").expect("it is there");
        let name = Token::from("canary".to_owned());
        assert_eq!(place, Place::Within { folder: folder.clone(), name });
        assert!(!format!("{place:?}").contains("canary"), "{place:?}");
        for token in ["../canary", "file", "none", "", "/canary", "can\0ary"] {
            let refused = look_up(token).expect_err("not there");
            assert_eq!(refused.why, TokenFault::Unknown, "{token}");
            assert!(!refused.detail.contains("canary"), "{}", refused.detail);
        }
        fs::remove_dir_all(&folder).expect("ours");
        let refused = look_up("canary").expect_err("nothing is there");
        assert_eq!(refused.why, TokenFault::Unavailable);
    }
}
