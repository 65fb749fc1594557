//! Why the daemon did not serve, and what it says about that to whoever started it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use penstock_config::limits::TooMany;
use penstock_core::engine::StartError;
use penstock_core::ring::Feature;
use penstock_core::ring::probe::ProbeError;

#[derive(Debug)]
pub(crate) enum Failure {
    Configuration(penstock_config::Error),
    /// A word in `PENSTOCK_MASK`.
    UnknownFeature(String),
    AccessLog(PathBuf, io::Error),
    LogFile(PathBuf, io::Error),
    Limits(TooMany),
    Driver(ProbeError),
    Start(StartError),
    /// The system refused something that it gives to every process.
    System(&'static str, io::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Configuration(_) => 1,
            Failure::UnknownFeature(_) => 2,
            _ => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Configuration(error) => error.fmt(f),
            Failure::UnknownFeature(name) => {
                let known: Vec<&str> = Feature::ALL.iter().map(|feature| feature.name()).collect();
                write!(f, "PENSTOCK_MASK: expected features of {}, got `{name}`", known.join(", "))
            }
            Failure::AccessLog(path, error) => {
                write!(f, "log.access: can't append to {}: {error}", path.display())
            }
            Failure::LogFile(path, error) => {
                write!(f, "--log-file: can't append to {}: {error}", path.display())
            }
            Failure::Limits(error) => error.fmt(f),
            Failure::Driver(error) => error.fmt(f),
            Failure::Start(error) => error.fmt(f),
            Failure::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl From<penstock_config::Error> for Failure {
    fn from(error: penstock_config::Error) -> Failure {
        Failure::Configuration(error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        Failure::Start(error)
    }
}
