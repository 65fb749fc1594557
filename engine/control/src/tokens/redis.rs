//! TokenRedis: a Redis server that has a place for each token.
//!
//! In: tokens. Out: the place in the value: JSON `{"host": "h:p"}`, or the text `h:p`. Connections are kept for the next question and made
//! anew when they turn out to have ended. Two of them never share a connection: who loses patience takes his along.

use std::os::fd::AsRawFd;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use penstock_core::control::{Place, TokenRefusal};
use penstock_core::http::{Host, Target};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::connect::connect;
use super::lines::strip;
use super::resp::{self, Fault, Reply};
use super::threads::Threads;
use super::{Judged, no_place, object, place, unavailable, unknown};

/// Connections kept.
const IDLE_MAX: usize = 8;

pub(super) struct Redis {
    server: Result<Target, &'static str>,
    threads: Threads,
    /// Sent first on every connection.
    greetings: Vec<Vec<u8>>,
    prefix: String,
    idle: Mutex<Vec<TcpStream>>,
}

#[derive(Deserialize)]
struct Named {
    host: String,
}

/// Why a question has no answer.
enum Unanswered {
    /// Before a byte of it came.
    Ended,
    Refused(TokenRefusal),
}

impl Redis {
    pub(super) fn new(host: &str, port: u16, threads: Threads) -> Redis {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let server = Host::parse(host).map_err(|_| "expected a host name or address");
        let server = server.map(|host| Target { host, port });
        let (greetings, prefix) = (Vec::new(), String::new());
        Redis { server, threads, greetings, prefix, idle: Mutex::default() }
    }

    pub(super) fn with(
        mut self,
        database: u32,
        password: Option<&str>,
        namespace: Option<&str>,
    ) -> Redis {
        let number = database.to_string();
        let password = password.map(|password| [&b"AUTH"[..], password.as_bytes()]);
        let select = (database > 0).then(|| [&b"SELECT"[..], number.as_bytes()]);
        for greeting in password.iter().chain(&select) {
            let mut bytes = Vec::new();
            resp::command(greeting, &mut bytes);
            self.greetings.push(bytes);
        }
        self.prefix = namespace.map(|namespace| format!("{namespace}:")).unwrap_or_default();
        self
    }

    pub(super) async fn look_up(&self, token: &str) -> Judged {
        match self.get(token).await? {
            Reply::Value(value) => named(&value),
            Reply::Nothing => Err(unknown("it has no key for this token")),
            Reply::Refused(code) => Err(refused(&code)),
            Reply::Done => Err(garbled()),
        }
    }

    async fn get(&self, token: &str) -> Result<Reply, TokenRefusal> {
        let (key, mut question) = (format!("{}{token}", self.prefix), Vec::new());
        resp::command(&[b"GET", key.as_bytes()], &mut question);
        // One that was kept may have ended since; of all of them, none is worth more than a try.
        while let Some(mut stream) = self.kept() {
            match ask(&mut stream, &question).await {
                Ok(reply) => return Ok(self.keep(stream, reply)),
                Err(Unanswered::Refused(refusal)) => return Err(refusal),
                Err(Unanswered::Ended) => {}
            }
        }
        let mut stream = self.connect().await?;
        match ask(&mut stream, &question).await {
            Ok(reply) => Ok(self.keep(stream, reply)),
            Err(unanswered) => Err(unanswered.into()),
        }
    }

    async fn connect(&self) -> Result<TcpStream, TokenRefusal> {
        let Target { host, port } = self.server.as_ref().map_err(|fault| {
            unavailable(format!("its address can't be used ({fault}): mend `source`"))
        })?;
        let mut stream = connect(host, *port, &self.threads).await?;
        for greeting in &self.greetings {
            match ask(&mut stream, greeting).await? {
                Reply::Done => {}
                Reply::Refused(code) => return Err(refused(&code)),
                Reply::Value(_) | Reply::Nothing => return Err(garbled()),
            }
        }
        Ok(stream)
    }

    /// One that lives and says nothing: what nobody asked for would be taken for the next answer.
    fn kept(&self) -> Option<TcpStream> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| idle.pop()).find(is_silent)
    }

    fn keep(&self, stream: TcpStream, reply: Reply) -> Reply {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !matches!(reply, Reply::Refused(_)) {
            idle.push(stream);
        }
        reply
    }
}

fn is_silent(stream: &TcpStream) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(stream.as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
}

async fn ask(stream: &mut TcpStream, question: &[u8]) -> Result<Reply, Unanswered> {
    stream.write_all(question).await.map_err(|_| Unanswered::Ended)?;
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 4096]);
    loop {
        let read = match stream.read(&mut piece).await {
            Ok(read @ 1..) => read,
            Ok(0) | Err(_) if bytes.is_empty() => return Err(Unanswered::Ended),
            Ok(_) | Err(_) => return Err(Unanswered::Refused(garbled())),
        };
        bytes.extend_from_slice(&piece[..read]);
        match resp::reply(&bytes) {
            Ok(None) => {}
            // More than was asked for: whose answer would the next one be?
            Ok(Some((_, length))) if length < bytes.len() => {
                return Err(Unanswered::Refused(garbled()));
            }
            Ok(Some((reply, _))) => return Ok(reply),
            Err(Fault::Garbled) => return Err(Unanswered::Refused(garbled())),
            Err(Fault::TooLarge) => {
                let text = "its value is longer than 65536 bytes: is it the right database?";
                return Err(Unanswered::Refused(unavailable(text)));
            }
        }
    }
}

