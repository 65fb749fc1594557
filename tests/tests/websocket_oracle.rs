//! The same conversations to our WebSocket frames and to those of others: what one side says, the other has to hear.
//!
//! The others are tungstenite, and Python's `websockets` in a process of its own.

use std::io::{self, Read, Write};
use std::process::{Command, Stdio};

use penstock_proto::websocket::{
    Close, Error, Opcode, Payload, Receiver, close, header, ping, pong,
};
use proptest::prelude::*;
use proptest::sample::SizeRange;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Role, WebSocket};
use tungstenite::{Error as TheirError, Message};

/// What one side does.
#[derive(Clone, PartialEq, Debug)]
enum Step {
    /// A part of a message, and whether it is the last.
    Data(Vec<u8>, bool),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

/// What the other side hears of it.
#[derive(Clone, PartialEq, Debug, Default)]
struct Heard {
    data: Vec<u8>,
    pings: Vec<Vec<u8>>,
    pongs: Vec<Vec<u8>>,
    close: Option<(u16, String)>,
}

fn bytes(length: impl Into<SizeRange>) -> BoxedStrategy<Vec<u8>> {
    prop::collection::vec(any::<u8>(), length).boxed()
}

/// A conversation's steps, with a close at their end.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let data = prop_oneof![8 => bytes(0..20), 4 => bytes(100..300), 1 => bytes(65_530..65_545)];
    let step = prop_oneof![
        4 => (data, any::<bool>()).prop_map(|(bytes, is_final)| Step::Data(bytes, is_final)),
        1 => bytes(0..=125).prop_map(Step::Ping),
        1 => bytes(0..=125).prop_map(Step::Pong),
    ];
    let code = prop::sample::select(vec![1000u16, 1001, 1003, 1007, 1011, 3000, 4999]);
    let close = (code, "[a-zü€ ]{0,40}").prop_map(|(code, reason)| Step::Close(code, reason));
    (prop::collection::vec(step, 0..20), close).prop_map(|(mut steps, close)| {
        steps.extend([Step::Data(Vec::new(), true), close]);
        steps
    })
}

/// The same ones in each run, each with the size of its pieces.
fn conversations(count: usize) -> Vec<(Vec<Step>, usize)> {
    let mut runner = TestRunner::deterministic();
    let strategy = (steps(), prop_oneof![1usize..20, 1usize..100_000]);
    let mut draw = || strategy.new_tree(&mut runner).expect("a conversation").current();
    (0..count).map(|_| draw()).collect()
}

fn heard(steps: &[Step]) -> Heard {
    let mut heard = Heard::default();
    for step in steps.iter().cloned() {
        match step {
            Step::Data(bytes, _) => heard.data.extend(bytes),
            Step::Ping(payload) => heard.pings.push(payload),
            Step::Pong(payload) => heard.pongs.push(payload),
            Step::Close(code, reason) => heard.close = Some((code, reason)),
        }
    }
    heard
}

/// What ours hears, in pieces of a size, and what it answers.
fn receive(stream: &[u8], piece: usize, expected: &Heard) -> Vec<u8> {
    let (mut receiver, mut output) = (Receiver::new(Payload::Binary), Vec::new());
    let (mut data, mut pongs, mut last) = (Vec::new(), 0, None);
    for bytes in stream.chunks(piece) {
        let mut memory = bytes.to_vec();
        let received = receiver.receive(&mut memory, 0..bytes.len(), &mut output);
        assert_eq!(received.broken, None);
        data.extend_from_slice(&memory[received.plain]);
        pongs += received.pongs as usize;
        last = last.or(received.close);
    }
    assert!(data == expected.data, "{} bytes, not {}", data.len(), expected.data.len());
    assert_eq!(pongs, expected.pongs.len());
    let (code, reason) = expected.close.clone().expect("a last step");
    assert_eq!(last, Some(Close { code: Some(code), reason: reason.clone() }));
    close(Some(code), &reason, &mut output);
    output
}

/// The same steps in our frames: each part of a message is a message of its own.
fn write(steps: &[Step]) -> Vec<u8> {
    let mut output = Vec::new();
    for step in steps {
        match step {
            Step::Data(bytes, _) => {
                output.extend_from_slice(&header(bytes.len() as u64, Opcode::Binary));
                output.extend_from_slice(bytes);
            }
            Step::Ping(_) => ping(&mut output),
            Step::Pong(payload) => pong(payload, &mut output),
            Step::Close(code, reason) => close(Some(*code), reason, &mut output),
        }
    }
    output
}

