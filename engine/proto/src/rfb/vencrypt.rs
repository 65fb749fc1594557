//! VeNCrypt 0.2: TLS within RFB.

/// What TLS is for, and what follows within it. The numbers are QEMU's, which every client has taken over; the public text of the
/// protocol has the last two the other way round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Subtype {
    /// TLS with certificates, and nothing within.
    X509None = 260,
    /// VNC's challenge.
    X509Vnc = 261,
    /// A user's name and password.
    X509Plain = 262,
    /// SASL.
    X509Sasl = 263,
}
