//! Recordings, read back; websockify's own Python, and what noVNC's player makes of the strings.

use std::path::Path;
use std::sync::mpsc::Receiver;

use bytes::Bytes;
use penstock_core::config::{Engine, Listener, RecordFormat, Service};
use penstock_core::policy::Rules;

use super::*;

fn id(slot: u32) -> SessionId {
    SessionId { worker: 0, slot, generation: 1 }
}

fn sender(path: &Path, format: RecordFormat) -> Sender {
    let mut listener = Listener::new("l", Vec::new(), Service::Connect, Rules::default());
    listener.record = Some(Recording { path: path.to_owned(), format });
    let config = Config { engine: Engine::default(), listeners: vec![listener] };
    start(&config).expect("a thread").expect("a listener is recorded")
}

/// Of a worker that has these connections.
fn feed(sender: &Sender, slots: &[u32]) -> Feed {
    let mut feed = sender.feed();
    slots.iter().for_each(|slot| feed.begin(id(*slot), 0));
    feed
}

fn piece(slot: u32, from_client: bool, bytes: &[u8]) -> Piece {
    Piece { id: id(slot), from_client, bytes: Bytes::copy_from_slice(bytes) }
}

#[test]
fn websockifys_format_is_what_its_own_code_would_write() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rec");
    let all: Vec<u8> = (0..=255).collect();
    let sender = sender(&path, RecordFormat::Websockify);
    let mut feed = feed(&sender, &[7]);
    feed.record(piece(7, false, b"RFB 003.008\n"));
    feed.record(piece(7, true, &all));
    feed.end(id(7));
    sender.flush(Duration::from_secs(60));
    let text = std::fs::read_to_string(folder.path().join("rec.1")).expect("a recording");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "var VNC_frame_data = [");
    assert!(lines[1].starts_with("'{") && lines[1].ends_with("{RFB 003.008\\n',"), "{text}");
    let script = "import sys; b = bytes(range(256)); print(b.decode('latin1').encode('unicode_escape').decode('ascii').replace(\"'\", \"\\\\'\"))";
    let python = std::process::Command::new("python3").args(["-c", script]).output();
    let expected = String::from_utf8(python.expect("Python runs").stdout).expect("text");
    let (_, data) = lines[2].strip_prefix("'}").expect("of the client").split_once('}').expect("}");
    assert_eq!(data, format!("{}',", expected.trim_end_matches('\n')));
    assert_eq!(lines[3..], ["'EOF'];"]);
    assert_eq!(sender.counts(), [1, 0, 0]);
}

#[test]
fn an_asciicast_has_whole_characters_and_both_directions() {
    let folder = tempfile::tempdir().expect("a folder");
    let sender = sender(&folder.path().join("rec"), RecordFormat::Asciicast);
    let mut feed = feed(&sender, &[1]);
    let text = "Grüße\r\n".as_bytes();
    feed.record(piece(1, false, &text[..3]));
    feed.record(piece(1, true, b"ls\r"));
    feed.record(piece(1, false, &text[3..]));
    feed.record(piece(1, false, b"\xff\xc3"));
    feed.end(id(1));
    sender.flush(Duration::from_secs(60));
    let text = std::fs::read_to_string(folder.path().join("rec.1.cast")).expect("a recording");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["version"], 2);
    let of = |code: &str| -> String {
        let events = lines[1..].iter().filter(|event| event[1] == code);
        events.filter_map(|event| event[2].as_str()).collect()
    };
    assert_eq!(of("o"), "Grüße\r\n\u{fffd}\u{fffd}");
    assert_eq!(of("i"), "ls\r");
    assert!(lines[1..].is_sorted_by_key(|event| event[0].as_f64()), "{text}");
}

#[test]
fn each_connection_has_a_file_of_its_own_that_others_cannot_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rec");
    std::fs::write(folder.path().join("rec.1"), "of an earlier time").expect("written");
    let sender = sender(&path, RecordFormat::Websockify);
    let mut feed = feed(&sender, &[1, 2]);
    feed.record(piece(1, false, b"one"));
    feed.record(piece(2, false, b"two"));
    sender.flush(Duration::from_secs(60));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("readable");
    assert_eq!(read("rec.1"), "of an earlier time");
    assert!(read("rec.2").contains("one") && read("rec.3").contains("two"));
    assert!(read("rec.3").ends_with("'EOF'];\n"), "the end of the daemon ends it");
    let mode = std::fs::metadata(folder.path().join("rec.2")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_cannot_be_written_is_counted_and_stalls_nobody() {
    let sender = sender(Path::new("/nowhere/rec"), RecordFormat::Websockify);
    let mut feed = feed(&sender, &[1]);
    (0..10).for_each(|_| feed.record(piece(1, false, b"x")));
    sender.flush(Duration::from_secs(60));
    assert_eq!(sender.counts(), [0, 1, 10], "one connection, one failure");
}

/// A sender whose thread is the test.
fn stuck(recording: Recording) -> (Sender, Receiver<Entry>) {
    let shared = Shared { recordings: vec![Some(recording)], ..Shared::default() };
    let (queue, entries) = channel();
    (Sender { queue, shared: Arc::new(shared) }, entries)
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).expect("a recording")
}