/// Both ways of a connection, in memory.
#[derive(Default)]
struct Wire {
    to_read: io::Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.to_read.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite_writes(steps: &[Step]) -> WebSocket<Wire> {
    let mut socket = WebSocket::from_raw_socket(Wire::default(), Role::Client, None);
    let mut is_within = false;
    for step in steps.iter().cloned() {
        let frame = match step {
            Step::Data(bytes, is_final) => {
                let kind = if is_within { Data::Continue } else { Data::Binary };
                is_within = !is_final;
                Frame::message(bytes, OpCode::Data(kind), is_final)
            }
            Step::Ping(payload) => Frame::ping(payload),
            Step::Pong(payload) => Frame::pong(payload),
            Step::Close(code, reason) => {
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                socket.close(Some(frame)).expect("a close");
                continue;
            }
        };
        socket.write(Message::Frame(frame)).expect("a frame");
    }
    socket.flush().expect("room");
    socket
}

fn tungstenite_hears(socket: &mut WebSocket<Wire>, stream: Vec<u8>) -> Heard {
    socket.get_mut().to_read = io::Cursor::new(stream);
    let mut heard = Heard::default();
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) => heard.data.extend_from_slice(&bytes),
            Ok(Message::Ping(payload)) => heard.pings.push(payload.to_vec()),
            Ok(Message::Pong(payload)) => heard.pongs.push(payload.to_vec()),
            Ok(Message::Close(frame)) => {
                heard.close = frame.map(|frame| (frame.code.into(), frame.reason.to_string()));
                return heard;
            }
            Err(TheirError::ConnectionClosed) => return heard,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_tungstenite_says_is_heard_and_what_we_answer_is_heard_there() {
    for (steps, piece) in conversations(300) {
        let mut socket = tungstenite_writes(&steps);
        let expected = heard(&steps);
        let answer = receive(&socket.get_ref().written, piece, &expected);
        let answered = tungstenite_hears(&mut socket, answer);
        assert_eq!(answered.pongs, expected.pings);
        assert_eq!(answered.close, expected.close);
    }
}

#[test]
fn what_we_say_is_heard_by_tungstenite() {
    for (steps, _) in conversations(300) {
        let mut socket = WebSocket::from_raw_socket(Wire::default(), Role::Client, None);
        let mut expected = heard(&steps);
        expected.pings.iter_mut().for_each(Vec::clear);
        assert_eq!(tungstenite_hears(&mut socket, write(&steps)), expected);
    }
}

/// Reads one request a line: steps to be written as a client, bytes to be heard as one, or bytes to be judged as a server. Prints one answer a line.
const PYTHON: &str = r#"
import sys
from websockets.connection import Connection, Side, State

def say(steps):
    client, within = Connection(Side.CLIENT), False
    for step in steps:
        kind, payload, *more = step.split(":")
        payload = bytes.fromhex(payload)
        if kind == "data":
            send = client.send_continuation if within else client.send_binary
            send(payload, more[0] == "1")
            within = more[0] != "1"
        elif kind == "ping":
            client.send_ping(payload)
        elif kind == "pong":
            client.send_pong(payload)
        else:
            client.send_close(int(more[0]), payload.decode())
    return b"".join(client.data_to_send()).hex()

def hear(stream):
    client = Connection(Side.CLIENT, max_size=None)
    client.receive_data(stream)
    if client.parser_exc is not None:
        return repr(client.parser_exc)
    return " ".join(f"{frame.opcode.name}:{frame.data.hex()}" for frame in client.events_received())

def judge(stream):
    server = Connection(Side.SERVER, max_size=None)
    server.receive_data(stream)
    return "good" if server.parser_exc is None else "bad"

for line in sys.stdin:
    verb, *rest = line.split()
    if verb == "say":
        print(say(rest))
    elif verb == "hear":
        print(hear(bytes.fromhex(rest[0])))
    else:
        print(judge(bytes.fromhex(rest[0])))
"#;

/// Debian's own Python, whatever else is in the way: the module is a package of Debian's.
fn ask_python(requests: &[String]) -> Vec<String> {
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("python3");
    let mut input = child.stdin.take().expect("its input");
    let text = requests.join("\n");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("its output");
    writer.join().expect("no panic").expect("all of it read");
    assert!(output.status.success(), "is python3-websockets missing?");
    let answers: Vec<String> =
        String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
    assert_eq!(answers.len(), requests.len());
    answers
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect(text)).collect()
}

