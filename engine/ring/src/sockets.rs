//! Sockets: made, accepted and asked, always non-blocking and close-on-exec.
//!
//! Linux hands a listener's TCP options down to what it accepts, so they are set once per listener, not per connection.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::MsgFlags;
use nix::sys::termios::tcgetattr;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::options::SocketOptions;

/// Of `<asm-generic/sockios.h>`.
const SIOCATMARK: libc::Ioctl = 0x8905;

/// What a descriptor is, as far as the verbs differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A TCP socket.
    Tcp,
    /// Any other stream socket.
    Socket,
    /// A terminal or pipe: read(2), write(2), no shutdown(2); EIO is a hang-up.
    Plain,
}

/// A listening TCP socket of one worker: `SO_REUSEPORT`, so that each worker has its own; IPv6 never takes IPv4 along.
///
/// # Errors
/// Of socket(2), bind(2), listen(2).
pub fn bind_listener(address: SocketAddr, backlog: u32) -> io::Result<OwnedFd> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Finds out whether somebody listens on `address` already: with `SO_REUSEPORT` alone, another process of the same user
/// could go unnoticed and take a share of the connections. Port 0 is always free.
///
/// # Errors
/// Of socket(2), bind(2), listen(2) without `SO_REUSEPORT`.
pub fn ensure_free(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1)
}

/// How what is sent on the worker is sent. What goes `ahead` may wait for what follows.
pub(crate) fn send_flags(ahead: bool) -> MsgFlags {
    // nix has no name for it.
    let more = MsgFlags::from_bits_retain(if ahead { libc::MSG_MORE } else { 0 });
    // A former owner who kept a duplicate may have made the description blocking again: the worker must not wait for that.
    MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT | more
}

/// That a descriptor is a socket after listen(2).
///
/// # Errors
/// ENOTSOCK, or EINVAL: it does not listen.
pub fn ensure_listening(socket: &impl AsFd) -> Result<(), Errno> {
    match SockRef::from(socket).is_listener() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Errno::EINVAL),
        Err(error) => Err(errno(error)),
    }
}

/// A handle of ours to a listening socket that somebody else has made.
///
/// # Errors
/// EINVAL if it does not listen, ENOTSOCK if it is no socket; else of dup(2) and fcntl(2).
pub fn take_listener(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    ensure_listening(&socket)?;
    let socket = socket.try_clone_to_owned()?;
    SockRef::from(&socket).set_nonblocking(true)?;
    Ok(socket)
}

/// A TCP socket to connect to `address`.
///
/// # Errors
/// Of socket(2) and setsockopt(2).
pub fn stream_for(address: SocketAddr, options: &SocketOptions) -> Result<OwnedFd, Errno> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket =
        Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP)).map_err(errno)?;
    tune(socket.as_fd(), options)?;
    Ok(socket.into())
}

