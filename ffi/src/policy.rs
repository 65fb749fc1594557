//! Who may have what, where the host decides: requests out, decisions in.

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::size_of;
use std::ptr;

use penstock_core::control::{Admitted, Asked, Connected, Denied, Place, To};
use penstock_core::target::Target;

use crate::courier::{Callback, Context};
use crate::descriptors::{claim, release};
use crate::edge::{self, Answer, Refusal, Structure, guard};
use crate::engine::penstock_engine;
use crate::numbers;
use crate::registry::find;
use crate::status::penstock_status::{self, *};
use crate::tunnel::penstock_id;
use crate::wanted::EARLY;

/// What the host says of a request.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum penstock_verdict {
    /// It may not have it. The client is answered by 403.
    Deny = 0,
    /// It may have what it asks for.
    Allow = 1,
    /// penstock_decide() says it: later, or was called already.
    Pending = 2,
}

/// What a client asks for, at a listener with `policy = "host"`. TLS with the client stands by then, if the listener has any; no target was
/// connected to. All of it is gone when the callback returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct penstock_request {
    /// sizeof(penstock_request) of the library.
    pub size: u32,
    /// 1: the client has come through TLS, which the engine has ended.
    pub tls: u32,
    /// The number by which to decide; later it is that of the tunnel, and of its completion.
    pub id: penstock_id,
    /// The listener's name.
    pub listener: *const c_char,
    /// The client's address and port, such as `192.0.2.1:51234` or `[2001:db8::1]:51234`: the one in the PROXY header, or in
    /// `X-Forwarded-For` of a trusted proxy, if the listener believes those (port 0 then, as nobody says it). Empty: it came through a UNIX socket.
    pub client: *const c_char,
    /// The common name of the client's certificate, which was verified; NULL: it showed none, or the listener asks for none.
    pub common_name: *const c_char,
    /// The method of its request, such as `CONNECT` or `GET`; NULL: the listener reads no request (`service = "forward"`).
    pub method: *const c_char,
    /// Where to: `host:port` of a CONNECT, or the listener's `target`; NULL: the host says it.
    pub target: *const c_char,
    /// The path and query of a browser's request, as it was sent; NULL: it is no browser's.
    pub path: *const c_char,
    /// The token in there (`?token=`), decoded; NULL: none.
    pub token: *const c_char,
    /// The head of the request as it was sent, up to and with its empty line: head_length bytes, no NUL behind. Credentials may be in it. NULL:
    /// the listener reads no request.
    pub head: *const c_char,
    /// Bytes at head.
    pub head_length: usize,
}

/// What a request is made of, as texts for C.
pub(crate) struct Told {
    listener: CString,
    client: CString,
    tls: bool,
    common_name: Option<CString>,
    method: Option<CString>,
    target: Option<CString>,
    path: Option<CString>,
    token: Option<CString>,
    head: Vec<u8>,
}

