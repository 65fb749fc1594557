//! Pages over real socketpairs, out of real folders; the test is the worker.

use std::collections::HashMap;
use std::fs;
use std::os::unix::net;

use penstock_core::config::{Config, Engine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;

mod answers;
mod borders;
mod connections;
mod versions;

struct Rig {
    sites: Arc<Sites>,
    web: Web,
    /// With the pages in `root`.
    top: tempfile::TempDir,
}

fn rig() -> Rig {
    let top = tempfile::tempdir().expect("a folder");
    let root = top.path().join("root");
    fs::create_dir(&root).expect("room");
    let config = Config { engine: Engine::default(), listeners: Vec::new() };
    let sites = Sites::new(Page::new(&config));
    Rig { sites, web: Web::Directory(root), top }
}

#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Reply {
    /// The header, or nothing.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn read(bytes: &[u8]) -> Reply {
        let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = std::str::from_utf8(&bytes[..at]).expect("text");
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let pairs = lines.map(|line| line.split_once(": ").expect("a header"));
        Reply {
            status: status.parse().expect("a number"),
            headers: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: bytes[at + 4..].to_vec(),
        }
    }
}

impl Rig {
    fn root(&self) -> std::path::PathBuf {
        self.top.path().join("root")
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("room");
        fs::write(path, bytes).expect("room");
    }

    fn open(&self) -> UnixStream {
        self.open_with(Cut::default())
    }

    fn open_with(&self, cut: Cut) -> UnixStream {
        let descriptor = self.sites.open(&self.web, cut).expect("a connection");
        UnixStream::from_std(net::UnixStream::from(descriptor)).expect("an event loop")
    }

    /// All that is said to `request`, after which nothing more is sent.
    async fn raw(&self, request: &str) -> Vec<u8> {
        let mut stream = self.open();
        stream.write_all(request.as_bytes()).await.expect("room");
        stream.shutdown().await.expect("open");
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.expect("an orderly end");
        all
    }

    async fn ask(&self, line: &str, headers: &[(&str, &str)]) -> Reply {
        let mut request = format!("{line} HTTP/1.1\r\nHost: h\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        Reply::read(&self.raw(&(request + "\r\n")).await)
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(&format!("GET {path}"), &[]).await
    }
}
