//! Where recordings go.
//!
//! In: the beginning of their names, from a file or a command line. Out: whether there can be such files, or what was expected.

use std::path::Path;

/// Refuses what would only be missed when somebody wants to see a recording. Its folder may still fill up, or go, later.
pub(crate) fn judge(path: &Path) -> Result<(), String> {
    let ends_with_slash = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    let folder = path.parent().filter(|_| path.file_name().is_some() && !ends_with_slash);
    let shown = path.display();
    let Some(folder) = folder else {
        return Err(format!(
            "expected the beginning of names such as {}/consoles, got {shown}",
            shown.to_string().trim_end_matches('/')
        ));
    };
    let here = Path::new(".");
    let folder = if folder.as_os_str().is_empty() { here } else { folder };
    match folder.is_dir() {
        true => Ok(()),
        false => Err(format!("there is no folder {}: make it, or name another", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_have_a_folder_and_a_name_in_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let judged = |name: &str| judge(&folder.path().join(name));
        assert_eq!(judged("consoles"), Ok(()));
        assert_eq!(judge(Path::new("consoles")), Ok(()));
        for (name, told) in [
            ("none/consoles", "there is no folder"),
            ("consoles/", "/consoles/consoles"),
            ("..", "names"),
        ] {
            assert!(judged(name).is_err_and(|message| message.contains(told)), "{name}");
        }
        assert!(judge(Path::new("/")).is_err());
    }
}
