//! The engine under simulation; see `tests/sim`.
//!
//! `PENSTOCK_SIM_SEEDS` says how many seeds (500), `PENSTOCK_SIM_SEED` from which on (1), `PENSTOCK_SIM_TRACE=1` prints all
//! that happens.
#![expect(unreachable_pub, reason = "a test binary exports nothing")]

#[path = "../sim/mod.rs"]
mod sim;

/// So many seeds meet everything that can be met.
const ALL_IS_MET: u64 = 500;

#[test]
fn every_seed_ends_with_every_byte_in_its_place() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("PENSTOCK_SIM_SEED").unwrap_or(1);
    let count = number("PENSTOCK_SIM_SEEDS").unwrap_or(ALL_IS_MET);
    let (report, failed) = sim::runner::run(first, count);
    println!("{report}");
    assert!(failed.is_empty(), "failed seeds: {failed:?}");
    if count >= ALL_IS_MET {
        let zeros = report.zeros();
        assert!(zeros.is_empty(), "never occurred: {zeros:#?}");
    }
}
