//! Why a connection ended: each reason has to be one that something explains which happened.

use std::time::Duration;

use penstock_core::close::{Cause, Phase, Side};
use penstock_core::config::{HalfClose, Listener};
use penstock_ring::Errno;

use crate::sim::client::Stage;
use crate::sim::link::Link;
use crate::sim::listeners::is_program;
use crate::sim::oracle::Case;
use crate::sim::scenario::Run;
use crate::sim::talker::Talker;

/// Pages that nothing moves for are given up then.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);

/// What the run as a whole explains, whomever it meets.
pub struct Excuses {
    /// There are fewer places than clients.
    tight: bool,
    /// Descriptors were short, or what was connected or opened could not be driven.
    lacking: bool,
    /// Questions for names were refused, or their answers lost.
    busy: bool,
    names_lost: bool,
    /// The answer to a question for a door was lost.
    doors_lost: bool,
    /// That to one about a token.
    tokens_lost: bool,
    /// That to one for secrets.
    secrets_lost: bool,
    /// That of the host.
    decisions_lost: bool,
    /// It was stopped while sessions lived.
    pub drained: bool,
    /// Somebody had to wait for a buffer.
    pub exhausted: bool,
}

impl Excuses {
    /// What a run that has ended explains.
    pub fn of(run: &mut Run) -> Excuses {
        let kernel = run.worker.kernel();
        let (temper, hosts) = (&run.choices.temper, &kernel.hosts);
        Excuses {
            tight: run.choices.max_tunnels < 100,
            lacking: temper.descriptors < usize::MAX
                || temper.connect_fails > 0
                || temper.adopt_fails > 0
                || kernel.world.descriptors_failed,
            busy: hosts.resolver.busy > 0,
            names_lost: hosts.resolver.answers.lost,
            doors_lost: hosts.doors.answers.lost,
            tokens_lost: hosts.tokens.answers.lost,
            secrets_lost: hosts.secrets.answers.lost,
            decisions_lost: hosts.policy.answers.lost,
            drained: run.choices.drain.is_some(),
            exhausted: kernel.was_exhausted(),
        }
    }

    /// Whether that explains this end.
    pub fn cover(&self, case: &Case) -> bool {
        match case.record.reason.cause {
            Cause::Overloaded => self.tight || self.busy,
            Cause::Exhausted => self.lacking,
            // The best of several addresses may have met the lack, and the last one tells its own story.
            Cause::ConnectRefused | Cause::Unreachable => self.lacking,
            Cause::Broken => self.lacking && case.is_turned_back(),
            Cause::InUse => case.listener.max_sessions.is_some(),
            // Who was gone when the run was stopped may have left a connection behind.
            Cause::Drained => self.drained || case.client.left.is_some(),
            Cause::PoolPinned => true,
            Cause::NameLookupFailed => self.names_lost,
            Cause::ConnectTimeout => self.doors_lost,
            Cause::TokenLookupFailed => self.tokens_lost || self.decisions_lost,
            Cause::SecretMissing => self.secrets_lost,
            _ => false,
        }
    }
}

