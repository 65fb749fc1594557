//! The same bytes to websockify and to Penstock: what comes back, and what the target hears, must be the same, except where a row of
//! docs/COMPATIBILITY.md says what each of them does, and why.

mod cases;
mod seen;

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use penstock_tests::peers::Websockify;
use penstock_tests::{Driver, both_drivers, loopback, process};

use crate::rig::Plan;
use cases::{Server, cases};
use seen::see;

both_drivers! {
    ours_does_as_websockify_does_except_where_its_told,
}

/// The heading of the rows.
const HEADING: &str = "## Consoles: different from websockify on purpose";

/// What each does, by the name of the case. Where websockify does now this and now that, both are told, with "or" between them.
fn rows() -> BTreeMap<String, [String; 2]> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/COMPATIBILITY.md");
    let text = fs::read_to_string(path).expect("the page");
    let section = text.split_once(HEADING).expect("the section").1;
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let bare = |cell: &str| cell.trim().replace('`', "");
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "case, websockify, Penstock, why: {line}");
        assert!(!cells[3].trim().is_empty(), "no reason: {line}");
        (bare(cells[0]), [bare(cells[1]), bare(cells[2])])
    })
    .collect()
}

/// A target, and what leads to it.
struct Stage {
    target: TcpListener,
    server: SocketAddr,
    _keeps: Box<dyn std::any::Any>,
}

const CREDENTIALS: &str = "Aladdin:open sesame";
const ORIGIN: &str = "https://portal.example";

fn listen() -> TcpListener {
    TcpListener::bind((loopback::address(), 0)).expect("a free port")
}

fn theirs(server: Server, tokens: &Path) -> Stage {
    let target = listen();
    let to = target.local_addr().expect("bound");
    let path = tokens.display().to_string();
    fs::write(tokens, format!("X: {to}\n")).expect("our directory");
    let (options, to) = match server {
        Server::Fixed => (vec![], Some(to)),
        Server::Shut => (vec![], Some(SocketAddr::from((loopback::address(), 1)))),
        Server::Tokens => (vec!["--token-plugin", "TokenFile", "--token-source", &path], None),
        Server::Basic => {
            (vec!["--auth-plugin", "BasicHTTPAuth", "--auth-source", CREDENTIALS], Some(to))
        }
        Server::Origin => {
            (vec!["--auth-plugin", "ExpectOrigin", "--auth-source", ORIGIN], Some(to))
        }
    };
    let peer = Websockify::start(&options, to);
    Stage { target, server: peer.address(), _keeps: Box::new(peer) }
}

fn ours(driver: Driver, server: Server, tokens: &Path) -> Stage {
    let target = listen();
    let to = target.local_addr().expect("bound");
    fs::write(tokens, format!("X: {to}\n")).expect("our directory");
    let auth =
        |plugin, source| format!("auth = {{ plugin = \"{plugin}\", source = \"{source}\" }}");
    let plan = Plan::new(driver).to(&format!("target = \"tcp://{to}\""));
    let plan = match server {
        Server::Fixed => plan,
        Server::Shut => plan.to(&format!("target = \"tcp://{}:1\"", loopback::address())),
        Server::Tokens => {
            let source = tokens.display();
            plan.to(&format!("tokens = {{ plugin = \"TokenFile\", source = \"{source}\" }}"))
        }
        Server::Basic => plan.line(&auth("BasicHTTPAuth", CREDENTIALS)),
        Server::Origin => plan.line(&auth("ExpectOrigin", ORIGIN)),
    };
    let house = plan.start();
    Stage { target, server: house.address, _keeps: Box::new(house) }
}

fn ours_does_as_websockify_does_except_where_its_told(driver: Driver) {
    let (dir, mut rows, mut wrong) = (process::directory(), rows(), Vec::new());
    let tokens = |name: &str, server| dir.path().join(format!("{name}-{server:?}"));
    for server in [Server::Fixed, Server::Shut, Server::Tokens, Server::Basic, Server::Origin] {
        let peer = theirs(server, &tokens("theirs", server));
        let penstock = ours(driver, server, &tokens("ours", server));
        for case in cases().into_iter().filter(|case| case.server == server) {
            let seen = [&peer, &penstock].map(|stage| see(stage.server, &stage.target, &case));
            let told = rows.remove(&case.name.replace('`', ""));
            let is_right = match &told {
                None => seen[0] == seen[1],
                Some([theirs, ours]) => {
                    let sometimes = theirs.split(" or ").any(|theirs| theirs == seen[0]);
                    sometimes && *ours == seen[1] && theirs != ours
                }
            };
            if !is_right {
                let [theirs, ours] = seen;
                wrong.push(format!("| {} | `{theirs}` | `{ours}` | told: {told:?} |", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "in docs/COMPATIBILITY.md:\n{}", wrong.join("\n"));
    assert!(rows.is_empty(), "rows that are no case: {rows:?}");
}
