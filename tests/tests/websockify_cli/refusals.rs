//! Command lines that are wrong end both programs with the same code, and ours says what to do.

use penstock_tests::process;

use crate::rig::{BOTH, Whose};

#[test]
fn both_end_with_the_same_code() {
    let lines = [
        ("", 2),
        ("6080", 2),
        ("6080 localhost", 2),
        ("6080 localhost:vnc", 2),
        ("http localhost:5900", 2),
        ("6080 localhost:5900 more", 2),
        ("6080 --unix-target=/a more:1", 2),
        ("6080 --token-source=x localhost:5900", 2),
        ("6080 --host-token localhost:5900", 2),
        ("6080 --auth-source=x localhost:5900", 2),
        ("6080 --web-auth localhost:5900", 2),
        ("6080 --web-auth --auth-plugin=BasicHTTPAuth localhost:5900", 2),
        ("6080 --legacy-syslog localhost:5900", 2),
        ("6080 --syslog=host:port localhost:5900", 2),
        ("6080 --ssl-only localhost:5900", 2),
        ("6080 --ssl-only --cert=/nowhere/self.pem localhost:5900", 2),
        ("6080 --timeout=soon localhost:5900", 2),
        ("6080 --heartbeat localhost:5900", 2),
        ("6080 --ssl-version=tlsv9 localhost:5900", 2),
        ("6080 --wrap-mode=x localhost:5900", 2),
        ("6080 localhost:5900 --cert", 2),
        ("6080 --daemon=yes localhost:5900", 2),
        ("6080 --nonsense localhost:5900", 2),
        ("-x 6080 localhost:5900", 2),
        ("6080 --ssl localhost:5900", 2),
        ("nowhere.invalid:6080 localhost:5900", 1),
        ("6080 --web=/nowhere localhost:5900", 1),
        ("6080 --token-plugin=Hub --token-source=x", 1),
        ("6080 --auth-plugin=Hub localhost:5900", 1),
        ("6080 --log-file=/nowhere/log localhost:5900", 1),
        ("--help", 0),
        ("6080 -h", 0),
    ];
    let dir = process::directory();
    for (line, expected) in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        for whose in BOTH {
            let (code, said) = whose.run(dir.path(), &words);
            assert_eq!(code, Some(expected), "{whose:?} {line}: {said}");
            assert!(code != Some(2) || said.starts_with("Usage:"), "{whose:?} {line}: {said}");
        }
    }
}

#[test]
fn what_is_not_supported_is_named_with_what_to_do_instead() {
    let dir = process::directory();
    let lines: [(&[&str], [&str; 2]); 3] = [
        (
            &["6080", "--ssl-ciphers", "HIGH", "a:1"],
            ["--ssl-ciphers is not supported", "Leave it out"],
        ),
        (&["6080", "--", "Xvnc", ":1"], ["behind `--` is not supported", "name that as target"]),
        (&["6080", "--token-plugin", "my.Own", "--token-source", "x"], ["my.Own", "JSONTokenApi"]),
    ];
    for (line, words) in lines {
        let (code, said) = Whose::Penstock.run(dir.path(), line);
        assert_eq!(code, Some(2), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

#[test]
fn help_is_there_and_the_program_mentions_it() {
    let dir = process::directory();
    let (_, said) = Whose::Penstock.run(dir.path(), &["--help"]);
    assert!(said.contains("--token-plugin=NAME"), "{said}");
    let mut command = process::command(Whose::Penstock.program().0);
    let general = process::run(command.arg("--help"));
    assert!(general.contains("websockify"), "{general}");
}