impl Case<'_> {
    /// Whether anything explains the end.
    pub fn is_explained(&self) -> bool {
        let (client, origin) = self.talkers();
        let (reason, timeouts) = (self.record.reason, &self.timeouts);
        let elapsed = self.record.elapsed;
        let talker = if reason.side == Side::Client { client } else { origin };
        let spoiled = match reason.side {
            Side::Client => talker.is_some_and(|talker| talker.line.is_spoiled()),
            // Of several connections, the one that went wrong need not have got furthest.
            _ => self.origin.talkers.iter().any(|talker| talker.line.is_spoiled()),
        };
        let harmed = talker.is_some_and(|talker| talker.harmed);
        let harmed_early = harmed && reason.phase == Phase::Tls;
        let logs_in = self.listener.vnc.is_some();
        match reason.cause {
            _ if logs_in && self.is_login_explained() => true,
            Cause::Finished | Cause::IdleTimeout if reason.phase == Phase::Page => {
                self.is_page_over(reason.cause)
            }
            Cause::Finished => {
                let left = reason.side == Side::Client && self.client.left.is_some();
                let ended = |talker: &Talker| talker.finished && reason.phase == Phase::Relay;
                let left = left || self.left_between_messages(reason.side, talker);
                let mute = reason.side == Side::Target && self.has_mute_program();
                left || talker.is_some_and(ended) && self.is_finished(reason.side) && !mute
            }
            Cause::HungUp => self.client.stage == Stage::Gone && self.client_left(),
            // Of who is served pages, it is not told apart how it broke.
            Cause::Reset if reason.phase == Phase::Page && self.timed_out(reason.side) => true,
            Cause::Reset => {
                self.was_reset(reason.side) || talker.is_some_and(|talker| talker.finished)
            }
            Cause::Broken => self.timed_out(reason.side),
            // ETIMEDOUT of a connection that stood.
            Cause::ConnectTimeout if reason.phase == Phase::Relay => self.timed_out(reason.side),
            Cause::ConnectTimeout => elapsed >= timeouts.connect && self.asks_for(reason.cause),
            Cause::HandshakeTimeout => elapsed >= timeouts.handshake && self.is_somebody_slow(),
            // A connection that ends is an end without the last word.
            Cause::Truncated => {
                let gone = |talker: &Talker| talker.harmed || talker.gave_up;
                let whole = self.left_between_messages(reason.side, talker)
                    && talker.is_some_and(|talker| talker.line.lacks_last_word_only());
                let told =
                    |talker: &Talker| talker.line.is_secure() || talker.line.frames().is_some();
                talker.is_some_and(|talker| told(talker) && gone(talker) && !whole)
                    || reason.side == Side::Client && self.client.left.is_some()
            }
            Cause::TlsFailed => self.asks_for(reason.cause) || spoiled || harmed_early,
            Cause::CertificateRefused => self.asks_for(reason.cause) || spoiled,
            Cause::NotLetIn => {
                self.asks_for(reason.cause) || self.is_program_mute() || spoiled || harmed_early
            }
            Cause::IdleTimeout => timeouts.idle.is_some_and(|idle| elapsed >= idle),
            Cause::UserIdle => timeouts.user_idle.is_some_and(|idle| elapsed >= idle),
            Cause::DeadPeer => {
                timeouts.dead_peer.is_some_and(|patience| elapsed >= patience) && self.is_silent()
            }
            Cause::BadFrame => self.offends(),
            Cause::LifetimeEnd => timeouts.lifetime.is_some_and(|lifetime| elapsed >= lifetime),
            Cause::FlushTimeout => [client, origin]
                .into_iter()
                .flatten()
                .any(|talker| talker.harmed || talker.is_slow()),
            Cause::Cancelled => self.was_cancelled(),
            Cause::Overloaded | Cause::PoolPinned | Cause::Drained => false,
            other => self.asks_for(other),
        }
    }

    /// Whether it has left as libvirt's programs do: without a word, between two messages.
    fn left_between_messages(&self, side: Side, talker: Option<&Talker>) -> bool {
        let Listener { tls, upstream_tls, .. } = self.listener;
        let libvirt = match side {
            Side::Client => tls.as_ref().is_some_and(|tls| tls.libvirt),
            _ => upstream_tls.as_ref().is_some_and(|tls| tls.libvirt),
        };
        libvirt
            && talker.is_some_and(|talker| {
                (talker.harmed || talker.gave_up) && talker.is_between_messages()
            })
    }

    /// Whether somebody took too long to say what has to be said first.
    fn is_somebody_slow(&self) -> bool {
        match (self.record.reason.side, self.record.reason.phase) {
            (Side::Target, Phase::Connect) => self.is_program_silent(),
            (Side::Client, Phase::Connect) => self.is_program_unasked(),
            (Side::Target, _) => self.asks_for(Cause::HandshakeTimeout) || self.is_target_slow(),
            _ => self.asks_for(Cause::HandshakeTimeout) || self.is_slow(),
        }
    }

    /// Whether the other side of one that has finished had its say, too, or could not.
    fn is_finished(&self, first: Side) -> bool {
        let (client, origin) = self.talkers();
        let (first, second, side, other) = match first {
            Side::Client => (client, origin, Side::Client, Side::Target),
            _ => (origin, client, Side::Target, Side::Client),
        };
        let gone = first.is_some_and(|first| first.harmed) || self.was_reset(side);
        self.half_close == HalfClose::Close
            || gone
            || second.is_some_and(|second| second.finished)
            || self.left_between_messages(other, second)
    }

    pub(super) fn asks_for(&self, cause: Cause) -> bool {
        self.client.wish.explains.contains(&cause)
    }

    fn client_left(&self) -> bool {
        let talker = self.client.talker.as_ref();
        let gave_up = |talker: &Talker| talker.line.is_spoiled() || talker.line.error().is_some();
        let gone = |talker: &Talker| talker.finished || talker.harmed || gave_up(talker);
        self.client.left.is_some() || talker.is_some_and(gone)
    }

    fn is_slow(&self) -> bool {
        let harmed = self.client.talker.as_ref().is_some_and(|talker| talker.harmed);
        harmed
            || self.client.left.is_some()
            || !self.client.wish.header.is_empty()
            || self.client.wish.request.as_ref().is_some_and(|request| !request.is_empty())
            || self.client.wish.is_slow
            || self.client.talker.as_ref().is_some_and(|talker| talker.line.is_spoiled())
            || self.is_wordless()
    }

    /// Where TLS may be left out, a client has to say something for anybody to know.
    fn is_wordless(&self) -> bool {
        let secure = self.client.talker.as_ref().is_none_or(|talker| talker.line.is_secure());
        !secure && self.listener.tls.is_some() && self.is_late(self.client.talker.as_ref())
    }

    fn is_target_slow(&self) -> bool {
        let talker = self.origin.winner();
        let slow = |talker: &Talker| talker.line.manner().is_some_and(|manner| manner.is_slow());
        talker.is_none_or(|talker| talker.harmed || talker.line.is_spoiled() || slow(talker))
    }

    /// A program that does not say in time that it has reached somebody.
    fn is_program_silent(&self) -> bool {
        let unheard = self.is_late(self.origin.winner()) || self.exhausted;
        is_program(&self.listener.service) && unheard
    }

    /// A program that nobody has asked anything.
    fn is_program_unasked(&self) -> bool {
        let late = self.is_late(self.client.talker.as_ref()) || self.client.wish.is_slow;
        is_program(&self.listener.service) && (late || self.exhausted)
    }

    /// Whether there is a program that was never heard of: nobody knows whether it has reached anybody.
    pub(super) fn has_mute_program(&self) -> bool {
        let mute = self.origin.winner().is_some_and(|talker| talker.sent == 0);
        is_program(&self.listener.service) && mute
    }

    /// Whether there is one that was waited for to the end.
    pub(super) fn is_program_awaited(&self) -> bool {
        let stays = self.origin.winner().is_some_and(|talker| !talker.finished && !talker.harmed);
        self.has_mute_program() && stays
    }

    /// A program that has ended without a word.
    fn is_program_mute(&self) -> bool {
        let mute = |talker: &Talker| talker.sent == 0 || talker.harmed;
        is_program(&self.listener.service) && self.origin.winner().is_none_or(mute)
    }

    /// Whether nothing came in about the time for a handshake.
    fn is_late(&self, talker: Option<&Talker>) -> bool {
        let patience = self.timeouts.handshake - Duration::from_millis(100);
        talker.is_none_or(|talker| {
            talker.harmed || talker.began_at.is_none_or(|at| at.since(talker.started) >= patience)
        })
    }

    /// Whether a browser may seem dead.
    fn is_silent(&self) -> bool {
        let client = self.client.talker.as_ref();
        let mute = |talker: &Talker| talker.line.frames().is_some_and(|f| !f.framing().answers);
        self.client.left.is_some()
            || client.is_some_and(|talker| talker.harmed || talker.is_slow() || mute(talker))
    }

    fn offends(&self) -> bool {
        let frames = self.client.talker.as_ref().and_then(|talker| talker.line.frames());
        frames.is_some_and(|frames| frames.spoiled && frames.framing().offence.is_some())
    }

    /// Whether a browser has its pages, or gets no more.
    fn is_page_over(&self, cause: Cause) -> bool {
        let early = self.origin.web.iter().any(|server| server.ends_early());
        let talker = self.client.talker.as_ref();
        let finished = talker.is_some_and(|talker| talker.finished || talker.harmed);
        let left = self.client.left.is_some() || finished;
        match cause {
            Cause::Finished => left || early,
            _ => {
                let stops = self.asks_for(Cause::HandshakeTimeout) || self.is_slow();
                self.record.elapsed >= PAGE_PATIENCE && (stops || left)
            }
        }
    }

    fn was_reset(&self, side: Side) -> bool {
        self.link(side).is_some_and(|link| link.was_reset)
    }

    fn timed_out(&self, side: Side) -> bool {
        self.link(side).is_some_and(|link| {
            link.halves.iter().any(|half| half.broken == Some(Errno::ETIMEDOUT))
        })
    }

    fn link(&self, side: Side) -> Option<&Link> {
        let end = if side == Side::Client {
            self.client.end
        } else {
            self.origin.winner().map(|talker| talker.line.end)
        };
        end.map(|end| &self.world.links[end.link as usize])
    }
}
