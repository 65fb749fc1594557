//! VNC's security between real peers and stand-ins: what they do among themselves, and what they do with Penstock in between.

mod among_real;
mod among_stand_ins;
mod blurts;
mod browser;
mod crowd;
mod hangups;
mod looking;
mod native;
mod records;
mod rig;
mod schemes;
mod verdicts;
