//! A seeded simulation: the real worker over an operating system that is made of chance.
//!
//! In: a seed. Out: a run in virtual time, in which hosts and kernel do whatever they may do, and the proof that every
//! byte came through, nothing was lost, and nothing was left behind. It opens no socket and reads no clock.
//!
//! Reading order: [`world`] and [`link`] (time and virtual TCP); [`kernel`], `verbs`, `work` and `turn` (the operating
//! system); [`talker`], [`client`] and [`origin`] (who lives there), [`secure`] (what TLS they speak), [`doors`] (what is opened
//! for the worker), `around` with `errands` and `descriptors` (what is handed over), `browser`, `frames`, `web` and `tokens` (consoles), `vnc`, `login`, `vnc_server`, `vnc_viewer`, `looks` and `secrets` (logins); [`scenario`] and [`oracle`] with `explained`, `told`, `handed`,
//! `parting` and `trust` (what must be true).

mod answers;
mod around;
mod browser;
pub mod certificates;
pub mod client;
mod closing;
mod consoles;
pub mod crypt;
mod descriptors;
pub mod doors;
mod errands;
mod explained;
mod frames;
mod framing;
mod handed;
pub mod kernel;
pub mod kit;
mod leg;
mod line;
pub mod link;
pub mod listeners;
mod login;
mod logins;
mod looks;
pub mod manner;
pub mod oracle;
pub mod origin;
pub mod outside;
mod parting;
pub mod pattern;
mod pieces;
mod pipes;
mod places;
pub mod plan;
mod policy;
mod pool;
pub mod population;
pub mod random;
pub mod report;
pub mod runner;
pub mod scenario;
mod secrets;
pub mod secure;
mod secured;
mod splicing;
pub mod talker;
pub mod tally;
pub mod targets;
pub mod temper;
mod tokens;
mod told;
pub mod trace;
mod trust;
mod turn;
mod verbs;
mod vnc;
mod vnc_server;
mod vnc_viewer;
mod vnc_wire;
mod web;
pub mod wish;
mod work;
pub mod world;

mod kernel_tests;
