//! The page, read by the rules of its format.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use penstock_core::close::Side;
use penstock_core::config::{Config, Engine, Listener, RecordFormat, Recording, Service};
use penstock_core::control::{Piece, SessionId};
use penstock_core::policy::Rules;

use super::*;
use crate::state::testing;
use crate::{certificates, recorder};

/// Samples by series, after checking that the page is well formed.
fn read(page: &str) -> BTreeMap<String, f64> {
    assert!(page.ends_with("# EOF\n"), "the end is marked");
    let (mut family, mut kind) = ("", "");
    let mut families = Vec::new();
    let mut samples = BTreeMap::new();
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(!families.contains(&name) && !help.is_empty(), "{name} stands together");
            families.push(name);
            family = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, its_kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, family);
            kind = its_kind;
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            let name = series.split('{').next().expect("a name");
            let suffix = name.strip_prefix(family).expect("a sample of its family");
            let allowed: &[&str] = match kind {
                "counter" => &["_total"],
                "gauge" => &[""],
                "histogram" => &["_sum", "_count", "_bucket"],
                other => panic!("type {other}"),
            };
            assert!(allowed.contains(&suffix), "{line} in a {kind}");
            let twice = samples.insert(series.to_owned(), value.parse().expect("a number"));
            assert!(twice.is_none(), "{series} twice");
        }
    }
    samples
}

