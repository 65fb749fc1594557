//! Files that change, files that are none, and what is said about them.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use penstock_core::control::{Place, TokenFault};
use tempfile::TempDir;

use super::*;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn target(judged: Judged) -> Result<String, TokenFault> {
    match judged {
        Ok(Place::Network(target)) => Ok(target.to_string()),
        Ok(other) => Ok(format!("{other:?}")),
        Err(refused) => Err(refused.why),
    }
}

/// As if nobody had touched it for a while.
fn age(path: &Path) {
    let file = File::options().write(true).open(path).expect("ours");
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("ours");
}

#[test]
fn a_file_is_read_anew_whenever_it_has_changed() {
    let folder = folder();
    let path = folder.path().join("tokens");
    fs::write(&path, "a: one:1\n").expect("written");
    let files = Files::new(&path, false);
    assert_eq!(target(files.look_up("a")), Ok("one:1".to_owned()));
    assert_eq!(target(files.look_up("b")), Err(TokenFault::Unknown));
    // The same length, and again and again in the same moment of the file system's clock.
    for n in 100..300 {
        fs::write(&path, format!("a: two:{n}\n")).expect("written");
        assert_eq!(target(files.look_up("a")), Ok(format!("two:{n}")));
    }
    // Replaced, as editors do.
    fs::write(folder.path().join("new"), "b: three:3\n").expect("written");
    fs::rename(folder.path().join("new"), &path).expect("ours");
    assert_eq!(target(files.look_up("a")), Err(TokenFault::Unknown));
    assert_eq!(target(files.look_up("b")), Ok("three:3".to_owned()));
    fs::remove_file(&path).expect("there");
    assert_eq!(target(files.look_up("b")), Err(TokenFault::Unavailable));
    fs::write(&path, "b: four:4\n").expect("written");
    assert_eq!(target(files.look_up("b")), Ok("four:4".to_owned()));
}

/// Has something else remembered than what was read.
fn remember(files: &Files, text: &str) {
    let mut kept = files.kept.lock().expect("nobody died");
    let targets = &mut kept.as_mut().expect("it was read").targets;
    targets.get_mut("a").expect("it is there").text = text.into();
}

#[test]
fn a_file_that_looks_the_same_is_not_read_again_once_it_is_old_enough() {
    let folder = folder();
    let path = folder.path().join("tokens");
    // Where the machine stands still meanwhile, it may be old enough by then.
    let files = loop {
        let begun = Instant::now();
        fs::write(&path, "a: one:1\n").expect("written");
        age(&path);
        let files = Files::new(&path, false);
        // The time of the change of its inode is still new: another one may bear the same.
        assert_eq!(target(files.look_up("a")), Ok("one:1".to_owned()));
        remember(&files, "other:1");
        let again = target(files.look_up("a"));
        if begun.elapsed() < Duration::from_secs(2) {
            assert_eq!(again, Ok("one:1".to_owned()), "it was not read again");
            break files;
        }
    };
    std::thread::sleep(Duration::from_millis(3100));
    assert_eq!(target(files.look_up("a")), Ok("one:1".to_owned()));
    remember(&files, "other:1");
    assert_eq!(target(files.look_up("a")), Ok("other:1".to_owned()), "it was read again");
    fs::write(&path, "a: two:2\n").expect("written");
    assert_eq!(target(files.look_up("a")), Ok("two:2".to_owned()));
}

#[test]
fn a_read_only_file_is_read_once() {
    let folder = folder();
    let path = folder.path().join("tokens");
    let files = Files::new(&path, true);
    assert_eq!(target(files.look_up("a")), Err(TokenFault::Unavailable));
    fs::write(&path, "a: one:1\n").expect("written");
    assert_eq!(target(files.look_up("a")), Ok("one:1".to_owned()));
    fs::remove_file(&path).expect("there");
    assert_eq!(target(files.look_up("a")), Ok("one:1".to_owned()));
}

