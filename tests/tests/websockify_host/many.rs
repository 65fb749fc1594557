//! Many consoles are one process.

use penstock_tests::{procfs, wait};

use crate::rig::{Became, LIMIT, Server, echo, echoes, leave};

const CONSOLES: usize = 200;

#[test]
fn two_hundred_consoles_are_one_process() {
    let target = echo();
    let server = Server::start("{} --token-plugin plugins.Tokens --token-source vm-");
    let token = format!("/?token=vm-{}_{}", target.ip(), target.port());
    let before = procfs::descriptors(server.process.pid()).len();
    let mut consoles: Vec<_> = (0..CONSOLES).map(|_| server.open(&token)).collect();
    assert_eq!(server.children().trim(), "", "it has no other process");
    for client in consoles.iter_mut().rev() {
        assert_eq!(echoes(client), Became::Served, "{}", server.said());
    }
    // Both connections of each; what there was before may have been of the start alone.
    assert!(procfs::descriptors(server.process.pid()).len() >= 2 * CONSOLES);
    assert_eq!(server.children().trim(), "");
    consoles.into_iter().for_each(leave);
    // Pipes stay with the workers.
    let left = || procfs::descriptors(server.process.pid()).len() < before + 40;
    wait::until_true("nothing is left of them", LIMIT, left);
}
