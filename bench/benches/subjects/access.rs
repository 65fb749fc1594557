//! One access line with a list of ten or ten thousand values: hits at its beginning and at its end, and misses.
//!
//! The seed of a hash set differs in every process and makes single look-ups dearer or cheaper. So each call judges a
//! hundred requests: for neighbours in a long list, for the same value of a hundred short ones.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use penstock_core::policy::{AccessLists, Kind, ListBuilder, Query, Rules, Verdict};

use self::Place::{First, Last, Miss};
use super::{Subject, Work};

pub(super) const SUBJECTS: &[Subject] = &[
    subject("access/10 addresses, first", || addresses(10, First)),
    subject("access/10 addresses, last", || addresses(10, Last)),
    subject("access/10 addresses, miss", || addresses(10, Miss)),
    subject("access/10000 addresses, first", || addresses(10_000, First)),
    subject("access/10000 addresses, last", || addresses(10_000, Last)),
    subject("access/10000 addresses, miss", || addresses(10_000, Miss)),
    subject("access/10 domains, first", || domains(10, First)),
    subject("access/10 domains, last", || domains(10, Last)),
    subject("access/10 domains, miss", || domains(10, Miss)),
    subject("access/10000 domains, first", || domains(10_000, First)),
    subject("access/10000 domains, last", || domains(10_000, Last)),
    subject("access/10000 domains, miss", || domains(10_000, Miss)),
];

const REQUESTS: u32 = 100;

const fn subject(name: &'static str, prepare: fn() -> Work) -> Subject {
    Subject { name, elements: REQUESTS as u64, prepare }
}

/// Where in a list the wanted value stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    First,
    Last,
    Miss,
}

/// What one request asks for, and of which rules.
struct Request {
    rules: usize,
    host: Option<String>,
    address: IpAddr,
}

/// Prefixes of 256 addresses that don't touch.
fn addresses(count: u32, place: Place) -> Work {
    let network = |n: u32| Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + n * 512);
    let values = (0..count).map(|n| format!("{}/24", network(n))).collect();
    judging(Kind::Dst, values, place, |n| (None, network(n).into()))
}

/// Domains with all below them. No request shares a label with another: their luck would be the same.
fn domains(count: u32, place: Place) -> Work {
    let domain = |n: u32| format!("cluster-{n}.site-{n}.zone-{n}");
    let values = (0..count).map(|n| format!(".{}", domain(n))).collect();
    let address = Ipv4Addr::new(10, 0, 0, 1).into();
    judging(Kind::DstDomain, values, place, |n| (Some(format!("node-{n}.{}", domain(n))), address))
}

/// `target` gives what the value of this number, or a number behind the last, is hit by.
fn judging(
    kind: Kind,
    values: Vec<String>,
    place: Place,
    target: impl Fn(u32) -> (Option<String>, IpAddr),
) -> Work {
    let count = values.len() as u32;
    let sets = (1000 / count).max(1);
    let rules: Vec<Rules> = (0..sets).map(|_| rules(kind, &values)).collect();
    let request = |n| {
        let (host, address) = target(match place {
            First => n / sets,
            Last => count - 1 - n / sets,
            Miss => count + n,
        });
        Request { rules: (n % sets) as usize, host, address }
    };
    let requests: Vec<Request> = (0..REQUESTS).map(request).collect();
    Box::new(move || {
        for request in &requests {
            let verdict = rules[request.rules].evaluate(black_box(&query(request)));
            assert_eq!(matches!(verdict, Verdict::Allow { .. }), place != Miss);
        }
    })
}

fn rules(kind: Kind, values: &[String]) -> Rules {
    let mut list = ListBuilder::new();
    list.add(kind, values).expect("the values are right");
    let mut lists = AccessLists::new();
    lists.insert("listed", list.build().expect("it has values")).expect("the name is free");
    Rules::parse(&["allow listed"], &lists).expect("the line is right")
}

fn query(request: &Request) -> Query<'_> {
    Query {
        client: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
        local: None,
        method: "CONNECT",
        host: request.host.as_deref(),
        address: Some(request.address),
        port: 5900,
        time: (0, 0),
    }
}
