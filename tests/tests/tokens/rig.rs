//! Control's own thread, asked as a worker asks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use penstock_control::access_log::{self, Format};
use penstock_control::messages::Dropped;
use penstock_control::{Control, DriverFacts, Parts};
use penstock_core::config::{Config, Engine, TokenSource, Tokens};
use penstock_core::console::Token;
use penstock_core::control::{
    Command, Mailbox, Outside, Place, Question, SessionId, TokenFault, TokenRefusal,
};
use penstock_core::ring::Wake;
use penstock_tests::metrics::Metrics;
use penstock_tests::{Stopwatch, http, names, wait};

/// How long tokens may take here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// How long an answer may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) type Judged = Result<Place, TokenRefusal>;

/// Wakes nobody: the test looks by itself.
struct Nobody;

impl Wake for Nobody {
    fn wake(&self) {}
}

/// A worker's way to those who know tokens. Their thread ends with the test.
pub(crate) struct Desk {
    outside: Box<dyn Outside>,
    mailbox: Mailbox,
    admin: SocketAddr,
    asked: u32,
}

impl Desk {
    pub(crate) fn start() -> Desk {
        let access_log = access_log::start(None, Format::Squid).expect("a thread");
        let config = Arc::new(Config { engine: Engine::default(), listeners: Vec::new() });
        let control = Control::new(&config, access_log, None, None).expect("an event loop");
        let mailbox = Mailbox::new(8192, Arc::new(Nobody));
        let outside = control.outside(mailbox.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        listener.set_nonblocking(true).expect("our own");
        let admin = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let parts = Parts {
                config,
                workers: Vec::new(),
                driver: DriverFacts::default(),
                max_tunnels: 1,
                messages_dropped: Dropped::none(),
            };
            control.run(parts, Some(listener), |_| std::future::pending::<()>())
        });
        Desk { outside, mailbox, admin, asked: 0 }
    }

    /// Asks, and says which answer is that question's.
    pub(crate) fn ask(&mut self, tokens: &Arc<Tokens>, token: &str, client: IpAddr) -> u32 {
        self.asked += 1;
        let id = SessionId { worker: 0, slot: self.asked, generation: 1 };
        let (tokens, token) = (tokens.clone(), Token::from(token.to_owned()));
        let question = Question::Token { id, tokens, token, client: Some(client), page: None };
        assert!(self.outside.ask(question).is_ok(), "there is room for questions");
        self.asked
    }

    /// The next answer, and whose it is.
    pub(crate) fn next(&mut self) -> (u32, Judged) {
        let watch = Stopwatch::start();
        loop {
            match self.mailbox.take() {
                Some(Command::Judged { id, result }) => {
                    return (id.slot, result.map(|found| found.place));
                }
                Some(other) => panic!("{other:?}"),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
            assert!(watch.elapsed() < LIMIT, "no answer");
        }
    }

    /// Asks and waits.
    pub(crate) fn look_up(&mut self, tokens: &Arc<Tokens>, token: &str) -> Judged {
        let asked = self.ask(tokens, token, client(1));
        let (answered, judged) = self.next();
        assert_eq!(answered, asked);
        if let Err(refused) = &judged
            && token.len() > 3
        {
            assert!(!refused.detail.contains(token), "a token in {}", refused.detail);
        }
        judged
    }

    /// A page of the admin's.
    pub(crate) fn page(&self, path: &str) -> String {
        wait::until("the admin page", LIMIT, || http::get(self.admin, path).ok()).1
    }

    /// Look-ups that ended so.
    pub(crate) fn count(&self, outcome: &str) -> u64 {
        let labels = [("outcome", outcome)];
        Metrics::scrape(self.admin).sum(names::TOKEN_LOOKUPS, &labels) as u64
    }
}

/// A gauge's value on a page.
pub(crate) fn gauge(page: &str, name: &str) -> f64 {
    Metrics::parse(page).sum(name, &[])
}

/// A client's address.
pub(crate) fn client(n: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, n])
}

/// Tokens that anybody may use.
pub(crate) fn tokens(source: TokenSource) -> Arc<Tokens> {
    let (single_use, bind_client) = (false, false);
    Arc::new(Tokens { source, timeout: PATIENCE, single_use, bind_client, expiry: None })
}

/// Where a token leads as text, or why nowhere.
pub(crate) fn place(judged: &Judged) -> Result<String, TokenFault> {
    match judged {
        Ok(Place::Network(target)) => Ok(target.to_string()),
        Ok(Place::Unix(path)) => Ok(format!("unix:{}", path.display())),
        Ok(other) => Ok(format!("{other:?}")),
        Err(refused) => Err(refused.why),
    }
}
