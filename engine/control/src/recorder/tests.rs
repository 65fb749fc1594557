//! Recordings, read back; websockify's own Python, and what noVNC's player makes of the strings.

use std::path::Path;

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
    let sender = start(&config).expect("a thread").expect("a listener is recorded");
    [1, 2, 7].into_iter().for_each(|slot| sender.begin(id(slot), 0));
    sender
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
    sender.record(piece(7, false, b"RFB 003.008\n"));
    sender.record(piece(7, true, &all));
    sender.end(0, id(7));
    sender.flush(Duration::from_secs(5));
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
    let text = "Grüße\r\n".as_bytes();
    sender.record(piece(1, false, &text[..3]));
    sender.record(piece(1, true, b"ls\r"));
    sender.record(piece(1, false, &text[3..]));
    sender.record(piece(1, false, b"\xff\xc3"));
    sender.end(0, id(1));
    sender.flush(Duration::from_secs(5));
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
    sender.record(piece(1, false, b"one"));
    sender.record(piece(2, false, b"two"));
    sender.flush(Duration::from_secs(5));
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
    (0..10).for_each(|_| sender.record(piece(1, false, b"x")));
    sender.flush(Duration::from_secs(5));
    assert_eq!(sender.counts(), [0, 1, 0], "one connection, one failure");
}

#[test]
fn a_full_queue_loses_bytes_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rec");
    let fifo = folder.path().join("rec.1");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let shared = Arc::new(Shared::default());
    let (queue, entries) = sync_channel(QUEUE);
    let stuck = Sender { queue, shared };
    let big = vec![0; 1 << 20];
    (0..40).for_each(|_| stuck.record(piece(1, false, &big)));
    let lost = stuck.counts()[2];
    assert_eq!(lost, 8 << 20, "of 40 MiB, 32 find room");
    assert_eq!(entries.try_iter().count(), 32);
    drop(stuck);
    let sender = sender(&path, RecordFormat::Websockify);
    sender.record(piece(1, false, b"before"));
    sender.flush_pieces();
    sender.shared.lost.fetch_add(5, Relaxed);
    sender.record(piece(1, false, b"after"));
    sender.flush(Duration::from_secs(5));
    let text = std::fs::read_to_string(folder.path().join("rec.2")).expect("a recording");
    let (before, after) = text.split_once("/* bytes are missing here */").expect("a gap is told");
    assert!(before.contains("before") && after.contains("after"), "{text}");
}

impl Sender {
    /// Waits until the thread has taken all pieces.
    fn flush_pieces(&self) {
        while self.shared.queued.load(Relaxed) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