/// A text for C: up to its first NUL, which none of them should have.
fn for_c(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

impl Told {
    pub(crate) fn new(asked: &Asked, listener: &str) -> Told {
        let of = |text: &Option<Box<str>>| text.as_deref().map(for_c);
        let client = asked.client.map(|client| client.to_string());
        Told {
            listener: for_c(listener),
            client: for_c(client.as_deref().unwrap_or_default()),
            tls: asked.tls,
            common_name: of(&asked.common_name),
            method: of(&asked.method),
            target: of(&asked.target),
            path: of(&asked.path),
            token: asked.token.as_ref().map(|token| for_c(token.secret())),
            head: asked.head.clone(),
        }
    }

    /// For as long as this lives.
    pub(crate) fn request(&self, id: penstock_id) -> penstock_request {
        let of = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
        let has_head = !self.head.is_empty();
        penstock_request {
            size: size_of::<penstock_request>() as u32,
            tls: u32::from(self.tls),
            id,
            listener: self.listener.as_ptr(),
            client: self.client.as_ptr(),
            common_name: of(&self.common_name),
            method: of(&self.method),
            target: of(&self.target),
            path: of(&self.path),
            token: of(&self.token),
            head: if has_head { self.head.as_ptr().cast() } else { ptr::null() },
            head_length: self.head.len(),
        }
    }
}

/// Asks the host whether a client may have what it asks for.
///
/// Answer PENSTOCK_VERDICT_ALLOW or PENSTOCK_VERDICT_DENY; or PENSTOCK_VERDICT_PENDING, and say it by penstock_decide(), which also has room
/// for another target, for an account of the denial, and for a number of yours. Anything else is a denial. Who gets no decision within the
/// listener's `timeouts.token` is answered by 503.
pub type penstock_authorise = Option<
    unsafe extern "C" fn(
        engine: penstock_engine,
        request: *const penstock_request,
        context: *mut c_void,
    ) -> u32,
>;

/// What the host says of a request, in particular. All zero: a denial, answered by 403.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct penstock_decision {
    /// sizeof(penstock_decision), as PENSTOCK_INIT() sets it.
    pub size: u32,
    /// PENSTOCK_VERDICT_ALLOW or PENSTOCK_VERDICT_DENY.
    pub verdict: u32,
    /// Allow: where to, instead of what was asked for: `tcp://host:port`, `unix:/path`, or `host:port`. NULL: as the client or the listener
    /// says. The listener's `access` rules are asked about this one, too.
    pub target: *const c_char,
    /// Allow: 1, if `target_descriptor` is the target. Then `target` is what it is called, and as `host:port` also whom TLS with it has to
    /// prove, where the listener has `upstream_tls` without `server_name`.
    pub has_descriptor: u32,
    /// Allow, with has_descriptor: a connected stream, on the terms of penstock_tunnel(): the engine's, once penstock_decide() answers
    /// PENSTOCK_OK.
    pub target_descriptor: i32,
    /// Allow, with has_descriptor: what was read of it already, target_early_length bytes. NULL with length 0: nothing.
    pub target_early: *const c_void,
    /// Bytes at target_early; 65536 at most.
    pub target_early_length: usize,
    /// Deny: the HTTP status, 300 to 599, where the client speaks HTTP; 0: 403. A redirection has its `Location` in `headers`.
    pub http_status: u32,
    /// Reserved: 0.
    pub reserved: u32,
    /// Deny: why, for the log, and for the client in the answer's body; NULL: nothing in particular. No secrets.
    pub message: *const c_char,
    /// Deny: further header fields of the answer, each line ended by CR LF, such as `WWW-Authenticate: Basic realm="x"`; NULL: none.
    pub headers: *const c_char,
    /// Whatever the host likes: comes back with the completion.
    pub user_data: *mut c_void,
}

// SAFETY: numbers and pointers, in C's layout, the size first.
unsafe impl Structure for penstock_decision {}

/// What a decision says.
///
/// # Safety
/// Its pointers are what the header says.
unsafe fn judged(decision: &penstock_decision) -> Answer<Result<Admitted, Denied>> {
    // SAFETY: the caller's promise.
    let [target, message, headers] = unsafe {
        [
            edge::text(decision.target, "decision->target")?,
            edge::text(decision.message, "decision->message")?,
            edge::text(decision.headers, "decision->headers")?,
        ]
    };
    let invalid = |words: String| Refusal::new(PENSTOCK_INVALID, words);
    if decision.has_descriptor > 1 {
        let came = decision.has_descriptor;
        return Err(invalid(format!("`decision->has_descriptor` is {came}: expected 0 or 1")));
    }
    let cookie = decision.user_data as u64;
    match decision.verdict {
        verdict if verdict == penstock_verdict::Allow as u32 => {
            let to = if decision.has_descriptor == 1 {
                // SAFETY: the caller's promise.
                Some(To::Connected(unsafe { connected(decision, target) }?))
            } else {
                target.as_deref().map(place).transpose()?.map(To::Place)
            };
            Ok(Ok(Admitted { to, cookie }))
        }
        verdict if verdict == penstock_verdict::Deny as u32 => {
            let status = u16::try_from(decision.http_status).unwrap_or(u16::MAX);
            Denied::new(status, headers.as_deref().unwrap_or_default(), message.as_deref(), cookie)
                .map(Err)
                .map_err(|error| invalid(format!("`decision->http_status` or `headers`: {error}")))
        }
        other => Err(invalid(format!(
            "`decision->verdict` is {other}: expected PENSTOCK_VERDICT_ALLOW or PENSTOCK_VERDICT_DENY"
        ))),
    }
}

