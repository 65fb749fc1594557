//! gvnccapture, the client of gtk-vnc that needs no window: it connects, draws the screen once, and ends.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use tempfile::TempDir;

use crate::picture::Picture;
use crate::pki::{Authority, Issued};
use crate::private::{self, Processes};
use crate::process;

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client, and what it knows.
#[derive(Debug)]
pub struct Gvnc {
    home: TempDir,
    answers: Vec<(&'static str, String)>,
}

impl Gvnc {
    /// One that knows nobody.
    pub fn new() -> Gvnc {
        Gvnc { home: process::directory(), answers: Vec::new() }
    }

    /// Trusts this authority.
    ///
    /// # Panics
    /// When its folder is full.
    #[must_use]
    pub fn trusting(self, authority: &Authority) -> Gvnc {
        let folder = self.home.path().join(".pki/CA");
        fs::create_dir_all(&folder).expect("our directory");
        fs::write(folder.join("cacert.pem"), authority.pem()).expect("our directory");
        self
    }

    /// Shows this certificate to who asks for one.
    ///
    /// # Panics
    /// When its folder is full.
    #[must_use]
    pub fn showing(self, identity: &Issued) -> Gvnc {
        let folder = self.home.path().join(".pki/gvnccapture");
        fs::create_dir_all(folder.join("private")).expect("our directory");
        identity.write(&folder.join("clientcert.pem"), &folder.join("private/clientkey.pem"));
        self
    }

    /// Answers when it is asked for a password.
    #[must_use]
    pub fn password(mut self, password: &str) -> Gvnc {
        self.answers.push(("Password:", password.to_owned()));
        self
    }

    /// Answers when it is asked for a user's name.
    #[must_use]
    pub fn user(mut self, user: &str) -> Gvnc {
        self.answers.push(("Username:", user.to_owned()));
        self
    }

    /// What it sees of a server; its port counts from 5900.
    ///
    /// # Errors
    /// What it said, if it saw nothing.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn look(&self, server: SocketAddr) -> Result<Picture, String> {
        let picture = self.home.path().join("screen.png");
        let said = self.run(server, &picture);
        let file = fs::read(&picture).map_err(|_| said)?;
        fs::remove_file(&picture).expect("our directory");
        Ok(Picture::from_png(&file).expect("a picture"))
    }

    fn run(&self, server: SocketAddr, picture: &Path) -> String {
        // It looks for certificates where the list of users says that we are at home.
        let user = nix::unistd::User::from_uid(nix::unistd::getuid());
        let home = user.expect("a list of users").expect("a user").dir;
        let home = home.to_str().expect("ASCII");
        let folder = self.home.path().to_owned();
        let mut command = private::command(&[(folder, home)], Processes::Shared);
        let display = format!("{}:{}", server.ip(), server.port() - 5900);
        command.args(["timeout", &PATIENCE.as_secs().to_string()]);
        // Passwords are asked for at a terminal only.
        command.args(["setsid", "--ctty", "--wait", "gvnccapture", &display]).arg(picture);
        let terminal = openpty(None, None).expect("a pseudo terminal");
        let end = || Stdio::from(terminal.slave.try_clone().expect("a descriptor"));
        command.stdin(end()).stdout(end()).stderr(end()).env("LC_ALL", "C");
        let mut child = command.spawn().expect("gvnccapture");
        // The last end of the child's closes the terminal.
        drop((command, terminal.slave));
        let said = self.talk(File::from(terminal.master));
        child.wait().expect("our own child");
        said
    }

    /// Answers what it asks, until its end.
    fn talk(&self, mut terminal: File) -> String {
        let (mut said, mut asked) = (String::new(), 0);
        let (mut piece, until) = ([0; 4096], Instant::now() + PATIENCE);
        while Instant::now() < until {
            // EIO is how a terminal says that nobody is at its other end.
            let Ok(count @ 1..) = terminal.read(&mut piece) else { break };
            said += &String::from_utf8_lossy(&piece[..count]);
            let question = self.answers.iter().find(|(word, _)| said[asked..].contains(word));
            if let Some((_, answer)) = question {
                asked = said.len();
                // What is typed before it has silenced the terminal would be thrown away.
                thread::sleep(Duration::from_millis(300));
                terminal.write_all(format!("{answer}\n").as_bytes()).expect("a terminal");
            }
        }
        said
    }
}

impl Default for Gvnc {
    fn default() -> Gvnc {
        Gvnc::new()
    }
}
