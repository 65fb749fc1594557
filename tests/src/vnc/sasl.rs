//! SASL's exchange as RFB carries it, both ends of PLAIN.

use std::io::{self, ErrorKind};

use super::Account;
use super::wire::Wire;

/// The one mechanism that the server knows.
pub(super) const PLAIN: &str = "PLAIN";

/// The client's part: whether there is such a mechanism.
pub(super) fn ask(wire: &mut Wire, account: &Account) -> io::Result<Result<(), String>> {
    use std::io::Write;

    let mechanisms = wire.text()?;
    if !mechanisms.split(',').any(|mechanism| mechanism == PLAIN) {
        return Ok(Err(mechanisms));
    }
    // What is said has a NUL behind it, which is counted.
    let first = format!("\0{}\0{}\0", account.user, account.password);
    let mut message = (PLAIN.len() as u32).to_be_bytes().to_vec();
    message.extend(PLAIN.bytes());
    message.extend((first.len() as u32).to_be_bytes());
    message.extend(first.bytes());
    wire.write_all(&message)?;
    let length = wire.word()?;
    wire.many(length)?;
    match wire.byte()? {
        1 => Ok(Ok(())),
        more => Err(io::Error::new(ErrorKind::InvalidData, format!("{more} behind PLAIN"))),
    }
}

/// The server's part: who asks to be let in.
pub(super) fn answer(wire: &mut Wire, mechanisms: &str) -> io::Result<Account> {
    use std::io::Write;

    let mut list = (mechanisms.len() as u32).to_be_bytes().to_vec();
    list.extend(mechanisms.bytes());
    wire.write_all(&list)?;
    let chosen = wire.text()?;
    let first = wire.text()?;
    let wrong = |what: String| io::Error::new(ErrorKind::InvalidData, what);
    if chosen != PLAIN || !mechanisms.split(',').any(|mechanism| mechanism == PLAIN) {
        return Err(wrong(format!("mechanism {chosen:?}")));
    }
    let fields: Vec<&str> = first.split('\0').collect();
    let ["", user, password, ""] = fields[..] else {
        return Err(wrong(format!("PLAIN of {} fields", fields.len())));
    };
    // No word of ours, and done.
    wire.write_all(&[0, 0, 0, 0, 1])?;
    Ok(Account::new(user, password))
}
