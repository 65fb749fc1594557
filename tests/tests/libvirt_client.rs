//! The command lines for ssh against libvirt's own client, and against the shells that they are for.

use penstock_proto::libvirt::{Surroundings, Uri, Way};
use penstock_tests::peers::{remote_arguments, ssh_arguments};

/// What `engine/proto` takes for libvirt's own command lines.
const RECORDED: &str = include_str!("../../engine/proto/src/libvirt/ssh/recorded.txt");

#[test]
fn libvirts_client_still_runs_what_was_recorded() {
    let blocks = RECORDED.split("\n\n").filter(|block| !block.starts_with('#'));
    for block in blocks {
        let lines: Vec<&str> = block.lines().collect();
        let (case, arguments) = lines.split_first().expect("a case");
        let [who, mode, uri] = case.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("{case}")
        };
        let arguments: Vec<String> = arguments.iter().map(|line| (*line).to_owned()).collect();
        let expected = Some(arguments).filter(|arguments| arguments != &["refused"]);
        assert_eq!(ssh_arguments(uri, who == "root", mode == "ro"), expected, "{case}");
    }
}

/// What the other host is to run, the last argument of ssh.
fn remote_command(uri: &str) -> String {
    let uri = Uri::parse(uri).expect("a URI");
    let way = uri.way(&Surroundings::default(), false).expect("a way");
    let Way::Command(command) = way else { panic!("{uri} runs nothing") };
    command.arguments.last().expect("a command").clone()
}

#[test]
fn what_a_uri_says_is_one_word_behind_two_shells() {
    for (written, word) in [
        ("/run/plain", "/run/plain"),
        ("/run/a%20b%09c", "/run/a b\tc"),
        ("/it's", "/it's"),
        ("/%22$HOME%22", "/\"$HOME\""),
        ("/a%3Btouch%20b%26%7C", "/a;touch b&|"),
        ("/%60id%60$(id)", "/`id`$(id)"),
        ("/*?%5B~%5C", "/*?[~\\"),
        ("/'%5C''", "/'\\''"),
        ("/%0A", "/\n"),
        ("/%C3%A9", "/é"),
    ] {
        let socket = remote_command(&format!("qemu+ssh://h/system?socket={written}"));
        let arguments = remote_arguments(&socket, "nc");
        assert_eq!(arguments, ["-U", word], "{socket}");

        let name = remote_command(&format!("qemu+ssh://h/system?proxy=native&name={written}"));
        assert_eq!(remote_arguments(&name, "virt-ssh-helper"), [word], "{name}");
    }
    let netcat = remote_command("qemu+ssh://h/system?proxy=netcat&netcat=my%20nc's");
    let expected = ["-U", "/var/run/libvirt/libvirt-sock"];
    assert_eq!(remote_arguments(&netcat, "my nc's"), expected);
}
