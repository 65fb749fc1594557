//! A seeded simulation: the real worker over an operating system that is made of chance.
//!
//! In: a seed. Out: a run in virtual time, in which hosts and kernel do whatever they may do, and the proof that every
//! byte came through, nothing was lost, and nothing was left behind. It opens no socket and reads no clock.
//!
//! Reading order: [`world`] and [`link`] (time and virtual TCP); [`kernel`], `verbs`, `work` and `turn` (the operating
//! system); [`talker`], [`client`] and [`origin`] (who lives there); [`scenario`] and [`oracle`] (what must be true).

pub mod client;
mod closing;
pub mod kernel;
mod leg;
pub mod link;
pub mod oracle;
pub mod origin;
pub mod outside;
mod pipes;
mod pool;
pub mod population;
pub mod random;
pub mod report;
pub mod runner;
pub mod scenario;
mod splicing;
pub mod talker;
pub mod tally;
pub mod temper;
pub mod trace;
mod turn;
mod verbs;
pub mod wish;
mod work;
pub mod world;

mod kernel_tests;
