//! Whether a daemon can be reached so that nothing can be changed there.
//!
//! What a daemon allows follows from the socket. Where there is no socket of that kind, `readonly` would be an empty
//! promise, so it is refused.

use super::error::ReadOnlyFault;
use super::parameters::Parameter;
use super::surroundings::Surroundings;
use super::uri::{Transport, Uri};

/// Refuses what can't be kept.
pub(super) fn judge(uri: &Uri, surroundings: &Surroundings) -> Result<(), ReadOnlyFault> {
    let has = |parameter| uri.parameter(parameter).is_some();
    // Whose daemon it is on another host depends on who logs in there.
    let may_be_session = match uri.transport {
        Transport::Ssh => uri.names_session(),
        _ => surroundings.session(uri).is_some(),
    };
    match uri.transport {
        Transport::Tls | Transport::Tcp | Transport::Ext => Err(ReadOnlyFault::Transport),
        _ if has(Parameter::Socket) => Err(ReadOnlyFault::Socket),
        Transport::Ssh if has(Parameter::Name) => Err(ReadOnlyFault::Name),
        _ if may_be_session => Err(ReadOnlyFault::Session),
        _ => Ok(()),
    }
}
