//! What passes between processes: messages with descriptors, and none to programs but those that they are given.
//!
//! In: a socket that keeps messages whole. Out: messages, and the descriptors that came with them, owned from then on. It starts
//! no process and knows no message.

use std::fs;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair,
};

/// Descriptors that may come with one message.
pub const DESCRIPTORS_MAX: usize = 4;

/// The first descriptor behind standard input, output and error.
const FIRST_OF_OURS: libc::c_uint = 3;

/// Two ends of a channel that keeps messages whole.
///
/// # Errors
/// Of socketpair(2).
pub fn channel() -> Result<(OwnedFd, OwnedFd), Errno> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Sends a message, which must not be empty, and copies of descriptors with it.
///
/// # Errors
/// Of sendmsg(2): EAGAIN, EMSGSIZE, EPIPE …
pub fn send(
    socket: BorrowedFd<'_>,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = if numbers.is_empty() { &rights[..0] } else { &rights[..] };
    let vector = [io::IoSlice::new(message)];
    loop {
        match sendmsg::<()>(socket.as_raw_fd(), &vector, rights, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            sent => return sent.map(drop),
        }
    }
}

/// Receives a message into `memory`: its length, which is zero when the other end is gone, and what came with it.
///
/// # Errors
/// Of recvmsg(2). EMSGSIZE if the message is longer than `memory`; EMFILE if descriptors had no place. Such a message is lost, with
/// all that came with it.
pub fn receive(socket: BorrowedFd<'_>, memory: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    // Of eight bytes each, so that headers lie where they have to.
    let mut control = [0u64; 8];
    let mut vector = libc::iovec { iov_base: memory.as_mut_ptr().cast(), iov_len: memory.len() };
    // SAFETY: zero is a value of all its parts.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = mem::size_of_val(&control);
    let received = loop {
        // SAFETY: what the header points to outlives the call, and is as long as it says.
        let result =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match Errno::result(result) {
            Err(Errno::EINTR) => {}
            received => break received?,
        }
    };
    // SAFETY: the kernel has just filled it in, and `control` is still there.
    let descriptors = unsafe { taken(&header) };
    match header.msg_flags {
        flags if flags & libc::MSG_CTRUNC != 0 => Err(Errno::EMFILE),
        flags if flags & libc::MSG_TRUNC != 0 => Err(Errno::EMSGSIZE),
        _ => Ok((received.cast_unsigned(), descriptors)),
    }
}

/// The descriptors that came with a message.
///
/// # Safety
/// The header is as recvmsg(2) has left it, and this is the first look at it.
unsafe fn taken(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    // SAFETY: the header is whole, see above; the macros stay within it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: the macros give null, or a control message that lies within.
        let (part, data) = unsafe { (ptr::read(next), libc::CMSG_DATA(next)) };
        if part.cmsg_level == libc::SOL_SOCKET && part.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: `data` is behind the message's own header.
            let length = part.cmsg_len - unsafe { data.offset_from(next.cast()) }.cast_unsigned();
            for place in 0..length / mem::size_of::<RawFd>() {
                // SAFETY: the kernel has put that many there, each new to us; nobody else knows them.
                descriptors.push(unsafe {
                    OwnedFd::from_raw_fd(ptr::read_unaligned(data.cast::<RawFd>().add(place)))
                });
            }
        }
        // SAFETY: as for the first.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    descriptors
}

/// Keeps every descriptor but standard input, output and error from programs that are started from now on, those included that this
/// process has inherited.
///
/// # Errors
/// Of close_range(2), and of fcntl(2) on kernels before 5.11, which can't do it that way.
pub fn keep_descriptors() -> io::Result<()> {
    // SAFETY: it closes nothing, and touches no memory.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            FIRST_OF_OURS,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    match Errno::result(result) {
        Ok(_) => Ok(()),
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM) => keep_each_descriptor(),
        Err(errno) => Err(errno.into()),
    }
}

fn keep_each_descriptor() -> io::Result<()> {
    let names = fs::read_dir("/proc/self/fd")?.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<io::Result<_>>()?;
    let numbers = names.iter().filter_map(|name| name.to_str()?.parse::<RawFd>().ok());
    for number in numbers.filter(|number| number.cast_unsigned() >= FIRST_OF_OURS) {
        // SAFETY: it touches no memory. The one that listed them is gone by now: EBADF.
        match Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }) {
            Ok(_) | Err(Errno::EBADF) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    use super::*;

    #[test]
    fn messages_stay_whole_and_descriptors_come_along() {
        let (near, far) = channel().expect("made");
        let (mut stream, other) = UnixStream::pair().expect("made");
        let (one, two) = (other.as_fd(), other.as_fd());
        send(near.as_fd(), b"first", &[one, two]).expect("sent");
        send(near.as_fd(), b"second", &[]).expect("sent");
        drop(other);
        let mut memory = [0; 64];
        let (length, descriptors) = receive(far.as_fd(), &mut memory).expect("received");
        assert_eq!((&memory[..length], descriptors.len()), (&b"first"[..], 2));
        for descriptor in &descriptors {
            let flags = fcntl(descriptor, FcntlArg::F_GETFD).expect("open");
            assert!(FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC));
        }
        let mut passed: Vec<UnixStream> = descriptors.into_iter().map(UnixStream::from).collect();
        passed[0].write_all(b"a").expect("open");
        passed[1].write_all(b"b").expect("open");
        drop(passed);
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("nobody holds the other end any more");
        assert_eq!(text, "ab");
        let (length, descriptors) = receive(far.as_fd(), &mut memory).expect("received");
        assert_eq!((&memory[..length], descriptors.len()), (&b"second"[..], 0));
        drop(near);
        assert_eq!(receive(far.as_fd(), &mut memory).map(|(length, _)| length), Ok(0));
    }

    #[test]
    fn descriptors_that_were_inherited_are_kept_from_programs() {
        let (stream, _other) = UnixStream::pair().expect("made");
        let is_kept = || {
            let flags = fcntl(&stream, FcntlArg::F_GETFD).expect("open");
            FdFlag::from_bits_retain(flags).contains(FdFlag::FD_CLOEXEC)
        };
        for keep in [keep_descriptors, keep_each_descriptor] {
            fcntl(&stream, FcntlArg::F_SETFD(FdFlag::empty())).expect("open");
            assert!(!is_kept());
            keep().expect("every Linux can");
            assert!(is_kept());
        }
    }

    #[test]
    fn a_message_that_does_not_fit_is_lost_with_all_that_came_with_it() {
        let (near, far) = channel().expect("made");
        let (mut stream, other) = UnixStream::pair().expect("made");
        send(near.as_fd(), &[7; 65], &[other.as_fd()]).expect("sent");
        drop(other);
        assert_eq!(receive(far.as_fd(), &mut [0; 64]).map(drop), Err(Errno::EMSGSIZE));
        assert_eq!(stream.read(&mut [0]).expect("the other end was closed"), 0);
    }
}
