//! Memory that the kernel reads while it consumes a submission: message headers, vectors, addresses.
//!
//! The kernel copies them before io_uring_enter(2) returns (`IORING_FEAT_SUBMIT_STABLE`, asserted when a ring is made),
//! so they are needed from the push of an entry until the queue is found empty, not until the completion.

use socket2::SockAddr;

/// Parts of one send; longer queues take several.
pub(super) const PARTS: usize = 32;

/// Messages kept for reuse: what a busy turn needs. More are made in a busier one and freed after it.
const KEPT: usize = 128;

/// A message header and the vector it points to.
pub(super) struct Message {
    header: libc::msghdr,
    parts: [libc::iovec; PARTS],
}

/// What entries of the submission queue point to. Boxed: it stays where it is while the lists grow.
#[derive(Default)]
pub(super) struct Scratch {
    #[expect(clippy::vec_box, reason = "the kernel holds addresses of the messages")]
    messages: Vec<Box<Message>>,
    used: usize,
    #[expect(clippy::vec_box, reason = "the kernel holds addresses of the addresses")]
    addresses: Vec<Box<SockAddr>>,
}

impl Scratch {
    /// A message of up to [`PARTS`] parts, valid until [`reset`](Self::reset).
    pub(super) fn message<'b>(
        &mut self,
        parts: impl Iterator<Item = &'b [u8]>,
    ) -> *const libc::msghdr {
        if self.used == self.messages.len() {
            self.messages.push(Box::new(Message::empty()));
        }
        let message = &mut self.messages[self.used];
        self.used += 1;
        let mut count = 0;
        for (place, part) in message.parts.iter_mut().zip(parts) {
            *place = vector(part);
            count += 1;
        }
        message.header.msg_iov = message.parts.as_mut_ptr();
        message.header.msg_iovlen = count;
        &raw const message.header
    }

    /// A copy of an address, valid until [`reset`](Self::reset).
    pub(super) fn address(&mut self, address: SockAddr) -> (*const libc::sockaddr, u32) {
        self.addresses.push(Box::new(address));
        let kept = self.addresses.last().expect("just pushed");
        (kept.as_ptr().cast(), kept.len())
    }

    /// Everything handed out has been consumed.
    pub(super) fn reset(&mut self) {
        self.used = 0;
        self.messages.truncate(KEPT);
        self.addresses.clear();
    }
}

impl Message {
    fn empty() -> Message {
        // SAFETY: for these C structures all zeroes is a value: no name, no control data, no parts.
        unsafe { std::mem::zeroed() }
    }
}

fn vector(part: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() }
}
