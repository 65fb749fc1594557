//! Rules and lists as operators write them, and as Squid reads them; lists against a plain search.

use super::*;
use penstock_proto::http::Target;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const MONDAY_NOON: (u8, u16) = (1, 12 * 60);

const QUERY: Query<'static> = Query {
    client: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
    local: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128)),
    method: "CONNECT",
    host: None,
    address: Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))),
    port: 5900,
    time: MONDAY_NOON,
};

type Values<'v> = &'v [(Kind, &'v [&'v str])];

fn list(values: Values<'_>) -> List {
    let mut list = ListBuilder::new();
    values.iter().for_each(|(kind, values)| list.add(*kind, values).unwrap());
    list.build().unwrap()
}

fn rules(named: &[(&str, Values<'_>)], lines: &[&str]) -> Rules {
    let mut lists = AccessLists::new();
    named.iter().for_each(|(name, values)| lists.insert(name, list(values)).unwrap());
    Rules::parse(lines, &lists).unwrap()
}

/// A request for `target`, which stands for its own address if it is one.
fn judge(rules: &Rules, target: &str) -> Verdict {
    let target = Target::parse(target, false).unwrap();
    let name = target.host.to_string();
    let address = target.host.address();
    let host = address.is_none().then_some(name.as_str());
    rules.evaluate(&Query { host, address, port: target.port, ..QUERY })
}

fn allow(line: usize) -> Verdict {
    Verdict::Allow { line }
}

fn deny(line: usize) -> Verdict {
    Verdict::Deny { line: Some(line), why: Why::Rule }
}

const NO_RULE: Verdict = Verdict::Deny { line: None, why: Why::NoRule };

const SAFE_PORTS: (&str, Values<'_>) =
    ("safe_ports", &[(Kind::Port, &["80", "443", "1025-65535"])]);
const LAB: (&str, Values<'_>) = ("lab", &[(Kind::Dst, &["127.0.0.0/8", "::1"])]);

#[test]
fn the_first_line_that_matches_decides() {
    let rules = rules(&[SAFE_PORTS, LAB], &["deny !safe_ports", "allow lab", "deny all"]);
    assert_eq!(judge(&rules, "127.0.0.1:22"), deny(0));
    assert_eq!(judge(&rules, "127.0.0.1:5900"), allow(1));
    assert_eq!(judge(&rules, "::1:5900"), allow(1));
    assert_eq!(judge(&rules, "10.0.0.1:5900"), deny(2));
}

#[test]
fn without_a_matching_line_the_answer_is_deny() {
    assert_eq!(Rules::default().evaluate(&QUERY), NO_RULE);
    // Squid would turn the last action around and allow here.
    assert_eq!(judge(&rules(&[LAB], &["deny lab"]), "10.0.0.1:1"), NO_RULE);
}

#[test]
fn values_are_alternatives_and_kinds_are_conditions() {
    let console: (&str, Values<'_>) =
        ("console", &[(Kind::Port, &["5900", "5901"]), (Kind::Dst, &["10.0.0.0/8", "10.9.0.1"])]);
    let rules = rules(&[console], &["allow console"]);
    assert_eq!(judge(&rules, "10.0.0.1:5900"), allow(0));
    assert_eq!(judge(&rules, "10.9.0.1:5901"), allow(0));
    assert_eq!(judge(&rules, "10.0.0.1:5902"), NO_RULE);
    assert_eq!(judge(&rules, "11.0.0.1:5900"), NO_RULE);
}

#[test]
fn names_of_a_line_are_conditions_and_may_be_negated() {
    let office: (&str, Values<'_>) = ("office", &[(Kind::Time, &["D 08:00-18:00"])]);
    let rules = rules(&[office, SAFE_PORTS], &["allow CONNECT office !localhost safe_ports"]);
    let judge = |query: Query<'_>| rules.evaluate(&query);
    assert_eq!(judge(QUERY), allow(0));
    assert_eq!(judge(Query { method: "GET", ..QUERY }), NO_RULE);
    assert_eq!(judge(Query { port: 22, ..QUERY }), NO_RULE);
    assert_eq!(judge(Query { client: "127.0.0.1".parse().ok(), ..QUERY }), NO_RULE);
    assert_eq!(judge(Query { client: "::ffff:127.0.0.1".parse().ok(), ..QUERY }), NO_RULE);
    assert_eq!(judge(Query { time: (0, 12 * 60), ..QUERY }), NO_RULE);
}

#[test]
fn the_listening_port_can_be_asked_for() {
    let rules = rules(&[("here", &[(Kind::LocalPort, &["3128"])])], &["allow here"]);
    assert_eq!(rules.evaluate(&QUERY), allow(0));
    let elsewhere = "127.0.0.1:3129".parse().ok();
    assert_eq!(rules.evaluate(&Query { local: elsewhere, ..QUERY }), NO_RULE);
}

/// The peer of a broken connection has no address any more.
#[test]
fn what_cannot_be_told_denies_and_never_allows() {
    let judge = |lines: &[&str]| {
        let here: (&str, Values<'_>) = ("here", &[(Kind::LocalPort, &["3128"])]);
        let everybody: (&str, Values<'_>) = ("ipv4_only", &[(Kind::Src, &["ipv4"])]);
        let rules = rules(&[here, everybody], lines);
        rules.evaluate(&Query { client: None, local: None, ..QUERY })
    };
    assert_eq!(judge(&["allow localhost"]), NO_RULE);
    assert_eq!(judge(&["allow !localhost"]), NO_RULE);
    assert_eq!(judge(&["allow here"]), NO_RULE);
    assert_eq!(judge(&["allow ipv4_only", "allow all"]), allow(1));
    assert_eq!(judge(&["deny localhost", "allow all"]), deny(0));
    assert_eq!(judge(&["deny !here", "allow all"]), deny(0));
}

#[test]
fn the_time_is_needed_by_rules_that_name_it() {
    let office: (&str, Values<'_>) = ("office", &[(Kind::Src, &["all"]), (Kind::Time, &["D"])]);
    assert!(rules(&[office], &["deny all", "allow !office"]).need_time());
    assert!(!rules(&[office], &["deny all"]).need_time());
}

#[test]
fn the_local_address_is_needed_by_rules_that_name_it() {
    let front: (&str, Values<'_>) = ("front", &[(Kind::LocalPort, &["443"])]);
    assert!(rules(&[front], &["deny !front", "allow all"]).need_local());
    assert!(!rules(&[front], &["allow all"]).need_local());
}

#[test]
fn domains_match_names_and_never_addresses() {
    let rules = rules(
        &[("ours", &[(Kind::DstDomain, &[".example.com"])]), LAB],
        &["deny !ours", "allow all"],
    );
    assert_eq!(judge(&rules, "VM.Example.COM.:5900"), Verdict::NeedAddress);
    assert_eq!(judge(&rules, "evil-example.com:5900"), deny(0));
    assert_eq!(judge(&rules, "10.0.0.1:5900"), deny(0));
}

#[test]
fn an_address_is_asked_for_only_when_it_matters() {
    let ours: (&str, Values<'_>) = ("ours", &[(Kind::DstDomain, &[".ours"])]);
    let lines = |lines: &[&str]| judge(&rules(&[ours, LAB, SAFE_PORTS], lines), "vm.ours:5900");
    assert_eq!(lines(&["allow lab"]), Verdict::NeedAddress);
    assert_eq!(lines(&["allow !lab"]), Verdict::NeedAddress);
    assert_eq!(lines(&["deny lab", "allow ours"]), Verdict::NeedAddress);
    // An allow waits for the address even if no list does: the target could be this host.
    assert_eq!(lines(&["allow ours"]), Verdict::NeedAddress);
    // Whatever the address, these are denied.
    assert_eq!(lines(&["deny ours", "allow lab"]), deny(0));
    assert_eq!(lines(&["allow lab !ours", "deny all"]), deny(1));
    assert_eq!(lines(&["deny lab", "deny all"]), deny(1));
    assert_eq!(lines(&["deny lab"]), NO_RULE);
}

/// Every spelling of an address that means this host or this link.
const LOCAL: [&str; 14] = [
    "127.0.0.1:1",
    "127.255.255.255:1",
    "127.0.0.1.:1",
    "0.0.0.0:1",
    "0.1.2.3:1",
    "169.254.169.254:1",
    "[::1]:1",
    "[::]:1",
    "[0:0:0:0:0:0:0:1]:1",
    "[::ffff:127.0.0.1]:1",
    "[::ffff:7f00:1]:1",
    "[::ffff:0.0.0.0]:1",
    "[::ffff:169.254.169.254]:1",
    "[fe80::1]:1",
];

#[test]
fn local_targets_are_refused_unless_the_line_names_them() {
    let named: (&str, Values<'_>) = (
        "named",
        &[(Kind::Dst, &["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/16", "fe80::/10"])],
    );
    let general: (&str, Values<'_>) =
        ("general", &[(Kind::Dst, &["all", "ipv4", "ipv6", "0.0.0.0/0", "::/0"])]);
    let other: (&str, Values<'_>) = ("other", &[(Kind::Dst, &["10.0.0.0/8"])]);
    let refused = Verdict::Deny { line: Some(0), why: Why::LocalTarget };
    for target in LOCAL {
        let judge = |line| judge(&rules(&[named, general, other], &[line]), target);
        assert_eq!(judge("allow all"), refused, "{target}");
        assert_eq!(judge("allow general"), refused, "{target}");
        assert_eq!(judge("allow !other"), refused, "{target}");
        assert_eq!(judge("allow named"), allow(0), "{target}");
        assert_eq!(judge("allow all general named"), allow(0), "{target}");
    }
    for target in ["128.0.0.1:1", "1.0.0.0:1", "169.255.0.0:1", "[::2]:1", "[fec0::1]:1"] {
        assert_eq!(judge(&rules(&[], &["allow all"]), target), allow(0), "{target}");
    }
}

/// A negated list speaks of what it is not, even if its `dst` holds the address.
#[test]
fn a_negated_list_names_no_target() {
    let shell: (&str, Values<'_>) =
        ("shell", &[(Kind::Dst, &["127.0.0.0/8"]), (Kind::Port, &["22"])]);
    let refused = Verdict::Deny { line: Some(0), why: Why::LocalTarget };
    assert_eq!(judge(&rules(&[shell], &["allow !shell"]), "127.0.0.1:5900"), refused);
    assert_eq!(judge(&rules(&[shell], &["allow shell"]), "127.0.0.1:22"), allow(0));
}

/// The rules are asked for what the name became, so it may become what it likes.
#[test]
fn a_name_that_resolves_to_this_host_is_refused() {
    let rules = rules(&[("ours", &[(Kind::DstDomain, &[".ours"])])], &["allow ours"]);
    let resolved = |address: &str| {
        let address = Some(address.parse().unwrap());
        rules.evaluate(&Query { host: Some("vm.ours"), address, ..QUERY })
    };
    assert_eq!(resolved("10.0.0.1"), allow(0));
    for rebound in ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "::"] {
        let refused = Verdict::Deny { line: Some(0), why: Why::LocalTarget };
        assert_eq!(resolved(rebound), refused, "{rebound}");
    }
}

#[test]
fn short_and_numeric_spellings_of_addresses_are_names() {
    for target in ["127.1:1", "0x7f.1:1", "2130706433:1", "localhost:1"] {
        assert_eq!(judge(&rules(&[], &["allow all"]), target), Verdict::NeedAddress, "{target}");
    }
}

#[test]
fn predefined_lists_hold_what_they_say() {
    let lines = ["deny to_linklocal", "allow to_localhost localhost", "deny all"];
    let rules = rules(&[], &lines);
    let from = |client: &str, address: &str| {
        let address = Some(address.parse().unwrap());
        rules.evaluate(&Query { client: client.parse().ok(), address, ..QUERY })
    };
    for address in ["127.8.8.8", "0.0.0.0", "::1", "::"] {
        assert_eq!(from("127.0.0.1", address), allow(1), "{address}");
        assert_eq!(from("127.0.0.2", address), deny(2), "{address}");
    }
    for address in ["169.254.0.1", "fe80::1", "febf::"] {
        assert_eq!(from("::1", address), deny(0), "{address}");
    }
}

#[test]
fn each_mistake_names_its_line() {
    let lists = AccessLists::new();
    for (line, problem, text) in [
        ("", RuleProblem::Action("".into()), "expected `allow` or `deny`, came ``"),
        (
            "Allow all",
            RuleProblem::Action("Allow".into()),
            "expected `allow` or `deny`, came `Allow`",
        ),
        ("deny", RuleProblem::NoNames, "expected the name of a list, such as `all`"),
        ("deny lab", RuleProblem::Unknown("lab".into()), "there is no list named `lab`"),
        ("deny !!all", RuleProblem::Unknown("!all".into()), "there is no list named `!all`"),
        ("deny ! all", RuleProblem::Unknown("".into()), "there is no list named ``"),
    ] {
        let error = Rules::parse(&["allow all", line], &lists).unwrap_err();
        assert_eq!(error.to_string(), text);
        assert_eq!(error, RuleError { line: 1, problem });
    }
}

#[test]
fn names_are_given_once() {
    let mut lists = AccessLists::new();
    let any = || list(&[(Kind::Src, &["all"])]);
    assert_eq!(lists.insert("lab", any()), Ok(()));
    for taken in ["lab", "all", "CONNECT", "to_localhost"] {
        assert_eq!(lists.insert(taken, any()), Err(NameError::Taken(taken.into())));
    }
    for unusable in ["", "!lab", "a b"] {
        assert_eq!(lists.insert(unusable, any()), Err(NameError::Unusable(unusable.into())));
    }
}

#[test]
fn a_list_needs_values() {
    assert_eq!(ListBuilder::new().build().unwrap_err().problem, Problem::Empty);
    let mut list = ListBuilder::new();
    for name in ["src", "dst", "dstdomain", "port", "localport", "method", "time"] {
        let kind = Kind::from_name(name).unwrap();
        assert_eq!(list.add::<&str>(kind, &[]).unwrap_err().problem, Problem::Empty, "{name}");
        assert_eq!(list.add(kind, &["?"]).unwrap_err().index, 0, "{name}");
    }
    assert_eq!(Kind::from_name("srcdomain"), None);
}

#[test]
fn rules_explain_themselves() {
    let many: Vec<String> = (1..=10).map(|n| format!("10.0.0.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let named: &[(&str, Values<'_>)] =
        &[SAFE_PORTS, ("vms", &[(Kind::Dst, &many), (Kind::Method, &["CONNECT"])])];
    assert_eq!(
        rules(named, &["deny !safe_ports", "allow vms localhost"]).explain(),
        [
            "1. deny if not safe_ports (port 80, 443, 1025-65535)",
            "2. allow if vms (dst 10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5, 10.0.0.6, \
             10.0.0.7, 10.0.0.8 and 2 more; method CONNECT), and localhost (src 127.0.0.1/32, ::1)",
            "otherwise deny",
        ]
    );
}

/// A list as a specification would have it: everything compared with everything.
#[derive(Clone, Debug)]
struct Naive {
    src: Vec<(u32, u32)>,
    dst: Vec<(u32, u32)>,
    ports: Vec<(u16, u16)>,
    domains: Vec<String>,
}

impl Naive {
    fn build(&self) -> List {
        let mut list = ListBuilder::new();
        let mut add = |kind, values: Vec<String>| {
            if !values.is_empty() {
                list.add(kind, &values).unwrap();
            }
        };
        let prefix =
            |(address, length): &(u32, u32)| format!("{}/{length}", Ipv4Addr::from(*address));
        add(Kind::Src, self.src.iter().map(prefix).collect());
        add(Kind::Dst, self.dst.iter().map(prefix).collect());
        add(Kind::Port, self.ports.iter().map(|(a, b)| format!("{a}-{b}")).collect());
        add(Kind::DstDomain, self.domains.clone());
        list.build().unwrap()
    }

    fn matches(&self, query: &Query<'_>, address: u32, client: u32) -> bool {
        let inside = |key: u32, prefixes: &[(u32, u32)]| {
            let is_in = |(first, length): &(u32, u32)| (key ^ first).leading_zeros() >= *length;
            prefixes.is_empty() || prefixes.iter().any(is_in)
        };
        let domain = |domain: &String| {
            let host = query.host.unwrap_or_default();
            host == domain
                || (domain.starts_with('.') && (host.ends_with(domain) || host == &domain[1..]))
        };
        inside(client, &self.src)
            && inside(address, &self.dst)
            && (self.ports.is_empty()
                || self.ports.iter().any(|(a, b)| (*a..=*b).contains(&query.port)))
            && (self.domains.is_empty() || self.domains.iter().any(domain))
    }
}

/// Addresses that are near each other often, and never local.
fn address() -> impl Strategy<Value = u32> {
    (prop::sample::select(vec![10u32, 11, 192]), 0..4u32, 0..4u32, any::<u8>())
        .prop_map(|(a, b, c, d)| a << 24 | b << 16 | c << 8 | u32::from(d))
}

fn prefix() -> impl Strategy<Value = (u32, u32)> {
    (address(), 8..=32u32)
        .prop_map(|(address, length)| (address & (u32::MAX << (32 - length)), length))
}

fn domain() -> impl Strategy<Value = String> {
    "(a|b)(\\.(a|b)){0,3}"
}

fn naive() -> impl Strategy<Value = Naive> {
    let range = (1..200u16, 0..50u16).prop_map(|(first, more)| (first, first + more));
    let domains = ("\\.?", domain()).prop_map(|(dot, name)| dot + &name);
    (
        prop::collection::vec(prefix(), 0..6),
        prop::collection::vec(prefix(), 0..6),
        prop::collection::vec(range, 1..4),
        prop::collection::vec(domains, 0..4),
    )
        .prop_map(|(src, dst, ports, domains)| Naive { src, dst, ports, domains })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// 500 sets of rules, 20 requests each.
    #[test]
    fn verdicts_are_those_of_a_linear_evaluator(
        lists in prop::collection::vec(naive(), 3),
        lines in prop::collection::vec(
            (any::<bool>(), prop::collection::vec((any::<bool>(), 0..3usize), 1..4)),
            1..6,
        ),
        requests in prop::collection::vec(
            (address(), address(), 1..250u16, prop::option::of(domain())),
            20,
        ),
    ) {
        let mut named = AccessLists::new();
        for (number, list) in lists.iter().enumerate() {
            named.insert(&format!("l{number}"), list.build()).unwrap();
        }
        let text = |(allow, names): &(bool, Vec<(bool, usize)>)| {
            let name = |(not, list): &(bool, usize)| format!("{}l{list}", if *not { "!" } else { "" });
            let names: Vec<String> = names.iter().map(name).collect();
            format!("{} {}", if *allow { "allow" } else { "deny" }, names.join(" "))
        };
        let rules = Rules::parse(&lines.iter().map(text).collect::<Vec<_>>(), &named).unwrap();
        for (client, address, port, host) in requests {
            let query = Query {
                client: Some(IpAddr::V4(client.into())),
                address: Some(IpAddr::V4(address.into())),
                host: host.as_deref(),
                port,
                ..QUERY
            };
            let expected = lines.iter().position(|(_, names)| {
                names.iter().all(|(not, list)| lists[*list].matches(&query, address, client) != *not)
            });
            let expected = match expected {
                None => NO_RULE,
                Some(line) if lines[line].0 => allow(line),
                Some(line) => deny(line),
            };
            prop_assert_eq!(rules.evaluate(&query), expected);
            // What is denied without knowing the address is denied with it.
            if let Verdict::Deny { .. } = rules.evaluate(&Query { address: None, ..query }) {
                let is_denied = matches!(expected, Verdict::Deny { .. });
                prop_assert!(is_denied);
            }
        }
    }
}
