//! `penstock nova-…proxy` beside nova's own proxies: the same nova.conf, the same cell, the same browser; and the sources of tokens on nova's databases.
//!
//! Tables and tokens are made by nova's own code (`cell.py`). nova's proxies run as they are, but for one question that they ask the compute service (`proxy.py`).

mod cell;
mod databases;
mod novnc;
mod servers;
mod verdicts;