fn to_python(steps: &[Step]) -> String {
    let word = |step: &Step| match step {
        Step::Data(bytes, is_final) => format!(" data:{}:{}", hex(bytes), u8::from(*is_final)),
        Step::Ping(payload) => format!(" ping:{}", hex(payload)),
        Step::Pong(payload) => format!(" pong:{}", hex(payload)),
        Step::Close(code, reason) => format!(" close:{}:{code}", hex(reason.as_bytes())),
    };
    ["say".to_owned()].into_iter().chain(steps.iter().map(word)).collect()
}

fn from_python(answer: &str) -> Heard {
    let mut heard = Heard::default();
    for word in answer.split(' ') {
        let (kind, payload) = word.split_once(':').unwrap_or_else(|| panic!("{answer}"));
        let payload = unhex(payload);
        match kind {
            "BINARY" => heard.data.extend(payload),
            "PING" => heard.pings.push(payload),
            "PONG" => heard.pongs.push(payload),
            "CLOSE" => {
                let (code, reason) = payload.split_at(2);
                let reason = String::from_utf8(reason.to_vec()).expect("UTF-8");
                heard.close = Some((u16::from_be_bytes([code[0], code[1]]), reason));
            }
            other => panic!("{other} in {answer}"),
        }
    }
    heard
}

#[test]
fn what_python_says_is_heard_and_what_we_answer_is_heard_there() {
    let conversations = conversations(150);
    let said: Vec<String> = conversations.iter().map(|(steps, _)| to_python(steps)).collect();
    let streams = ask_python(&said);
    let answers = conversations.iter().zip(&streams).map(|((steps, piece), stream)| {
        format!("hear {}", hex(&receive(&unhex(stream), *piece, &heard(steps))))
    });
    let answers: Vec<String> = answers.collect();
    for ((steps, _), answered) in conversations.iter().zip(ask_python(&answers)) {
        let (expected, answered) = (heard(steps), from_python(&answered));
        assert_eq!(answered.pongs, expected.pings);
        assert_eq!(answered.close, expected.close);
    }
}

#[test]
fn what_we_say_is_heard_by_python() {
    let conversations = conversations(150);
    let said = |(steps, _): &(Vec<Step>, usize)| format!("hear {}", hex(&write(steps)));
    let said: Vec<String> = conversations.iter().map(said).collect();
    for ((steps, _), answered) in conversations.iter().zip(ask_python(&said)) {
        let mut expected = heard(steps);
        expected.pings.iter_mut().for_each(Vec::clear);
        assert_eq!(from_python(&answered), expected);
    }
}

/// A frame by its first two bytes, with as much behind them as they ask for; the key is zero.
fn frame(first: u8, second: u8) -> Vec<u8> {
    let mut frame = vec![first, second];
    let length = match second & 0x7f {
        126 => 300,
        127 => 70_000,
        short => usize::from(short),
    };
    match second & 0x7f {
        126 => frame.extend((length as u16).to_be_bytes()),
        127 => frame.extend((length as u64).to_be_bytes()),
        _ => {}
    }
    frame.extend([0; 4].iter().filter(|_| second & 0x80 != 0));
    // A close code that may be sent, should it be a close.
    frame.extend([3, 0xe8].into_iter().chain(std::iter::repeat(b' ')).take(length));
    frame
}

/// Every first byte, alone and within a message. We alone refuse text, which is no protocol of consoles.
#[test]
fn python_and_ours_refuse_the_same_frames() {
    let mut streams = Vec::new();
    for first in 0..=u8::MAX {
        for second in [0, 5, 0x80, 0x81, 0x82, 0xfd, 0xfe, 0xff] {
            streams.push(frame(first, second));
            // There, nobody may leave within a message.
            if first & 0x0f != 8 {
                streams.push([frame(0x02, 0x80), frame(first, second)].concat());
            }
        }
    }
    let requests: Vec<String> = streams.iter().map(|s| format!("judge {}", hex(s))).collect();
    let mut counts = [0, 0];
    for (stream, theirs) in streams.iter().zip(ask_python(&requests)) {
        let mut memory = stream.clone();
        let broken = Receiver::new(Payload::Binary)
            .receive(&mut memory, 0..stream.len(), &mut Vec::new())
            .broken;
        if broken != Some(Error::Text) {
            assert_eq!(
                broken.is_none(),
                theirs == "good",
                "{broken:?}: {:02x?}",
                &stream[..stream.len().min(16)]
            );
            counts[usize::from(broken.is_none())] += 1;
        }
    }
    assert!(counts[0] > 1000 && counts[1] > 40, "{counts:?}");
}