fn named(value: &[u8]) -> Judged {
    let fault = |fault: &str| no_place(format!("of its value: {fault}"));
    let text = str::from_utf8(value).map(strip).map_err(|_| fault("it is no text"))?;
    let found: Result<Place, _> = match text.starts_with('{') {
        true => object::<Named>(text.as_bytes())
            .ok_or("expected a JSON object with host".into())
            .and_then(|named| place::of_text(&named.host)),
        false => place::of_text(text),
    };
    found.map_err(|found| fault(&found))
}

fn refused(code: &str) -> TokenRefusal {
    let remedy = match code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => "mend the password in `source`, or its rights",
        "WRONGTYPE" => "the token's key is no string: set it by SET",
        "LOADING" | "BUSY" | "MASTERDOWN" => "it is not ready yet",
        _ => "see its own log",
    };
    unavailable(format!("it refused ({code}): {remedy}"))
}

fn garbled() -> TokenRefusal {
    unavailable("expected a reply as Redis makes it, came none: is it a Redis server?")
}

impl From<Unanswered> for TokenRefusal {
    fn from(unanswered: Unanswered) -> TokenRefusal {
        match unanswered {
            Unanswered::Ended => {
                unavailable("it ended the connection without an answer: see its own log")
            }
            Unanswered::Refused(refusal) => refusal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use penstock_core::control::TokenFault;
    use tokio::net::TcpListener;
    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;
    use crate::waiting;

    /// Serves connections one after the other; on each, every question is answered by the next text. What it says behind a bar, it says
    /// when it is told to, and tells.
    async fn server(answers: &'static [&'static [&'static str]]) -> (Redis, [Arc<Notify>; 2]) {
        let [go_on, said] = [(); 2].map(|()| Arc::new(Notify::new()));
        let both = [go_on.clone(), said.clone()];
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            for answers in answers {
                let (mut stream, _) = listener.accept().await.expect("somebody comes");
                for answer in *answers {
                    assert!(stream.read(&mut [0; 1024]).await.expect("open") > 0, "no question");
                    let (half, rest) = answer.split_once('|').unwrap_or((answer, ""));
                    stream.write_all(half.as_bytes()).await.expect("open");
                    if !rest.is_empty() {
                        go_on.notified().await;
                        stream.write_all(rest.as_bytes()).await.expect("open");
                        said.notify_one();
                    }
                }
                // Whether it is asked once more, or left.
                let _ = stream.read(&mut [0; 1024]).await;
            }
        });
        (Redis::new("127.0.0.1", port, Threads::of_one(&waiting::Threads::new(1))), both)
    }

    async fn told(redis: &Redis) -> Result<String, TokenFault> {
        match timeout(Duration::from_secs(60), redis.look_up("token")).await.expect("in time") {
            Ok(Place::Network(target)) => Ok(target.to_string()),
            Ok(other) => panic!("{other:?}"),
            Err(refused) => Err(refused.why),
        }
    }

    #[tokio::test]
    async fn an_answer_that_nobody_asked_for_is_nobody_s() {
        const ANSWERS: &[&[&str]] = &[
            &["$3\r\na:1\r\n$3\r\nb:2\r\n"],
            &["$3\r\nc:3\r\n", "$3\r\nd:4\r\n|$3\r\ne:5\r\n"],
            &["$3\r\nf:6\r\n"],
        ];
        let (redis, [go_on, said]) = server(ANSWERS).await;
        assert_eq!(told(&redis).await, Err(TokenFault::Unavailable), "two at once");
        assert_eq!(told(&redis).await, Ok("c:3".to_owned()));
        assert_eq!(told(&redis).await, Ok("d:4".to_owned()));
        // The second half comes when nobody waits for it.
        go_on.notify_one();
        said.notified().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(told(&redis).await, Ok("f:6".to_owned()), "on another connection");
    }

    #[test]
    fn values_are_json_or_text_with_a_host_and_a_port() {
        for (value, expected) in [
            (r#"{"host":"h:5900"}"#, Some("h:5900")),
            ("\n {\"host\": \"[::1]:5900\", \"more\": 1}\n", Some("[::1]:5900")),
            ("h:5900\n", Some("h:5900")),
            (r#"{"host":"h"}"#, None),
            (r#"{"host":"h:5900","host":"g:1"}"#, None),
            (r#"{"host":5900}"#, None),
            ("{", None),
            ("qemu+ext:///canary", None),
            (r#"{"host":"unix_socket:/canary"}"#, None),
            ("", None),
        ] {
            match (named(value.as_bytes()), expected) {
                (Ok(Place::Network(target)), Some(text)) => assert_eq!(target.to_string(), text),
                (Err(refused), None) => {
                    assert_eq!(refused.why, TokenFault::NoPlace, "{value}");
                    assert!(!refused.detail.contains("canary"), "{}", refused.detail);
                }
                (other, _) => panic!("{value}: {other:?}"),
            }
        }
        assert!(named(b"\xff:1").is_err());
    }
}
