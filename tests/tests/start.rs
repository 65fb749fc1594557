//! Starting and not starting: bad input gets a clear error and an exit code, and nothing is half-started.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use penstock_tests::connect::{PATIENCE, tunnel};
use penstock_tests::process::{self, Process};
use penstock_tests::stream::Pattern;
use penstock_tests::{Driver, Penstock, Setup, both_drivers, http, lock, origin, setup, wait};

both_drivers! {
    a_port_in_use_is_named_and_nothing_is_half_started,
    it_runs_as_anybody,
    a_missing_permission_is_named,
    the_documented_file_works_as_it_stands,
    a_socket_that_a_killed_daemon_left_is_taken_over,
}

/// A user who is nobody else.
const USER: u32 = 64_999;

/// Starts a daemon that must refuse to run: what it said, after making sure that it did and nothing listens.
fn refusal(setup: &Setup) -> String {
    let mut penstock = setup.launch();
    let (code, said) = penstock.outcome();
    assert!(code.is_some_and(|code| code > 0 && code < 128), "exit code {code:?}: {said}");
    assert!(!penstock.listens(), "half-started: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
}

#[test]
fn an_unknown_key_is_shown_with_its_place() {
    let text = Setup::new(Driver::Epoll).text().replace("[engine]\n", "[engine]\n  wrokers = 2\n");
    let said = refusal(&Setup::new(Driver::Epoll).replace_text(&text));
    assert_says(&said, &["penstock.toml:2:3", "wrokers"]);
}

#[test]
fn a_value_that_makes_no_sense_is_shown_with_its_place() {
    let cases = [
        ("listen", "address", "[\"127.0.0.1:99999\"]", "127.0.0.1:99999"),
        ("listen", "address", "[\"nowhere\"]", "nowhere"),
        ("listen", "access", "[\"permit all\"]", "permit"),
        ("listen", "access", "[\"allow nobody\"]", "nobody"),
        ("listen", "service", "\"socks\"", "socks"),
        ("listen", "half_close", "\"maybe\"", "maybe"),
        ("listen", "timeouts", "{ idle = \"15 parsecs\" }", "parsecs"),
        ("engine", "memory", "\"lots\"", "lots"),
        ("engine", "workers", "0", "workers"),
        ("acl", "lab", "{ dst = [\"127.0.0.0/33\"] }", "127.0.0.0/33"),
        ("log", "access", "{ path = \"access.log\", format = \"clf\" }", "clf"),
    ];
    for (table, key, value, word) in cases {
        let setup = Setup::new(Driver::Epoll).set(table, key, value);
        let text = setup.text();
        let line = text.lines().position(|line| line.contains(value)).expect("our own line") + 1;
        assert_says(&refusal(&setup), &[&format!("penstock.toml:{line}:"), word]);
    }
}

#[test]
fn a_file_that_is_no_toml_or_not_there_is_named() {
    let said = refusal(&Setup::new(Driver::Epoll).replace_text("[engine\n"));
    assert_says(&said, &["penstock.toml:1:"]);
    let (code, _, said) = run(&["--config", "/nonexistent/penstock.toml"]);
    assert_eq!(code, Some(1), "{said}");
    assert_says(&said, &["/nonexistent/penstock.toml", "No such file"]);
}

#[test]
fn more_tunnels_than_descriptors_allow_is_an_error() {
    let said = refusal(&Setup::new(Driver::Epoll).set("engine", "max_tunnels", "10000000"));
    assert_says(&said, &["max_tunnels", "10000000", "descriptor"]);
}

fn a_port_in_use_is_named_and_nothing_is_half_started(driver: Driver) {
    let setup = Setup::new(driver);
    let first = setup.start();
    let mut second = setup.launch();
    let (code, said) = second.outcome();
    assert!(code.is_some_and(|code| code > 0), "two daemons on one port: {said}");
    assert_says(&said, &["in use", &first.proxy().ip().to_string()]);
    assert_eq!(http::get(first.admin(), "/ready").expect("the first one lives").0, 200);

    for port in [3128, 9128] {
        let setup = Setup::new(driver);
        let address = setup.address();
        let _held = TcpListener::bind((address, port)).expect("our own address");
        let mut penstock = setup.launch();
        let (code, said) = penstock.outcome();
        assert!(code.is_some_and(|code| code > 0), "{said}");
        assert_says(&said, &["in use", &format!("{address}:{port}")]);
    }
}

fn it_runs_as_anybody(driver: Driver) {
    let penstock = Setup::new(driver).user(USER).start();
    drop(tunnel(penstock.proxy(), origin::start()));
    penstock.access_log(1);
}

fn a_missing_permission_is_named(driver: Driver) {
    if !nix::unistd::geteuid().is_root() {
        // Nobody to be other than ourselves: then the file is what we may not touch.
        let said = refusal(&Setup::new(driver).set(
            "log",
            "access",
            "{ path = \"/proc/1/mem\", format = \"squid\" }",
        ));
        return assert_says(&said, &["/proc/1/mem", "ermission"]);
    }
    let setup = Setup::new(driver).user(USER);
    let address = format!("{}:81", setup.address());
    let said = refusal(&setup.set("listen", "address", &format!("[\"{address}\"]")));
    assert_says(&said, &[&address, "ermission"]);
    let log = "{ path = \"/root-only.log\", format = \"squid\" }";
    let said = refusal(&Setup::new(driver).user(USER).set("log", "access", log));
    assert_says(&said, &["/root-only.log", "ermission"]);
}

#[test]
fn without_io_uring_it_says_so_or_takes_epoll() {
    let said = refusal(&Setup::new(Driver::Uring).without_uring());
    assert_says(&said, &["io_uring"]);
    let said = refusal(&Setup::new(Driver::Uring).mask("uring"));
    assert_says(&said, &["io_uring"]);
    for setup in
        [Setup::new(Driver::Epoll).without_uring(), Setup::new(Driver::Epoll).mask("uring")]
    {
        let penstock = setup.auto(Driver::Epoll).start();
        drop(tunnel(penstock.proxy(), origin::start()));
    }
    // Where there is io_uring, it is what is taken.
    drop(Setup::new(Driver::Uring).auto(Driver::Uring).start());
}

#[test]
fn an_unknown_mask_is_an_error() {
    let said = refusal(&Setup::new(Driver::Epoll).mask("sendfile"));
    assert_says(&said, &["PENSTOCK_MASK", "sendfile"]);
}

fn a_socket_that_a_killed_daemon_left_is_taken_over(driver: Driver) {
    let dir = process::directory();
    let socket = dir.path().join("gateway");
    let lines = format!(
        "name = \"gateway\"\naddress = \"unix:{}\"\nservice = \"forward\"\ntarget = \"tcp://{}\"",
        socket.display(),
        origin::start()
    );
    // Where there is an accept on a ring, the kernel lets go of the socket a while after the process is gone.
    for round in 0..10 {
        let penstock = Setup::without_listeners(driver).listener(&lines).start();
        let mut stream = UnixStream::connect(&socket).expect("a listener");
        stream.write_all(b"send 1 1000\n").expect("an open stream");
        let result = Pattern::new(1).receive(&mut stream, 1000);
        assert!(result.is_ok(), "round {round}: {result:?}");
        drop(penstock);
    }
    wait::until_true("nobody listens", PATIENCE, || UnixStream::connect(&socket).is_err());
}

/// Runs `penstock ARGUMENTS` to its end: exit code, output, errors.
fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new("timeout");
    command.arg("60").arg(setup::program()).args(arguments).stdin(Stdio::null());
    let output = setup::clean(&mut command).output().expect("timeout, of coreutils");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn it_explains_itself() {
    let (code, said, _) = run(&["--version"]);
    assert_eq!(code, Some(0));
    // Then the commit that it was built of, where there was git.
    let commit = said.trim().strip_prefix(concat!("penstock ", env!("CARGO_PKG_VERSION")));
    let commit = commit.unwrap_or_else(|| panic!("{said}"));
    let is_commit = commit.starts_with(" (") && commit.ends_with(')') && commit.len() > 9;
    assert!(is_commit || commit.is_empty(), "{said}");
    let (code, said, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert_says(&said, &["--config", "--engine", "check", "--version", "PENSTOCK_MASK"]);
    assert_says(&said, &["CONNECT", "TLS", "libvirt", "serial"]);
    for wrong in [&["--nonsense"][..], &["--engine=kqueue"], &["check"], &["--config"]] {
        let (code, out, said) = run(wrong);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{wrong:?}: {said}");
        assert_says(&said, &["--help"]);
    }
}

#[test]
fn check_explains_a_configuration_without_starting_it() {
    let dir = process::directory();
    let file = dir.path().join("penstock.toml");
    let path = file.to_str().expect("a path of ASCII");
    let setup = Setup::new(Driver::Epoll);
    fs::write(&file, setup.text()).expect("our directory");
    let (code, said, errors) = run(&["check", path]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{said}");
    assert_says(&said, &[&format!("{}:3128", setup.address()), "spice-proxy", "safe_ports", "lab"]);
    fs::write(&file, setup.text().replace("[admin]", "[admim]")).expect("our directory");
    let (code, _, said) = run(&["check", path]);
    assert_eq!(code, Some(1));
    assert_says(&said, &[&format!("{path}:"), "admim"]);
}

/// Waits until a daemon on the default ports is ready.
fn wait_for_default_ports() {
    let admin = "127.0.0.1:9128".parse().expect("an address");
    wait::until_true("a daemon on the default ports", PATIENCE, || {
        http::get(admin, "/ready").is_ok_and(|(status, _)| status == 200)
    });
}

#[test]
fn alone_it_serves_loopback_and_says_how_to_try() {
    let _ports = lock::default_ports();
    let dir = process::directory();
    let mut command = process::command(setup::program());
    setup::clean(&mut command).current_dir(dir.path()).stdin(Stdio::null());
    let daemon = Process::start(&mut command, dir);
    wait_for_default_ports();
    for proxy in ["127.0.0.1:3128", "[::1]:3128"] {
        drop(tunnel(proxy.parse().expect("an address"), origin::start()));
    }
    let said = daemon.text("output");
    assert_says(&said, &["127.0.0.1:3128", "127.0.0.1:9128", "SPICE_PROXY", "--config"]);
    let line = said.lines().find(|line| line.trim().starts_with("curl ")).expect("a line to try");
    assert_eq!(process::run(Command::new("sh").args(["-c", line])), "ok\n");
}

#[test]
fn the_file_of_the_readme_is_right() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = fs::read_to_string(readme).expect("a README");
    let files: Vec<&str> =
        readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(!files.is_empty(), "no file in the README");
    let dir = process::directory();
    let path = dir.path().join("penstock.toml");
    for text in files {
        fs::write(&path, text).expect("our directory");
        let (code, said, errors) = run(&["check", path.to_str().expect("a path of ASCII")]);
        assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
        assert_says(&said, &["3128", "spice-proxy"]);
    }
}

fn the_documented_file_works_as_it_stands(driver: Driver) {
    let _ports = lock::default_ports();
    let setup = Setup::new(driver).replace_text(include_str!("documented.toml"));
    let _penstock: Penstock = setup.launch();
    wait_for_default_ports();
    for proxy in ["127.0.0.1:3128", "[::1]:3128"] {
        drop(tunnel(proxy.parse().expect("an address"), origin::start()));
    }
}
