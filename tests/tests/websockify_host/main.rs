//! websockify's class over the engine, in Python: its plugins decide as ever, and one process carries all consoles.

mod ending;
mod many;
mod plugins;
mod rig;
mod screen;
mod serving;
mod tls;
mod units;
