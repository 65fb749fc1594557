//! noVNC: Debian's pages, and the library of npm on a page of ours.

use std::fs;
use std::path::Path;

use penstock_tests::peers::Guest;
use penstock_tests::{Driver, both_drivers, process};

use crate::stage::Stage;

both_drivers! {
    debians_novnc_shows_a_guest_and_types_into_it,
    npms_novnc_shows_a_guest_and_types_into_it,
    novnc_shows_a_megabyte_of_noise_without_a_wrong_pixel,
}

const DEBIANS: &str = "/usr/share/novnc";

/// Tokens as noVNC's own addresses have them: escaped for the console's address, and that for the page's.
const AS_PATHS: [&str; 2] = ["%3Ftoken%3Dvm%25207%252Fcanary", "%3Ftoken%3Dvm%25208%252Fcanary"];

fn debians_novnc_shows_a_guest_and_types_into_it(driver: Driver) {
    let mut stage = Stage::new(driver, DEBIANS, Guest::vnc);
    // As those who hand out links to consoles write them: the person clicks.
    let [first, second] = AS_PATHS;
    stage.open("token", &format!("vnc_auto.html?path={first}"));
    stage.browser.wait_for(
        "noVNC waits for a click",
        "document.getElementById('noVNC_connect_dlg')?.classList.contains('noVNC_open') ?? false",
    );
    stage.browser.click("#noVNC_connect_button");
    stage.type_line("Hello 4 of the token");
    for (listener, path, line) in [
        ("token-tls", format!("vnc_lite.html?path=websockify{second}"), "Hello 5 of the token"),
        ("fixed", "vnc.html?autoconnect=true".to_owned(), "one two"),
        ("fixed-tls", "vnc_auto.html?autoconnect=1&path=a-console".to_owned(), "one two"),
    ] {
        stage.open(listener, &path);
        stage.type_line(line);
    }
    assert_all_ended_well(stage);
}

/// One console of each listener, each ended by the browser, and nothing left.
fn assert_all_ended_well(stage: Stage) {
    stage.browser.leave();
    let server = stage.guest.vnc().to_string();
    for listener in ["token", "token-tls", "fixed", "fixed-tls"] {
        let records = stage.consoles(listener, 1);
        let [record] = &records[..] else { panic!("{records:?}") };
        assert_eq!(record["connected"], server, "{record}");
        assert_eq!(
            (&record["side"], &record["method"]),
            (&"client".into(), &"GET".into()),
            "{record}"
        );
        assert!(record["bytes_to_target"].as_u64() > Some(100), "{record}");
        assert!(record["bytes_to_client"].as_u64() > Some(500), "{record}");
        assert_eq!(record["client_tls"].is_object(), listener.ends_with("tls"), "{record}");
    }
    stage.end();
}

fn npms_novnc_shows_a_guest_and_types_into_it(driver: Driver) {
    // Built into a folder of its own, as those do it who build pages of theirs with it.
    let web = process::directory();
    let package = concat!(env!("CARGO_TARGET_TMPDIR"), "/../browser/node_modules/@novnc/novnc");
    assert!(Path::new(package).exists(), "no {package}: `tests/run --setup` fetches it");
    process::run(
        std::process::Command::new("cp").args(["-r", package]).arg(web.path().join("novnc")),
    );
    fs::write(web.path().join("index.html"), include_str!("novnc.html")).expect("our directory");
    let mut stage = Stage::new(driver, web.path().to_str().expect("ASCII"), Guest::vnc);
    let [first, second] = AS_PATHS;
    for (listener, path, line) in [
        ("token", format!("?path=websockify{first}"), "Hello 4 of the token"),
        ("token-tls", format!("?path={second}"), "Hello 5 of the token"),
        ("fixed", String::new(), "one two"),
        ("fixed-tls", "index.html?path=a-console".to_owned(), "one two"),
    ] {
        stage.open(listener, &path);
        stage.type_line(line);
    }
    assert_all_ended_well(stage);
}

fn novnc_shows_a_megabyte_of_noise_without_a_wrong_pixel(driver: Driver) {
    let mut stage = Stage::new(driver, DEBIANS, Guest::vnc);
    stage.see_noise("fixed-tls", "vnc.html?autoconnect=true");
    stage.ask_for_text();
    stage.type_line("still there");
    assert_eq!(stage.moved("splice"), 0.0);
    let copied = stage.moved("copy");
    assert!(copied > 1_200_000.0, "{copied}");

    stage.see_noise("fixed", "vnc.html?autoconnect=true");
    stage.ask_for_text();
    stage.type_line("still there");
    let spliced = stage.moved("splice");
    assert!(spliced > 400_000.0, "{spliced}");
    stage.browser.leave();
    let records = stage.consoles("fixed", 2);
    let told: f64 = records.iter().filter_map(|record| record["bytes_spliced"].as_f64()).sum();
    assert_eq!(told, spliced, "{records:?}");
    stage.end();
}