#[test]
fn a_full_queue_loses_bytes_and_those_recordings_say_so_whose_they_were() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, format) = (folder.path().join("rec"), RecordFormat::Websockify);
    let (sender, entries) = stuck(Recording { path, format });
    let mut feed = feed(&sender, &[1, 2, 3]);
    let [unharmed, big] = [b'u', b'x'].map(|letter| vec![letter; 1 << 20]);
    feed.record(piece(2, false, &unharmed));
    (0..40).for_each(|_| feed.record(piece(1, false, &big)));
    // All that this one had is lost: of its end nobody needs to hear.
    feed.record(piece(3, false, b"unheard of"));
    assert_eq!(sender.counts()[2], (9 << 20) + 10, "of 41 MiB and some, 32 find room");
    feed.end(id(3));
    feed.end(id(2));
    let mut reels = Reels::new(sender.shared.clone());
    let pending: Vec<Entry> = entries.try_iter().collect();
    assert_eq!(pending.len(), 1 + 31 + 1);
    pending.into_iter().for_each(|entry| reels.hear(entry));
    feed.record(piece(1, false, b"after"));
    feed.record(piece(1, false, b"at last"));
    feed.end(id(1));
    entries.try_iter().for_each(|entry| reels.hear(entry));
    let gap = "/* bytes are missing here */";
    let [unharmed, harmed] = ["rec.1", "rec.2"].map(|name| read(folder.path(), name));
    assert!(unharmed.ends_with("uuu',\n'EOF'];\n") && !unharmed.contains(gap));
    let (before, after) = harmed.split_once(gap).expect("a gap is told");
    assert!(before.contains("xxx") && after.contains("after',\n"), "{after}");
    assert!(after.ends_with("at last',\n'EOF'];\n") && !after.contains(gap), "{after}");
    assert_eq!(sender.counts(), [2, 0, (9 << 20) + 10]);
    assert_eq!(sender.shared.queued.load(Relaxed), 0);
}

#[test]
fn small_pieces_fill_the_queue_as_well_and_no_end_is_ever_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, format) = (folder.path().join("rec"), RecordFormat::Asciicast);
    let (sender, entries) = stuck(Recording { path, format });
    let mut feed = feed(&sender, &[1]);
    (0..20_000).for_each(|_| feed.record(piece(1, true, b"x")));
    assert_eq!(sender.counts()[2], 20_000 - 16_384);
    feed.end(id(1));
    let mut reels = Reels::new(sender.shared.clone());
    entries.try_iter().for_each(|entry| reels.hear(entry));
    assert_eq!(reels.count(), 0, "a file is kept open");
    let text = read(folder.path(), "rec.1.cast");
    assert!(text.ends_with("\"m\",\"bytes are missing here\"]\n"), "{}", &text[text.len() - 200..]);
    assert_eq!(text.lines().count(), 1 + 16_384 + 1);
}

#[test]
fn the_daemon_s_end_is_waited_for_with_a_full_queue_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let sender = sender(&folder.path().join("rec"), RecordFormat::Websockify);
    let mut feed = feed(&sender, &[1]);
    (0..100_000).for_each(|_| feed.record(piece(1, true, b"x")));
    sender.flush(Duration::from_secs(60));
    assert!(read(folder.path(), "rec.1").ends_with("'EOF'];\n"));
    // What comes later has no recording, and is no reason to begin another one.
    let lost = sender.counts()[2];
    feed.record(piece(1, true, b"late"));
    sender.flush(Duration::from_secs(60));
    assert_eq!(sender.counts(), [1, 0, lost + 4]);
}

#[test]
fn characters_do_not_reach_across_a_gap() {
    let mut texts = asciicast::Texts::default();
    let (mut text, at) = (Vec::new(), Duration::ZERO);
    texts.write(&mut text, false, at, b"a\xc3");
    texts.gap(&mut text, at);
    texts.write(&mut text, false, at, b"\xa4b");
    let lines = String::from_utf8(text).expect("text");
    let said: Vec<_> = lines.lines().collect();
    let expected = [
        r#"[0.0,"o","a"]"#,
        "[0.0,\"o\",\"\u{fffd}\"]",
        r#"[0.0,"m","bytes are missing here"]"#,
        "[0.0,\"o\",\"\u{fffd}b\"]",
    ];
    assert_eq!(said, expected);
}
