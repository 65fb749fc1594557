//! TokenFile, ReadOnlyTokenFile, TokenFileName: tokens and targets that an operator wrote down.
//!
//! In: a file, a folder of files, or a folder with a file for each token. Out: the place that stands there. Files are read anew when they look
//! different, so that what is seen is what reading them each time would show. Nothing but regular files is read, none of folders within a
//! folder, and none that is larger than such files can be; lines and files that can't be read are told in the log, and the others serve.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use nix::libc;

use super::lines::{Line, lines, strip};
use super::{Judged, no_place, place, unavailable, unknown};
use crate::stamp::Stamp;

/// Of one file: a million tokens.
const FILE_MAX: u64 = 64 << 20;
/// Of a file that is one token's.
const ONE_MAX: u64 = 4096;
/// Lines of a file that the log names when they can't be read.
const TOLD: usize = 10;

/// One file, or all files of a folder.
pub(super) struct Files {
    path: PathBuf,
    read_only: bool,
    kept: Mutex<Option<Kept>>,
}

/// What was read, and what that looked like.
struct Kept {
    files: Vec<(PathBuf, Option<Stamp>)>,
    /// If not, the next look reads again: what changes now might look the same.
    is_settled: bool,
    targets: HashMap<Box<str>, Target>,
}

struct Target {
    text: Box<str>,
    file: usize,
    line: usize,
}

impl Files {
    pub(super) fn new(path: &Path, read_only: bool) -> Files {
        Files { path: path.to_owned(), read_only, kept: Mutex::new(None) }
    }

    /// Waits for the file system.
    pub(super) fn look_up(&self, token: &str) -> Judged {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|kept| !self.read_only && !kept.is_current(&self.path)) {
            // What can't be read any more names nothing, as it would if it were read each time.
            *kept = None;
            *kept = Some(Kept::read(&self.path).map_err(|error| unreadable(&error))?);
        }
        let Some((kept, target)) =
            kept.as_ref().and_then(|kept| Some((kept, kept.targets.get(token)?)))
        else {
            return Err(unknown("no line is for this token: add one, or see who gave it away"));
        };
        place::of_operator(&target.text).map_err(|fault| {
            let file = kept.files.get(target.file).map_or(&self.path, |(path, _)| path);
            no_place(format!("{}, line {}: {fault}", file.display(), target.line))
        })
    }
}

impl Kept {
    fn is_current(&self, path: &Path) -> bool {
        self.is_settled && listed(path).is_ok_and(|files| files == self.files)
    }

    fn read(path: &Path) -> io::Result<Kept> {
        // Before they are read: what changes while they are is seen next time.
        let now = SystemTime::now();
        let files = listed(path)?;
        let is_settled =
            files.iter().all(|(_, stamp)| stamp.is_none_or(|stamp| stamp.is_settled(now)));
        let mut targets = HashMap::new();
        for (index, (file, _)) in files.iter().enumerate() {
            match read(file, FILE_MAX) {
                Ok(text) => take(file, index, &text, &mut targets),
                // One of many that is not readable takes none of the others away.
                Err(error) if file != path => {
                    tracing::warn!("tokens: {} is left out: {error}", file.display());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Kept { files, is_settled, targets })
    }
}

/// Of equal tokens, the last one counts.
fn take(file: &Path, index: usize, text: &[u8], targets: &mut HashMap<Box<str>, Target>) {
    let mut wrong = Vec::new();
    for line in lines(text) {
        match line {
            Ok(Line { number, token, target }) => {
                let target = Target { text: target.into(), file: index, line: number };
                targets.insert(token.into(), target);
            }
            Err(number) => wrong.push(number),
        }
    }
    for number in wrong.iter().take(TOLD) {
        let file = file.display();
        tracing::warn!("tokens: {file}, line {number}: expected `token: host:port`");
    }
    if let Some(more @ 1..) = wrong.len().checked_sub(TOLD) {
        tracing::warn!("tokens: {}: {more} more lines like that", file.display());
    }
}

/// The file, or those of the folder, by name.
fn listed(path: &Path) -> io::Result<Vec<(PathBuf, Option<Stamp>)>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![(path.to_owned(), Stamp::of(path))]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let metadata = fs::metadata(&file);
        // Whatever can't be looked at may be readable later, and is told of.
        if metadata.as_ref().is_ok_and(|metadata| !metadata.is_file()) {
            continue;
        }
        files.push((file, metadata.ok().as_ref().map(Stamp::from)));
    }
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(files)
}

/// All of a regular file that is not larger than `most`.
pub(super) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for somebody who writes.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    bounded(file, most)
}

fn bounded(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other(format!("it is larger than {most} bytes"))),
        false => Ok(bytes),
    }
}

pub(super) fn unreadable(error: &io::Error) -> super::TokenRefusal {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "make it, or mend the path in `source`",
        io::ErrorKind::PermissionDenied => {
            "let the user that Penstock runs as read it, and enter its folders"
        }
        _ => "mend that, or the path in `source`",
    };
    unavailable(format!("can't be read ({error}): {remedy}"))
}

/// A folder of files, each with one token's target.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &Path) -> Folder {
        Folder(path.to_owned())
    }

    /// Waits for the file system.
    pub(super) fn look_up(&self, token: &str) -> Judged {
        let name = token.rsplit('/').next().unwrap_or_default();
        let is_name = !["", ".", ".."].contains(&name) && !name.contains('\0');
        if !is_name {
            return Err(unknown("the token is the name of no file"));
        }
        let text = read(&self.0.join(name), ONE_MAX).map_err(|error| self.missing(&error))?;
        let text = str::from_utf8(&text).map_err(|_| no_place("the token's file is no text"))?;
        let text = strip(text);
        let place = match text.starts_with("unix_socket:") {
            true => place::of_operator(text),
            false => place::of_text(text),
        };
        place.map_err(|fault| no_place(format!("in the file that is named by the token: {fault}")))
    }

    fn missing(&self, error: &io::Error) -> super::TokenRefusal {
        use io::ErrorKind::{InvalidFilename, NotFound, Other};

        let is_there = self.0.is_dir();
        match error.kind() {
            NotFound | InvalidFilename if is_there => unknown("no file has this token's name"),
            Other if is_there => unknown(format!("of what has this token's name: {error}")),
            _ => unreadable(error),
        }
    }
}

#[cfg(test)]
mod tests;
