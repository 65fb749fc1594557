//! The DevTools protocol on one socket: JSON messages, each ended by a zero byte.
//!
//! In: commands. Out: their results; what pages said meanwhile is kept, and what they ask in a window of its own is answered by one text, which may be
//! empty. A command that the browser refuses is the caller's business; a browser that is gone or silent is not.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct DevTools {
    socket: UnixStream,
    messages: Receiver<Value>,
    commands: u64,
    said: Vec<String>,
    answer: String,
}

impl DevTools {
    pub(super) fn new(socket: UnixStream) -> DevTools {
        let (told, messages) = mpsc::channel();
        let reader = BufReader::new(socket.try_clone().expect("a descriptor"));
        std::thread::spawn(move || {
            for message in reader.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if told.send(message).is_err() {
                    break;
                }
            }
        });
        DevTools { socket, messages, commands: 0, said: Vec::new(), answer: String::new() }
    }

    /// Has a command carried out, for a page if a session is named.
    ///
    /// # Panics
    /// When the browser doesn't answer.
    pub(super) fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        parameters: &Value,
    ) -> Result<Value, String> {
        self.send(session, method, parameters);
        let sent = self.commands;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left);
            let mut message = message.unwrap_or_else(|e| panic!("{method}: {e}"));
            if message["id"] != sent {
                self.hear(&message);
                continue;
            }
            let error = message["error"].take();
            return if error.is_null() {
                Ok(message["result"].take())
            } else {
                Err(error.to_string())
            };
        }
    }

    fn send(&mut self, session: Option<&str>, method: &str, parameters: &Value) {
        self.commands += 1;
        let mut command = json!({ "id": self.commands, "method": method, "params": parameters });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let mut message = command.to_string().into_bytes();
        message.push(0);
        self.socket.write_all(&message).unwrap_or_else(|e| panic!("{method}: {e}"));
    }

    /// What pages logged and asked, and their exceptions.
    pub(super) fn said(&self) -> &[String] {
        &self.said
    }

    /// What is answered from now on when a page asks.
    pub(super) fn answer(&mut self, text: &str) {
        text.clone_into(&mut self.answer);
    }

    fn hear(&mut self, event: &Value) {
        let what = &event["params"];
        let text = match event["method"].as_str() {
            Some("Runtime.consoleAPICalled") => what["args"].to_string(),
            Some("Runtime.exceptionThrown") => what["exceptionDetails"].to_string(),
            Some("Page.javascriptDialogOpening") => {
                let answer = json!({ "accept": true, "promptText": self.answer });
                self.send(event["sessionId"].as_str(), "Page.handleJavaScriptDialog", &answer);
                what["message"].to_string()
            }
            Some("Log.entryAdded") => what["entry"]["text"].to_string(),
            _ => return,
        };
        self.said.push(text.chars().take(400).collect());
    }
}
