//! Many consoles are one process.

use penstock_tests::{procfs, wait};

use crate::rig::{Became, LIMIT, Server, echo, echoes, leave};

const CONSOLES: usize = 200;

#[test]
fn two_hundred_consoles_are_one_process() {
    let target = echo();
    let server = Server::start("{} --token-plugin plugins.Tokens --token-source vm-");
    let token = format!("/?token=vm-{}_{}", target.ip(), target.port());
    let mut consoles = vec![server.open(&token)];
    assert_eq!(echoes(&mut consoles[0]), Became::Served, "{}", server.said());
    // Only now is there nothing left of the start.
    let before = procfs::descriptors(server.process.pid()).len();
    consoles.extend((1..CONSOLES).map(|_| server.open(&token)));
    assert_eq!(server.children().trim(), "", "it has no other process");
    for client in consoles.iter_mut().rev() {
        assert_eq!(echoes(client), Became::Served, "{}", server.said());
    }
    assert!(procfs::descriptors(server.process.pid()).len() >= before + 2 * (CONSOLES - 1));
    assert_eq!(server.children().trim(), "");
    consoles.into_iter().for_each(leave);
    // Pipes stay with the workers.
    let left = || procfs::descriptors(server.process.pid()).len() < before + 40;
    wait::until_true("nothing is left of them", LIMIT, left);
}
