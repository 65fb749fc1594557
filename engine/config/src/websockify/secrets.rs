//! Arguments that nobody else on the host may read: everybody can list the command lines of all processes.
//!
//! In: arguments, and somebody who keeps secrets in files that only we can find. Out: the same command line without them.

use std::io;
use std::path::PathBuf;

use super::options::{Given, Item};

/// Sources of tokens that may have a password or a key in them.
const SECRET_SOURCES: [&str; 3] = ["TokenRedis", "BaseTokenAPI", "JSONTokenApi"];

/// The arguments with files in the place of secrets, which `keep` is given; none if there is no secret among them, or if they make no
/// sense: that is for somebody else to say.
///
/// # Errors
/// Of `keep`.
pub fn hidden(
    arguments: &[String],
    keep: &mut dyn FnMut(&str) -> io::Result<PathBuf>,
) -> io::Result<Option<Vec<String>>> {
    let Ok(given) = Given::parse(arguments) else { return Ok(None) };
    if given.has_dashes() || given.flag("help") {
        return Ok(None);
    }
    let is_secret = |long: &str| match long {
        "key-password" => true,
        "auth-source" => given.text("auth-plugin") == Some("BasicHTTPAuth"),
        "token-source" => {
            given.text("token-plugin").is_some_and(|plugin| SECRET_SOURCES.contains(&plugin))
        }
        _ => false,
    };
    let mut kept = false;
    let mut shown = Vec::new();
    for item in &given.0 {
        shown.push(match item {
            Item::Word(word) => word.clone(),
            Item::Dashes => "--".to_owned(),
            Item::Option(known, None) => format!("--{}", known.long),
            Item::Option(known, Some(value)) if is_secret(known.long) => {
                kept = true;
                format!("--{}-file={}", known.long, keep(value)?.display())
            }
            Item::Option(known, Some(value)) => format!("--{}={value}", known.long),
        });
    }
    Ok(kept.then_some(shown))
}