#[test]
fn the_page_is_well_formed_and_shows_what_was_counted() {
    let state = testing::state(2);
    let worker = &state.parts.workers[1];
    worker.counters.tunnels.set(3);
    worker.counters.bytes[1][0].add(7);
    worker.counters.bytes[1][1].add(1 << 30);
    worker.counters.quiesce[1].add(2);
    worker.counters.pipes_relieved.add(6);
    worker.counters.refits.add(8);
    worker.counters.handshakes[Side::Target as usize][1].add(9);
    worker.counters.tls_apart[0].add(11);
    state.opener.opened[1].store(12, Relaxed);
    state.opener.running.store(13, Relaxed);
    state.tokens.count("no_place");
    state.tokens.remembered.store(14, Relaxed);
    worker.stats.pipes.set(4);
    worker.stats.pipe_quota.add(5);
    let samples = read(&page(&state));
    let expect = [
        (r#"penstock_tunnels_open{worker="0"}"#, 0.0),
        (r#"penstock_tunnels_open{worker="1"}"#, 3.0),
        (r#"penstock_bytes_total{worker="1",direction="target_to_client",mover="copy"}"#, 7.0),
        (
            r#"penstock_bytes_total{worker="1",direction="target_to_client",mover="splice"}"#,
            1_073_741_824.0,
        ),
        (r#"penstock_quiesce_total{worker="1",state="quiet"}"#, 2.0),
        (r#"penstock_pipes_relieved_total{worker="1"}"#, 6.0),
        (r#"penstock_refits_total{worker="1"}"#, 8.0),
        (r#"penstock_tls_handshakes_total{worker="1",side="target",kind="resumed"}"#, 9.0),
        (r#"penstock_tls_handshakes_total{worker="0",side="client",kind="full"}"#, 0.0),
        (r#"penstock_tls_apart_total{worker="1",direction="opened"}"#, 11.0),
        (r#"penstock_doors_opened_total{result="failed"}"#, 12.0),
        (r#"penstock_programs_running"#, 13.0),
        (r#"penstock_token_lookups_total{outcome="no_place"}"#, 1.0),
        (r#"penstock_token_lookups_total{outcome="found"}"#, 0.0),
        (r#"penstock_tokens_remembered"#, 14.0),
        (r#"penstock_spawners"#, 0.0),
        (r#"penstock_ring_pipes{worker="1"}"#, 4.0),
        (r#"penstock_ring_pipe_quota_total{worker="1"}"#, 5.0),
        (
            r#"penstock_driver_info{driver="epoll",kernel="6.1",masked="uring",missing="ring-message"}"#,
            1.0,
        ),
        (r#"penstock_log_dropped_total{log="access"}"#, 0.0),
        (r#"penstock_resolver_cache_hits_total"#, 0.0),
        (r#"penstock_max_tunnels"#, 10.0),
    ];
    for (series, value) in expect {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
}

#[test]
fn certificates_are_shown_by_listener_and_side() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut state = testing::state(1);
    let mine = Arc::get_mut(&mut state).expect("nobody else has it");
    mine.certificates = certificates::of(&certificates::tests::config(folder.path()));
    mine.certificates[1].reloads[1].store(5, Relaxed);
    let samples = read(&page(&state));
    let expect = [
        (r#"penstock_tls_reloads_total{listener="one",side="client",result="ok"}"#, 0.0),
        (r#"penstock_tls_reloads_total{listener="one",side="target",result="failed"}"#, 5.0),
        (r#"penstock_tls_by_common_name_total{listener="one"}"#, 3.0),
        (r#"penstock_tls_info{listener="one",side="client",implementation="ring"}"#, 1.0),
        (r#"penstock_tls_info{listener="one",side="target",implementation="aws-lc"}"#, 1.0),
    ];
    for (series, value) in expect {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
    let days = samples[r#"penstock_tls_certificate_expiry_days{listener="one",side="client"}"#];
    let until_2040 = 25_567.0
        - SystemTime::now().duration_since(UNIX_EPOCH).expect("later").as_secs_f64() / 86_400.0;
    assert!((days - until_2040).abs() < 0.01, "{days} for {until_2040}");
    let list = samples[r#"penstock_tls_crl_expiry_days{listener="one",side="target"}"#];
    assert!((list - until_2040 - 3653.0).abs() < 0.01, "the first of two lists: {list}");
}

#[test]
fn recordings_are_counted_where_there_are_any() {
    let mut state = testing::state(1);
    assert!(!page(&state).contains("recordings"), "nothing is recorded");
    let mut listener = Listener::new("l", Vec::new(), Service::Connect, Rules::default());
    let path = "/nowhere/recording".into();
    listener.record = Some(Recording { path, format: RecordFormat::Websockify });
    let config = Config { engine: Engine::default(), listeners: vec![listener] };
    let recorder = recorder::start(&config).expect("a thread").expect("one is recorded");
    let mut feed = recorder.feed();
    let id = SessionId { worker: 0, slot: 1, generation: 2 };
    feed.begin(id, 0);
    feed.record(Piece { id, from_client: true, bytes: vec![0; 3].into() });
    recorder.flush(Duration::from_secs(60));
    Arc::get_mut(&mut state).expect("nobody else has it").recorder = Some(recorder);
    let samples = read(&page(&state));
    let counts = ["", "_failed", "_lost_bytes"]
        .map(|name| samples[&format!("penstock_recordings{name}_total")]);
    assert_eq!(counts, [0.0, 1.0, 3.0]);
}

#[test]
fn ends_are_shown_by_reason_once_they_occurred_and_summed_before_the_relay() {
    let state = testing::state(2);
    let count = |worker: usize, phase, cause| {
        let reason = CloseReason::new(Side::Penstock, phase, cause);
        state.parts.workers[worker].counters.closed[reason.index()].add(1);
    };
    count(0, Phase::Admission, Cause::AccessDenied);
    count(1, Phase::Admission, Cause::AccessDenied);
    count(1, Phase::Connect, Cause::Exhausted);
    count(1, Phase::Relay, Cause::Exhausted);
    let samples = read(&page(&state));
    let closed =
        samples.keys().filter(|series| series.starts_with("penstock_closed_total")).count();
    assert_eq!(closed, 3);
    let series =
        r#"penstock_closed_total{side="penstock",phase="admission",cause="access_denied"}"#;
    assert_eq!(samples[series], 2.0);
    assert_eq!(samples[r#"penstock_refused_total{cause="access_denied"}"#], 2.0);
    assert_eq!(samples[r#"penstock_refused_total{cause="exhausted"}"#], 1.0);
    assert_eq!(samples[r#"penstock_refused_total{cause="loop"}"#], 0.0);
}

#[test]
fn histograms_are_cumulative_and_end_in_infinity() {
    let state = testing::state(1);
    let connect = &state.parts.workers[0].counters.setup[2];
    connect.record(Duration::from_micros(1));
    connect.record(Duration::from_micros(20));
    connect.record(Duration::from_secs(3600));
    let samples = read(&page(&state));
    let bucket = |bound: &str| {
        samples[&format!(
            r#"penstock_setup_seconds_bucket{{le="{bound}",worker="0",phase="connect"}}"#
        )]
    };
    assert_eq!((bucket("0.000016"), bucket("0.000032"), bucket("+Inf")), (1.0, 2.0, 3.0));
    assert_eq!(samples[r#"penstock_setup_seconds_count{worker="0",phase="connect"}"#], 3.0);
    let sum = samples[r#"penstock_setup_seconds_sum{worker="0",phase="connect"}"#];
    assert!((sum - 3_600.000_021).abs() < 1e-9);
}
