//! Against command lines that libvirt's own client was seen to run.

use super::*;
use crate::libvirt::{User, Way};
use std::vec;

const RECORDED: &str = include_str!("recorded.txt");

fn surroundings(who: &str) -> Surroundings {
    let user = || User { home: "/home/u".to_owned(), runtime: "/run/user/7".to_owned() };
    Surroundings { user: (who == "user").then(user) }
}

/// What we would run; none if we refuse.
fn ours(who: &str, mode: &str, uri: &str) -> Option<Vec<String>> {
    let way = Uri::parse(uri).ok()?.way(&surroundings(who), mode == "ro").ok()?;
    let Way::Command(command) = way else { panic!("{uri} is no command") };
    assert_eq!((command.program.as_str(), command.environment), ("ssh", ENVIRONMENT));
    Some(command.arguments)
}

/// What libvirt would, and that nobody can be asked.
fn expected(recorded: &[&str]) -> Option<Vec<String>> {
    let mut line: Vec<String> = recorded.iter().map(|argument| (*argument).to_owned()).collect();
    let behind = 1 + line.iter().position(|argument| argument == "none")?;
    line.splice(behind..behind, ["-o".to_owned(), "BatchMode=yes".to_owned()]);
    Some(line)
}

/// Cases in which we say no, and libvirt's client goes on.
const STRICTER: &[&str] = &["root ro qemu+ssh://h/system?socket=/run/x-sock"];

#[test]
fn command_lines_are_those_of_libvirts_client() {
    let mut cases = 0;
    for block in RECORDED.split("\n\n").filter(|block| !block.starts_with('#')) {
        let lines: Vec<&str> = block.lines().collect();
        let (case, recorded) = lines.split_first().unwrap();
        let mut words = case.splitn(3, ' ');
        let (who, mode, uri) =
            (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
        let expected = expected(recorded).filter(|_| !STRICTER.contains(case));
        assert_eq!(ours(who, mode, uri), expected, "{case}");
        cases += 1;
    }
    assert!(cases > 120, "{cases}");
}

#[test]
fn nobody_is_asked_whatever_the_uri_says() {
    let line = ours("root", "rw", "qemu+ssh://h/system?no_tty=0").unwrap();
    assert!(line.windows(2).any(|pair| pair == ["-o", "BatchMode=yes"]), "{line:?}");
    assert_eq!(ours("root", "rw", "qemu+ssh://h/system?no_tty=1").unwrap(), line);
}

#[test]
fn a_socket_is_one_word_for_both_shells() {
    let line = ours("root", "rw", "qemu+ssh://h/system?socket=/a%20b%3Bc").unwrap();
    let expected = r"ARG=;fi;'nc' $ARG -U '''\''/a b;c'\''''";
    assert!(line[7].contains(expected), "{}", line[7]);
}

#[test]
fn another_program_may_stand_in_for_ssh() {
    let uri = Uri::parse("qemu+ssh://h/system?command=/opt/my%20ssh").unwrap();
    let Ok(Way::Command(command)) = uri.way(&surroundings("root"), false) else { panic!() };
    assert_eq!(command.program, "/opt/my ssh");
    assert_eq!(command.arguments[..3], vec!["-T", "-e", "none"]);
}

#[test]
fn what_can_not_be_known_from_here_is_refused() {
    let refusal =
        |text: &str| Uri::parse(text).unwrap().way(&surroundings("user"), false).expect_err(text);
    assert_eq!(refusal("qemu+ssh://h/session?proxy=netcat"), WayError::SessionSocket);
    assert_eq!(refusal("qemu+ssh://h/session?proxy=auto"), WayError::SessionSocket);
    assert_eq!(refusal("qemu+ssh://h/session?netcat=nc"), WayError::NetcatOfNative);
    assert_eq!(refusal("qemu+ssh://h/system?mode=direct"), WayError::DirectOverSsh);
}
