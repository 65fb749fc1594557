//! The demo console: what somebody has who starts the program and nothing else.

use std::process::Stdio;
use std::time::Duration;

use penstock_tests::browser::Browser;
use penstock_tests::connect::PATIENCE;
use penstock_tests::metrics::Metrics;
use penstock_tests::process::{self, Process};
use penstock_tests::{Driver, both_drivers, http, lock, names, setup, wait};

both_drivers! {
    the_demo_console_is_typed_into,
}

const PAGE: &str = "http://127.0.0.1:6080/";

fn start(driver: Driver) -> Process {
    let dir = process::directory();
    let mut command = process::command(setup::program());
    command.arg(format!("--engine={}", driver.name()));
    setup::clean(&mut command).current_dir(dir.path()).stdin(Stdio::null());
    let daemon = Process::start(&mut command, dir);
    wait::until_true("a daemon on the default ports", PATIENCE, || {
        let page = http::get("127.0.0.1:9128".parse().expect("an address"), "/ready");
        page.is_ok_and(|(status, _)| status == 200)
    });
    assert!(metrics().sum(names::DRIVER, &[("driver", driver.name())]) >= 1.0, "another driver");
    daemon
}

fn metrics() -> Metrics {
    Metrics::scrape("127.0.0.1:9128".parse().expect("an address"))
}

/// Types a line, and waits until the terminal shows such a text.
fn type_line(browser: &Browser, line: &str, expected: &str) {
    line.chars().chain(['\r']).for_each(|character| browser.press(character));
    see(browser, expected);
}

fn see(browser: &Browser, text: &str) {
    let text = serde_json::Value::from(text);
    let shown = "[...document.querySelectorAll('#screen > div')].map(e => e.textContent.trimEnd()).join('\\n')";
    browser.wait_for(&format!("the terminal shows {text}"), &format!("{shown}.includes({text})"));
}

fn the_demo_console_is_typed_into(driver: Driver) {
    let _ports = lock::default_ports();
    let _daemon = start(driver);
    let browser = Browser::start(None);
    browser.open(PAGE);
    let status = "document.getElementById('status').textContent";
    browser.wait_for("the page is connected", &format!("{status} === 'Connected'"));
    see(&browser, "Penstock demo console");
    see(&browser, "demo>");
    let greeted = browser.picture("#terminal").expect("a terminal");
    type_line(&browser, "help", "echo TEXT     TEXT again");
    type_line(&browser, "echo Hello 4 and 5", "echo Hello 4 and 5\nHello 4 and 5\ndemo>");
    let typed = browser.picture("#terminal").expect("a terminal");
    assert_ne!(typed, greeted);
    type_line(&browser, "flood 1024", "1024 KiB in ");
    let bytes = metrics().sum(names::BYTES, &[("direction", "target_to_client")]);
    assert!(bytes > f64::from(1 << 20), "{bytes}");

    type_line(&browser, "exit", "Goodbye.");
    browser.wait_for("the page says so", &format!("{status}.startsWith('Closed (code 1000')"));
    browser.click("#reconnect");
    browser.wait_for("the page is connected again", &format!("{status} === 'Connected'"));
    type_line(&browser, "echo again", "echo again\nagain\ndemo>");
    // No page of ours may be without something that it asks for.
    assert_eq!(browser.said(), Vec::<String>::new());
    drop(browser);
    let all_over = || metrics().sum(names::SESSIONS_OPEN, &[]) == 0.0;
    wait::until_true("nothing is left", Duration::from_secs(10), all_over);
}
