//! Secrets that targets are shown: a listener's files in, their first lines out.
//!
//! In: questions of workers. Out: what is in the files now, or which of them can't be read, without a word of what is in it. Files are read
//! at each connection, so that a secret that was changed is used at once; nothing is kept.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use penstock_core::Secret;
use penstock_core::config::{Account, Password, Vnc};
use penstock_core::control::{Command, Mailbox, Secrets, SessionId};
use tokio::sync::mpsc;

use crate::mailman::post;
use crate::waiting::Threads;

/// Threads that wait for files.
pub(crate) const THREADS: usize = 8;
/// How long the files of one login may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of a secret at most.
const LIMIT: u64 = 4096;

/// A question, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: SessionId,
    pub(crate) vnc: Arc<Vnc>,
    pub(crate) target: Option<Box<str>>,
    pub(crate) mailbox: Mailbox,
}

/// Answers until nobody can ask any more.
pub(crate) async fn run(mut questions: mpsc::Receiver<Asked>) {
    let threads = Threads::new(THREADS);
    while let Some(Asked { id, vnc, target, mailbox }) = questions.recv().await {
        let threads = threads.clone();
        tokio::spawn(async move {
            let read = threads.run_within(PATIENCE, move || read(&vnc, target.as_deref())).await;
            let result = read.unwrap_or_else(|| Err(late()));
            post(&mailbox, Command::Unsealed { id, result });
        });
    }
}

fn late() -> Box<str> {
    format!("the files of secrets could not be read within {PATIENCE:?}: see where they are").into()
}

fn read(vnc: &Vnc, target: Option<&str>) -> Result<Secrets, Box<str>> {
    let credentials = &vnc.credentials;
    let of_account = |account: &Account| first_line(&account.password_file);
    let password = match &credentials.password {
        Some(Password::File(path)) => Some(first_line(path)?),
        Some(Password::Folder(folder)) => Some(of_target(folder, target)?),
        Some(Password::Token) | None => None,
    };
    Ok(Secrets {
        password,
        plain: credentials.plain.as_ref().map(of_account).transpose()?,
        sasl: credentials.sasl.as_ref().map(of_account).transpose()?,
    })
}

fn of_target(folder: &Path, target: Option<&str>) -> Result<Secret, Box<str>> {
    // No name of a host has a slash, and none is `..`, with a port behind it.
    let name = target.filter(|name| !name.contains('/')).ok_or_else(|| {
        format!("the target has no name by which {} could have its password", folder.display())
    })?;
    first_line(&PathBuf::from(folder).join(name))
}

fn first_line(path: &Path) -> Result<Secret, Box<str>> {
    let fault = |what: &dyn std::fmt::Display| -> Box<str> {
        format!("expected a secret in {}, {what}", path.display()).into()
    };
    let bytes =
        content(path).map_err(|error| fault(&format_args!("which can't be read: {error}")))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(fault(&"whose first line is empty")),
        Ok(line) => Ok(line.into()),
        Err(_) => Err(fault(&"which is no UTF-8")),
    }
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LIMIT {
        true => Err(io::Error::other(format!("it has more than {LIMIT} bytes"))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use penstock_core::config::{Credentials, VncMode};

    use super::*;

    fn with(credentials: Credentials) -> Vnc {
        Vnc { credentials, ..Vnc::new(VncMode::Authenticate) }
    }

    #[test]
    fn the_first_line_is_the_secret() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("one");
        let account = Account { user: "me".into(), password_file: path.clone() };
        let credentials = Credentials {
            password: Some(Password::File(path.clone())),
            plain: Some(account.clone()),
            sasl: Some(account),
        };
        for (content, secret) in
            [("pass word \nmore", "pass word "), ("canary\r\n", "canary"), ("x", "x")]
        {
            fs::write(&path, content).expect("written");
            let all = Some(Secret::from(secret));
            let expected = Secrets { password: all.clone(), plain: all.clone(), sasl: all };
            assert_eq!(read(&with(credentials.clone()), None), Ok(expected));
        }
        let long = "canary".repeat(1000);
        for wrong in ["", "\ncanary", long.as_str()] {
            fs::write(&path, wrong).expect("written");
            let error = read(&with(credentials.clone()), None).expect_err("none");
            assert!(error.contains("one") && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn a_folder_has_one_for_each_target() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("10.0.0.7:5901"), "secret\n").expect("written");
        let password = Some(Password::Folder(folder.path().to_owned()));
        let vnc = with(Credentials { password, ..Credentials::default() });
        let found = read(&vnc, Some("10.0.0.7:5901")).expect("it is there");
        assert_eq!(found.password, Some("secret".into()));
        for other in [Some("10.0.0.8:5901"), Some("../x:1"), None] {
            assert!(read(&vnc, other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn what_the_token_tells_is_in_no_file() {
        let vnc = with(Credentials { password: Some(Password::Token), ..Credentials::default() });
        assert_eq!(read(&vnc, None), Ok(Secrets::default()));
        assert!(!vnc.credentials.has_files());
    }
}
