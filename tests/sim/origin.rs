//! What a client wants to reach: takes connections, strips a PROXY header if one is promised, speaks TLS if it is to, and talks.

use std::net::SocketAddr;
use std::sync::Arc;

use penstock_proto::Progress;
use penstock_proto::proxy_protocol::{self, Receiver};

use crate::sim::kit::Recipe;
use crate::sim::line::Line;
use crate::sim::link::{Holder, Read};
use crate::sim::login::{Login, Part};
use crate::sim::looks::Looks;
use crate::sim::plan::Plan;
use crate::sim::talker::Talker;
use crate::sim::vnc_server::Server;
use crate::sim::web::{Serving, WebServer};
use crate::sim::world::{End, World};

/// See the module.
#[derive(Debug)]
pub struct Origin {
    /// Its number as a host.
    pub host: usize,
    /// What it does with each connection.
    pub plan: Plan,
    /// Of the pattern it writes, and of the one it expects.
    pub keys: [u64; 2],
    /// A PROXY header comes first, and tells of this client.
    pub header_of: Option<SocketAddr>,
    /// TLS follows, and how it is spoken.
    pub secure: Option<Recipe>,
    /// It is a VNC server, and TLS is spoken within its login, if at all.
    pub vnc: Option<Part<Server>>,
    /// What is said by a client that may only look.
    pub looks: Option<Arc<Looks>>,
    /// Connections that talk; of those that raced, only one may ever have got a byte.
    pub talkers: Vec<Talker>,
    /// Connections for pages, and how they are served.
    pub web: Vec<WebServer>,
    pub serving: Serving,
    /// Connections whose header is not complete yet.
    pub greeting: Vec<(End, Vec<u8>)>,
}

impl Origin {
    /// Takes what has come.
    pub fn step(&mut self, world: &mut World) {
        while let Some(end) = world.visitor(self.host) {
            world.hold(end, Holder::Host(self.host));
            match world.links[end.link as usize].web.take() {
                Some(cut) => self.web.push(WebServer::new(end, self.host, cut, self.serving)),
                None => self.greeting.push((end, Vec::new())),
            }
        }
        for (end, bytes) in std::mem::take(&mut self.greeting) {
            self.greet(end, bytes, world);
        }
        self.talkers.iter_mut().for_each(|talker| talker.step(world));
        self.web.iter_mut().for_each(|server| server.step(world));
    }

    /// The connection that the tunnel stands on: the one that was spoken to, or else that lasted.
    pub fn winner(&self) -> Option<&Talker> {
        let rank =
            |talker: &&Talker| (talker.got, talker.line.is_heard(), talker.sent, talker.ended);
        self.talkers.iter().max_by_key(rank)
    }

    fn greet(&mut self, end: End, mut bytes: Vec<u8>, world: &mut World) {
        let rest = match self.header_of {
            None => Vec::new(),
            Some(client) => match read_header(end, &mut bytes, client, world) {
                Progress::Wait if world.look(end) == Read::Blocked => {
                    return self.greeting.push((end, bytes));
                }
                // It ended before the header was whole: an attempt that lost.
                Progress::Wait => return world.close_end(end, penstock_ring::Close::Normal),
                Progress::Done(rest) => rest,
            },
        };
        let mut line = Line::new(end, self.host);
        let secure = self.secure.as_ref().map(|recipe| recipe.make(&mut world.random));
        let is_secure = secure.is_some();
        if let Some(secure) = secure {
            line.secure(secure, &rest, world);
        }
        let mut talker = Talker::new(line, self.plan.clone(), self.keys, self.host, world);
        talker.login = self.vnc.clone().map(|part| Box::new(Login::host(part)));
        talker.looks = self.looks.clone().map(|looks| (looks, false));
        if !is_secure {
            talker.take(&rest);
        }
        self.talkers.push(talker);
    }
}

fn read_header(
    end: End,
    bytes: &mut Vec<u8>,
    client: SocketAddr,
    world: &mut World,
) -> Progress<Vec<u8>> {
    while let Read::Bytes(_) = world.read(end, 1 << 20, bytes) {}
    let mut rest = &bytes[..];
    match Receiver::new().receive(&mut rest, &mut Vec::new()).expect("the header is well-formed") {
        Progress::Wait => Progress::Wait,
        Progress::Done(header) => {
            let proxy_protocol::Origin::Stream(endpoints) = header.origin else {
                panic!("{header:?}")
            };
            assert_eq!(endpoints.source, client, "the PROXY header names somebody else");
            Progress::Done(rest.to_vec())
        }
    }
}
