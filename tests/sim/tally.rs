//! What a run has met, so that a fault that never happened can't pass for one that was survived.
//!
//! Counts belong to the thread that runs a seed; [`take`] hands them over at its end.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Times that something happened, by kind and name.
pub type Tally = BTreeMap<(&'static str, String), u64>;

thread_local! {
    static FAULTS: RefCell<[u64; Fault::ALL.len()]> = const { RefCell::new([0; Fault::ALL.len()]) };
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $label:literal,)*) => {
        /// Something that an operating system or a peer may do to us at any time.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Fault { $($(#[$doc])* $name,)* }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Fault] = &[$(Fault::$name,)*];

            /// Its name in the table.
            pub fn label(self) -> &'static str {
                match self { $(Fault::$name => $label,)* }
            }
        }
    };
}

faults! {
    /// A chunk was accepted while it was handed over.
    SentAtOnce = "sent at once",
    /// A chunk had to wait.
    SentLater = "sent later",
    /// The socket took a part of what was offered.
    ShortWrite = "short write",
    /// A buffer came back with less in it than was there to read.
    ShortRead = "short read",
    /// One leg had several buffers in one turn.
    SeveralBuffers = "several buffers in a turn",
    /// Receiving stopped with nothing under way.
    StopAtOnce = "receive stop at once",
    /// Receiving stopped later.
    StopLater = "receive stop later",
    /// A buffer arrived after receiving was asked to stop.
    LateBuffer = "late buffer after a stop",
    /// The stream ended before the stop took effect.
    StopOvertaken = "receive stop overtaken by an end",
    /// An outcome came after its leg was closed.
    StaleOutcome = "outcome after close",
    /// A buffer came after its leg was closed.
    StaleBuffer = "buffer after close",
    /// A connection came to stand after its leg was closed.
    StaleConnect = "connect outcome after close",
    /// A splice ended after its leg was closed.
    StaleSplice = "splice outcome after close",
    /// A hint with nothing behind it.
    SpuriousHint = "spurious hint",
    /// A hint that came late.
    DelayedHint = "delayed hint",
    /// A hint that came although it was taken back.
    UnwantedHint = "hint after it was taken back",
    /// `wait` ended with nothing to tell.
    IdleTurn = "turn without outcome",
    /// No buffer was left for bytes that had arrived.
    NoBuffers = "pool exhausted (ENOBUFS)",
    /// A buffer of bulk was filled.
    Bulk = "buffer of bulk",
    /// No buffer of bulk was left.
    BulkShort = "no buffer of bulk",
    /// No descriptor was left for a connection.
    AcceptFailed = "accept failed (EMFILE)",
    /// No descriptor was left to connect with.
    ConnectNoDescriptor = "connect failed at once (EMFILE)",
    /// What was opened for us could not be driven.
    AdoptFailed = "adopt failed",
    /// The host refused.
    ConnectRefused = "connect refused",
    /// The host was unreachable; told at once.
    ConnectUnreachable = "connect unreachable at once",
    /// The host was unreachable; told later.
    ConnectUnreachableLater = "connect unreachable later",
    /// The host will never answer.
    ConnectLost = "connect never answered",
    /// The host took its time.
    ConnectSlow = "connect slow",
    /// A peer reset the connection.
    ResetByPeer = "reset by peer",
    /// A leg was closed with bytes unread: its peer is reset.
    ResetByUnread = "close with bytes unread",
    /// A peer closed one way.
    HalfClose = "half-close by peer",
    /// A link carried nothing any more.
    BlackHole = "black hole",
    /// The transport gave a link up.
    TimedOut = "connection timed out (ETIMEDOUT)",
    /// A pipe took more bytes than its nominal size.
    PipeOverfull = "pipe fuller than its size",
    /// No pipe was left.
    PipePoolEmpty = "pipe pool empty",
    /// The quota for pipes was used up.
    PipeQuota = "pipe quota used up",
    /// A pipe could not be made.
    PipeFailed = "pipe2 failed",
    /// A pipe was closed with bytes in it.
    PipeDestroyed = "pipe destroyed",
    /// The bytes of a stuck pipe were taken out of it.
    PipeTaken = "pipe taken out",
    /// A splice was made at once.
    SpliceInline = "splice at once",
    /// A splice was made later.
    SpliceLater = "splice later",
    /// A splice was under way when its leg or pipe was closed.
    SpliceCancelled = "close during a splice",
    /// Bytes were under way to a socket when their leg was closed.
    SendCancelled = "close during a send",
    /// A receive was on when its leg was closed.
    ReceiveCancelled = "close during a receive",
    /// A connect was under way when its leg was closed.
    ConnectCancelled = "close during a connect",
    /// A name was resolved.
    Answered = "answer",
    /// An answer came late.
    AnswerLate = "late answer",
    /// An answer never came.
    AnswerLost = "lost answer",
    /// An answer came for somebody who never asked.
    AnswerForNobody = "answer for nobody",
    /// A name was not found, or not now.
    AnswerNone = "name without address",
    /// A question could not be taken.
    QuestionRefused = "question refused",
    /// A door was opened.
    DoorOpened = "door opened",
    /// A door was opened late.
    DoorLate = "door opened late",
    /// A door was never answered for.
    DoorLost = "door never answered for",
    /// A door stayed shut.
    DoorShut = "door shut",
    /// A door was opened for somebody who never asked, or has gone.
    DoorForNobody = "door opened for nobody",
    /// A client speaks in the clear where TLS is expected.
    TlsLeftOut = "plain client of a TLS listener",
    /// Somebody shows a certificate that is not right.
    TlsBadPaper = "bad certificate shown",
    /// A handshake stopped.
    TlsStops = "handshake that stops",
    /// A handshake ended with FIN.
    TlsCutEarly = "FIN in a handshake",
    /// A handshake went on with noise.
    TlsBabbles = "noise in a handshake",
    /// FIN without close_notify, behind a whole record.
    TlsCut = "FIN without close_notify",
    /// FIN in the middle of a record.
    TlsCutRecord = "FIN in the middle of a record",
    /// All was sent, but for close_notify.
    TlsFinishOnly = "close_notify left out at the end",
    /// Something that is no record, or not of this session.
    TlsGarbage = "garbage among records",
    /// What was said before that has come through.
    TlsLastWords = "payload before garbage",
    /// More bytes behind close_notify.
    TlsStays = "last words without FIN",
    TlsTalksOn = "bytes behind close_notify",
    /// A key was changed.
    TlsKeyChanged = "key update",
    /// Records of few bytes.
    TlsTinyRecords = "tiny records",
    /// Records written in pieces.
    TlsTrickle = "records written in pieces",
    /// An alert came, or something that can't be understood.
    TlsAlert = "alert told to a peer",
    /// A frame that is a part of its message.
    Fragment = "fragment of a message",
    /// A browser asks.
    Ping = "ping of a browser",
    /// And is answered.
    PongHeard = "pong for a browser",
    /// A browser was asked, and answers.
    PingAnswered = "ping of ours answered",
    /// A browser was asked, and is silent.
    PingIgnored = "ping of ours ignored",
    /// Frames written in pieces.
    FrameTrickle = "frames written in pieces",
    /// A browser breaks the rules of WebSocket.
    Offence = "rule of WebSocket broken",
    /// A browser leaves without a close frame.
    LeftSilently = "FIN without close frame",
    /// A browser reads no more for a while.
    Nap = "browser that stops reading for a while",
    /// A page was read.
    PageRead = "page read",
    /// A web server ends in the middle of what it has to say.
    PageCut = "page cut",
    /// A web server takes its time.
    PageSlow = "slow page",
    /// A browser asks in a way that nobody answers with a console.
    BadAsking = "bad request of a browser",
    /// A token was judged.
    TokenJudged = "token judged",
    /// A token opens nothing.
    TokenRefused = "token refused",
    /// A token's answer comes late.
    TokenLate = "token judged late",
    /// A token's answer never comes.
    TokenLost = "token never judged",
    /// A browser that we have ended had to be told why, and was.
    ToldWhy = "browser told why we end it",
    /// A browser speaks frames before it has read the 101.
    FramesAhead = "frames before the 101 was read",
    /// A side of a login leaves in the middle of it, or says no more.
    LoginLeft = "login left by its own plan",
    /// Somebody was told in RFB that he does not come in.
    RefusedInRfb = "refused in RFB",
    /// A VNC server that lets nobody in.
    VncClosed = "VNC server that lets nobody in",
    /// A VNC server that speaks no RFB.
    VncNonsense = "VNC server that speaks no RFB",
    /// A VNC server that says something before TLS that has no place there.
    VncInjects = "byte before TLS of a VNC server",
    /// The same of a client.
    ViewerInjects = "byte before TLS of a VNC client",
    /// A password that the other side does not know.
    VncWrongPassword = "wrong password for a VNC server",
    /// The host said that somebody may have what it asks for.
    HostAllowed = "allowed by the host",
    /// The host brought a connection.
    HostBrought = "target brought by the host",
    /// The host said no.
    HostDenied = "denied by the host",
    /// It said so late.
    DecisionLate = "late decision",
    /// It never decided.
    DecisionLost = "no decision",
    /// Secrets were read.
    SecretsRead = "secrets read",
    /// They could not be.
    SecretsMissing = "secrets not read",
    /// That took long.
    SecretsLate = "secrets read late",
    /// No answer ever comes.
    SecretsLost = "secrets never read",
    /// Two connections were taken, on terms that say nothing special.
    HandedPlain = "handed over, plain",
    HandedTlsClient = "handed over, TLS with the client",
    HandedTlsTarget = "handed over, TLS with the target",
    HandedWebSocket = "handed over behind its 101",
    HandedConsole = "handed over to a console",
    HandedHeaderIn = "handed over, PROXY header expected",
    HandedHeaderOut = "handed over, PROXY header to the target",
    HandedTerminal = "handed over with a terminal",
    HandedBeforeStart = "handed over before the start",
    HandedAtDrain = "handed over at a stop",
    HandedAtEnd = "handed over behind the last turn",
    /// Its client could not be driven.
    HandedNotDriven = "handed over and not driven",
    /// A descriptor was closed without having been driven.
    HandedUntaken = "handed over and closed unused",
    /// What was read before.
    EarlyClient = "early bytes of a client",
    EarlyTarget = "early bytes of a target",
    EarlyByte = "one early byte",
    EarlyMuch = "64 KiB of early bytes",
    EarlyHello = "early ClientHello, whole",
    EarlyHandshake = "early handshake of WebSocket, whole",
    EarlyInjected = "early byte before a target's TLS",
    /// Given back.
    RefusedNoTerms = "not taken: no such terms",
    RefusedNoStream = "not taken: no stream",
    RefusedTooLate = "not taken: WebSocket already",
    RefusedNeverEnds = "not taken: a terminal never ends",
    RefusedFull = "not taken: full",
    RefusedBusy = "not taken: busy",
    RefusedStopped = "not taken: stopped",
    /// Ended by its number, while it lived.
    CancelAhead = "cancel of what was never described",
    CancelTwice = "cancelled twice",
    CancelById = "cancelled by the engine's name",
    CancelOver = "cancel of what is over",
    CancelNobody = "cancel of nobody",
    CancelLost = "cancel not taken",
    DescribedLive = "described while it lives",
    DescribedOver = "described no more",
    /// What a tunnel has for itself.
    OwnIdle = "own idle time-out fired",
    OwnLifetime = "own lifetime ended",
    OwnNever = "terms' lifetime outlived",
    /// A wake-up without reason.
    SpuriousWake = "spurious wake-up",
}

/// Counts one.
pub fn count(fault: Fault) {
    FAULTS.with_borrow_mut(|counts| counts[fault as usize] += 1);
}

/// Takes this thread's counts, zeros included, and begins anew.
pub fn take() -> Tally {
    let counts = FAULTS.replace([0; Fault::ALL.len()]);
    let named = |fault: &Fault| (("fault", fault.label().to_owned()), counts[*fault as usize]);
    Fault::ALL.iter().map(named).collect()
}