#[test]
fn of_a_folder_all_files_are_read_and_nothing_below() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("1"), "a: one:1\nb: one:2\n").expect("written");
    fs::write(at("2"), "b: two:2\n").expect("written");
    fs::create_dir(at("deeper")).expect("made");
    fs::write(at("deeper/3"), "c: three:3\n").expect("written");
    mkfifo(&at("pipe"), Mode::S_IRWXU).expect("made");
    symlink("gone", at("dangling")).expect("made");
    fs::write(at("binary"), b"\xff\xfe\0\n d: four:4\n").expect("written");
    let files = Files::new(folder.path(), false);
    for (token, expected) in [
        ("a", Ok("one:1".to_owned())),
        ("b", Ok("two:2".to_owned())),
        ("c", Err(TokenFault::Unknown)),
        ("d", Ok("four:4".to_owned())),
    ] {
        assert_eq!(target(files.look_up(token)), expected, "{token}");
    }
    fs::write(at("5"), "c: five:5\n").expect("written");
    assert_eq!(target(files.look_up("c")), Ok("five:5".to_owned()));
    fs::remove_file(at("2")).expect("there");
    assert_eq!(target(files.look_up("b")), Ok("one:2".to_owned()));
}

#[test]
fn a_line_that_names_no_place_is_told_by_its_number_and_without_what_it_says() {
    let folder = folder();
    let path = folder.path().join("tokens");
    fs::write(&path, "# first\ncanary: qemu+ext:///canary\n").expect("written");
    let refused = Files::new(&path, false).look_up("canary").expect_err("no place");
    assert_eq!(refused.why, TokenFault::NoPlace);
    let expected = format!("{}, line 2: expected host:port, came a URI", path.display());
    assert_eq!(&*refused.detail, expected);
}

#[test]
fn what_can_t_be_read_says_what_to_do() {
    let folder = folder();
    let refused =
        |path: &Path| Files::new(path, false).look_up("a").expect_err("unreadable").detail;
    let missing = refused(&folder.path().join("missing"));
    assert!(missing.contains("mend the path in `source`"), "{missing}");
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).expect("made");
    assert!(refused(&pipe).contains("no regular file"), "{}", refused(&pipe));
    let large = folder.path().join("large");
    File::create(&large).and_then(|file| file.set_len(FILE_MAX + 1)).expect("made");
    assert!(refused(&large).contains("larger than"), "{}", refused(&large));
    if !nix::unistd::geteuid().is_root() {
        let shut = folder.path().join("shut");
        fs::write(&shut, "").expect("written");
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o0)).expect("ours");
        assert!(refused(&shut).contains("let the user"), "{}", refused(&shut));
    }
}

#[test]
fn a_file_is_named_by_the_last_part_of_its_token() {
    let outside = folder();
    let path = outside.path().join("folder");
    fs::create_dir(&path).expect("made");
    for (name, text) in [
        ("folder/a", " one:1\n"),
        ("folder/six", "[::1]:5900"),
        ("folder/socket", "unix_socket:/run/x\n"),
        ("folder/colons", "h:1:2"),
        ("folder/uri", "tcp://h:1"),
        ("folder/bytes", "\u{fffd}"),
        ("secret", "two:2"),
    ] {
        fs::write(outside.path().join(name), text).expect("written");
    }
    fs::write(path.join("latin"), b"\xe4:1").expect("written");
    fs::write(path.join("long"), [b' '; 5000]).expect("written");
    fs::create_dir(path.join("deeper")).expect("made");
    let files = Folder::new(&path);
    for (token, expected) in [
        ("a", Ok("one:1".to_owned())),
        ("x/../a", Ok("one:1".to_owned())),
        ("/etc/a", Ok("one:1".to_owned())),
        ("six", Ok("[::1]:5900".to_owned())),
        ("socket", Ok("Unix(\"/run/x\")".to_owned())),
        ("../secret", Err(TokenFault::Unknown)),
        ("a/", Err(TokenFault::Unknown)),
        ("..", Err(TokenFault::Unknown)),
        ("a\0", Err(TokenFault::Unknown)),
        ("deeper", Err(TokenFault::Unknown)),
        ("long", Err(TokenFault::Unknown)),
        ("colons", Err(TokenFault::NoPlace)),
        ("uri", Err(TokenFault::NoPlace)),
        ("bytes", Err(TokenFault::NoPlace)),
        ("latin", Err(TokenFault::NoPlace)),
    ] {
        assert_eq!(target(files.look_up(token)), expected, "{token}");
    }
    assert_eq!(target(files.look_up(&"n".repeat(300))), Err(TokenFault::Unknown));
    let nowhere = Folder::new(&path.join("none"));
    assert_eq!(target(nowhere.look_up("a")), Err(TokenFault::Unavailable));
}
