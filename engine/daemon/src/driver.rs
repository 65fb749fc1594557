//! Which driver carries the workers: what was asked for, otherwise io_uring unless it is hidden.

use std::fmt;

use penstock_core::ring::{Driver, Feature, Mask};

#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) driver: Driver,
    pub(crate) kernel: String,
}

/// io_uring was asked for and hidden at the same time.
#[derive(Debug)]
pub(crate) struct ProbeError;

pub(crate) fn probe(requested: Option<Driver>, mask: Mask) -> Result<Facts, ProbeError> {
    let driver = match (requested, mask.hides(Feature::Uring)) {
        (Some(Driver::Uring), true) => return Err(ProbeError),
        (Some(driver), _) => driver,
        (None, true) => Driver::Epoll,
        (None, false) => Driver::Uring,
    };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(Facts { driver, kernel: kernel.trim().to_owned() })
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} on {}", self.driver, self.kernel)
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("io_uring was asked for, and PENSTOCK_MASK hides it")
    }
}
