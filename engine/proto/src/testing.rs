//! Feeds machines in tests: a stream in pieces goes in, the verdict and all leftovers come out.
//!
//! Plays the caller that the law of [`Progress`] asks for. Knows no protocol.

use crate::Progress::{self, Wait};
use alloc::vec::Vec;
use core::fmt::Debug;

/// Everything a caller can observe of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed<T, E> {
    /// The last answer; `Wait` if the stream ended first.
    pub verdict: Result<Progress<T>, E>,
    /// What the machine had to say to its peer.
    pub output: Vec<u8>,
    /// What the machine left to whoever follows, including pieces it was never offered.
    pub rest: Vec<u8>,
}

/// Offers `pieces` one after the other, each behind what the machine left over, until the verdict.
pub fn feed<'p, T, E>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    mut receive: impl FnMut(&mut &[u8], &mut Vec<u8>) -> Result<Progress<T>, E>,
) -> Fed<T, E> {
    let mut fed = Fed { verdict: Ok(Wait), output: Vec::new(), rest: Vec::new() };
    for piece in pieces {
        fed.rest.extend_from_slice(piece);
        if !matches!(fed.verdict, Ok(Wait)) {
            continue;
        }
        let mut input = fed.rest.as_slice();
        fed.verdict = receive(&mut input, &mut fed.output);
        let taken = fed.rest.len() - input.len();
        fed.rest.drain(..taken);
    }
    fed
}

/// Runs a fresh machine over `stream` whole, in two pieces at every point, and in equal pieces of
/// every size; panics unless all runs agree. Quadratic: meant for streams of a few hundred bytes.
pub fn any_split<T, E, M>(
    stream: &[u8],
    new: impl Fn() -> M,
    receive: impl Fn(&mut M, &mut &[u8], &mut Vec<u8>) -> Result<Progress<T>, E>,
) -> Fed<T, E>
where
    T: Debug + PartialEq,
    E: Debug + PartialEq,
{
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut machine = new();
        feed(pieces, |input, output| receive(&mut machine, input, output))
    };
    let whole = run(&mut core::iter::once(stream));
    for at in 0..stream.len() {
        let (head, tail) = stream.split_at(at);
        assert_eq!(run(&mut [head, tail].into_iter()), whole, "split at {at}");
        assert_eq!(run(&mut stream.chunks(at + 1)), whole, "in pieces of {}", at + 1);
    }
    whole
}