/// Where a text of the host's leads to.
fn place(text: &str) -> Answer<Place> {
    let whole = if text.contains("://") || text.starts_with("unix:") {
        text.to_owned()
    } else {
        format!("tcp://{text}")
    };
    match Target::parse(&whole) {
        Ok(Target::Tcp(target)) => Ok(Place::Network(target)),
        Ok(Target::Unix(path)) => Ok(Place::Unix(path.into())),
        Ok(_) => Err(Refusal::new(
            PENSTOCK_INVALID,
            format!(
                "`decision->target` is {text}: expected tcp://host:port, host:port or unix:/path"
            ),
        )),
        Err(error) => Err(Refusal::new(PENSTOCK_INVALID, format!("`decision->target`: {error}"))),
    }
}

/// Has the host asked about every client of listeners with `policy = "host"`, instead of whatever was set before. NULL: nobody; then an engine
/// with such a listener does not start.
///
/// Ownership: `context` stays the host's, and has to live until penstock_stop() has answered. Threads: any; the callback comes on the engine's
/// own. Errors: PENSTOCK_STARTED, if the engine runs.
///
/// # Safety
/// `authorise` and `context` stand until the engine has been stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_on_authorise(
    engine: penstock_engine,
    authorise: penstock_authorise,
    context: *mut c_void,
) -> penstock_status {
    guard(|| {
        let engine = find(engine)?;
        let callback = authorise.map(|function| Callback { function, context: Context(context) });
        engine.change(|_| {
            engine.courier.authorise_by(callback);
            Ok(())
        })
    })
}

/// Decides about a request, within the callback or at any time after it. Whoever decides first has decided. PENSTOCK_OK may come to nothing all the same:
/// if the client goes, or its time is over, at the same moment. The completion tells, and brings `user_data` in either case.
///
/// Ownership: of the descriptor, if there is one, passes to the engine with PENSTOCK_OK, and only then. Threads: any. Errors: PENSTOCK_NO_TUNNEL:
/// it is decided already, the client has gone, or its time is over; PENSTOCK_INVALID: a value is wrong, nothing is decided;
/// PENSTOCK_NO_STREAM: the descriptor is none; PENSTOCK_BUSY: try again.
///
/// # Safety
/// `decision` is NULL or points to a structure with its own size, and its pointers to what they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn penstock_decide(
    engine: penstock_engine,
    id: penstock_id,
    decision: *const penstock_decision,
) -> penstock_status {
    guard(|| {
        let engine = find(engine)?;
        // SAFETY: what the caller promises of `decision`.
        let decision = unsafe { edge::read(decision, "decision") }?;
        edge::ensure_reserved(decision.reserved, "decision")?;
        let id = numbers::session(id).ok_or(PENSTOCK_NO_TUNNEL)?;
        // SAFETY: the same of its pointers.
        let judged = unsafe { judged(&decision) }?;
        engine.courier.decide(id, judged).map_err(|(status, result)| {
            if let Ok(Admitted { to: Some(To::Connected(connected)), .. }) = result {
                release(connected.into_descriptor());
            }
            status.into()
        })
    })
}

/// The target that the host has connected.
///
/// # Safety
/// `target_early` is what the header says.
unsafe fn connected(decision: &penstock_decision, name: Option<String>) -> Answer<Connected> {
    let penstock_decision { target_descriptor, target_early, target_early_length, .. } = *decision;
    // SAFETY: the caller's promise.
    let came =
        unsafe { edge::bytes(target_early, target_early_length, EARLY, "decision->target_early")? };
    let descriptor = claim(target_descriptor as c_int, "decision->target_descriptor")?;
    Connected::new(descriptor, came, name.map(Into::into)).map_err(|descriptor| {
        release(descriptor);
        let words = "`decision->target_descriptor` is neither a stream socket nor a terminal";
        Refusal::new(PENSTOCK_NO_STREAM, words)
    })
}