/// Starts connecting; whether that has finished already.
///
/// # Errors
/// Of connect(2).
pub fn connect(socket: BorrowedFd<'_>, address: SocketAddr) -> Result<bool, Errno> {
    match SockRef::from(&socket).connect(&address.into()).map_err(errno) {
        Ok(()) => Ok(true),
        // EINTR: the connection goes on being made, as POSIX has it.
        Err(Errno::EINPROGRESS | Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

/// Whether the next byte of a stream is an urgent one (`SIOCATMARK`), which is not read like the others.
pub fn is_at_mark(socket: BorrowedFd<'_>) -> bool {
    let mut at_mark: libc::c_int = 0;
    // SAFETY: `at_mark` outlives the call. What knows of no mark refuses, and writes nothing.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCATMARK, &raw mut at_mark) };
    result == 0 && at_mark != 0
}

/// Accepts one connection; none if nobody waits. The address is there for TCP only.
///
/// # Errors
/// Of accept4(2): EMFILE, ENFILE, ENOBUFS, ENOMEM and what a broken listener answers. A connection that died in the
/// queue is skipped.
pub fn accept(listener: BorrowedFd<'_>) -> Result<Option<(OwnedFd, Option<SocketAddr>)>, Errno> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Bounded by the listener's backlog.
    loop {
        match SockRef::from(&listener).accept4(flags).map_err(errno) {
            Ok((socket, peer)) => return Ok(Some((socket.into(), peer.as_socket()))),
            Err(Errno::EAGAIN) => return Ok(None),
            // accept(2): network errors already pending on the new socket are to be taken like EAGAIN, by retrying.
            Err(
                Errno::EINTR
                | Errno::ECONNABORTED
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ENONET
                | Errno::ENOPROTOOPT
                | Errno::EOPNOTSUPP,
            ) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Sets the options of TCP legs, on a leg or on a listener for all that it will accept.
///
/// # Errors
/// Of setsockopt(2).
pub fn tune(socket: BorrowedFd<'_>, options: &SocketOptions) -> Result<(), Errno> {
    let socket = SockRef::from(&socket);
    socket.set_tcp_nodelay(true).map_err(errno)?;
    if let Some(span) = options.keepalive {
        // Whole seconds, at least one: that is the kernel's unit.
        let span = span.max(Duration::from_secs(1));
        let keepalive = TcpKeepalive::new().with_time(span).with_interval(span);
        socket.set_tcp_keepalive(&keepalive).map_err(errno)?;
    }
    if options.user_timeout.is_some() {
        socket.set_tcp_user_timeout(options.user_timeout).map_err(errno)?;
    }
    Ok(())
}

/// Makes a descriptor non-blocking that comes from elsewhere, and says what it is.
///
/// # Errors
/// ESOCKTNOSUPPORT if it is a socket but no stream; else of fcntl(2) and getsockopt(2).
pub fn take_over(descriptor: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let flags = OFlag::from_bits_retain(fcntl(descriptor, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    kind(descriptor)
}

/// What a descriptor is.
///
/// # Errors
/// As of [`take_over`].
pub fn kind(descriptor: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let socket = SockRef::from(&descriptor);
    match socket.r#type().map_err(errno) {
        Ok(Type::STREAM) => {}
        Ok(_) => return Err(Errno::ESOCKTNOSUPPORT),
        Err(Errno::ENOTSOCK) => return Ok(Kind::Plain),
        Err(errno) => return Err(errno),
    }
    match socket.domain().map_err(errno)? {
        Domain::IPV4 | Domain::IPV6 => Ok(Kind::Tcp),
        _ => Ok(Kind::Socket),
    }
}

/// What a descriptor of somebody else's is that has to be a stream both ways: a stream socket that is or was connected, or a terminal (plain).
///
/// # Errors
/// ESOCKTNOSUPPORT if it is a socket but no stream, ENOTCONN if it was never connected or listens, ENOTTY if it is anything else; else of
/// getsockopt(2).
pub fn stream_kind(descriptor: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let kind = kind(descriptor)?;
    if kind == Kind::Plain {
        tcgetattr(descriptor).map_err(|_| Errno::ENOTTY)?;
    } else if ensure_listening(&descriptor).is_ok() || was_never_connected(descriptor)? {
        return Err(Errno::ENOTCONN);
    }
    Ok(kind)
}

/// A connection that is over has an end that can be read. A socket that never was one has hung up, and has none.
fn was_never_connected(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut entry = [PollFd::new(socket, PollFlags::POLLIN)];
    poll(&mut entry, PollTimeout::ZERO)?;
    let heard = entry[0].revents().unwrap_or(PollFlags::empty());
    Ok(heard.contains(PollFlags::POLLHUP) && !heard.contains(PollFlags::POLLIN))
}

/// The error that waits on a socket (`SO_ERROR`), which is taken off it.
///
/// # Errors
/// That error.
pub fn take_error(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    match SockRef::from(&socket).take_error() {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(errno(error)),
    }
}

/// Makes the coming close(2) send RST. On what isn't TCP it does nothing.
pub fn reset_on_close(socket: BorrowedFd<'_>) {
    // A socket that refuses is closed in the common way.
    let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
}

/// Ends the sending side. A broken connection answers ENOTCONN: it has ended already.
pub fn shutdown(socket: BorrowedFd<'_>) {
    let _ = SockRef::from(&socket).shutdown(Shutdown::Write);
}

/// Ends both sides, however many duplicates of the descriptor there are. What close(2) is to do with a connection (RST, for one) it does all
/// the same.
pub fn hang_up(socket: BorrowedFd<'_>) {
    let _ = SockRef::from(&socket).shutdown(Shutdown::Both);
}

/// The peer's address; none for what isn't TCP, or is connected no more.
pub fn peer(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    SockRef::from(&socket).peer_addr().ok().as_ref().and_then(SockAddr::as_socket)
}

/// Our own address; none for what isn't TCP.
pub fn local(socket: BorrowedFd<'_>) -> Option<SocketAddr> {
    SockRef::from(&socket).local_addr().ok().as_ref().and_then(SockAddr::as_socket)
}

/// The errno of an error that came from a system call.
pub fn errno(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn loopback() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    #[test]
    fn accepted_sockets_inherit_the_listeners_options() {
        let listener = bind_listener(loopback(), 16).expect("bound");
        let options = SocketOptions {
            keepalive: Some(Duration::from_secs(7)),
            user_timeout: Some(Duration::from_secs(9)),
        };
        tune(listener.as_fd(), &options).expect("tuned");
        let address = local(listener.as_fd()).expect("bound");
        let client = std::net::TcpStream::connect(address).expect("connected");
        let (accepted, peer) = accept(listener.as_fd()).expect("accepted").expect("one waits");
        assert_eq!(peer, Some(client.local_addr().expect("bound")));
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().expect("asked") && accepted.keepalive().expect("asked"));
        assert_eq!(accepted.tcp_keepalive_time().expect("asked"), Duration::from_secs(7));
        assert_eq!(accepted.tcp_keepalive_interval().expect("asked"), Duration::from_secs(7));
        let timeout = accepted.tcp_user_timeout().expect("asked");
        assert_eq!(timeout, Some(Duration::from_secs(9)));
        assert!(accepted.nonblocking().expect("asked"), "everything is non-blocking");
        assert!(accept(listener.as_fd()).expect("nobody waits").is_none());
    }

    #[test]
    fn two_workers_listen_on_one_port_and_ipv6_leaves_ipv4_alone() {
        // Others may hold the IPv4 port of one such pair, but not of all of them.
        let leaves_ipv4_alone = (0..20).any(|_| {
            let first = bind_listener((Ipv6Addr::UNSPECIFIED, 0).into(), 1).expect("bound");
            let port = local(first.as_fd()).expect("bound").port();
            bind_listener((Ipv6Addr::UNSPECIFIED, port).into(), 1).expect("shared port");
            std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        });
        assert!(leaves_ipv4_alone);
    }

    #[test]
    fn kinds_are_told_apart() {
        let (stream, _other) = std::os::unix::net::UnixStream::pair().expect("made");
        assert_eq!(take_over(stream.as_fd()), Ok(Kind::Socket));
        assert!(SockRef::from(&stream).nonblocking().expect("asked"));
        let (pipe, _write) = nix::unistd::pipe().expect("made");
        assert_eq!(kind(pipe.as_fd()), Ok(Kind::Plain));
        let tcp = bind_listener(loopback(), 1).expect("bound");
        assert_eq!(kind(tcp.as_fd()), Ok(Kind::Tcp));
        let datagram = std::net::UdpSocket::bind(loopback()).expect("bound");
        assert_eq!(kind(datagram.as_fd()), Err(Errno::ESOCKTNOSUPPORT));
    }
}
