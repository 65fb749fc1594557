//! Logins at VNC servers: what a listener is configured for, what both sides are like, and what has to come of that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::close::Cause;
use penstock_core::config::{
    Account, Credentials, Listener, Password, Scheme, SchemeOrder, Subtype, Vnc, VncMode,
};
use penstock_core::control::Secrets;
use penstock_proto::Secret;
use penstock_tests::vnc::{security, subtype};

use crate::sim::answers::Manner;
use crate::sim::manner::SLOW;
use crate::sim::population::Population;
use crate::sim::random::Random;
use crate::sim::secrets::Reading;
use crate::sim::tally::{Fault, count};
use crate::sim::vnc_server::Server;
use crate::sim::vnc_viewer::Viewer;

/// What everybody who may come in knows, and what others believe.
const PASSWORDS: [&str; 2] = ["open sesame", "no sesame!"];
/// A type that is never offered.
const WRONG: u8 = 77;
/// A name that has no place in the clear.
const ACCOUNT: &str = "sim";

/// What a listener does with VNC; `plain`: nobody speaks TLS.
pub fn choose(plain: bool, within: bool, random: &mut Random) -> Arc<Vnc> {
    let mode = random.pick(&[VncMode::Authenticate, VncMode::Authenticate, VncMode::Bridge]);
    let mut schemes = vec![Scheme::VeNCrypt];
    schemes.extend(random.percent(65).then_some(Scheme::Vnc));
    schemes.extend(random.percent(65).then_some(Scheme::None));
    if plain {
        schemes = vec![Scheme::None, Scheme::Vnc];
    }
    let file = || PathBuf::from("/sim/password");
    let ours = mode == VncMode::Authenticate;
    let credentials = Credentials {
        password: (ours && random.percent(60)).then(|| Password::File(file())),
        plain: (ours && random.percent(40))
            .then(|| Account { user: ACCOUNT.into(), password_file: file() }),
        sasl: (ours && random.percent(60))
            .then(|| Account { user: ACCOUNT.into(), password_file: file() }),
    };
    let all = [Subtype::X509None, Subtype::X509Vnc, Subtype::X509Plain, Subtype::X509Sasl];
    let listen = match (within && random.percent(60), ours) {
        (false, _) => Vec::new(),
        (true, true) => vec![Subtype::X509None],
        (true, false) => all.into_iter().filter(|_| random.percent(70)).collect(),
    };
    Arc::new(Vnc {
        schemes,
        order: random.pick(&[SchemeOrder::Strongest, SchemeOrder::Server]),
        credentials,
        force_shared: random.percent(30),
        view_only: random.percent(25),
        listen,
        unencrypted_clients: random.percent(70),
        ..Vnc::new(mode)
    })
}

/// Whether clients speak TLS within RFB, and not before.
pub fn has_tls_within(listener: &Listener) -> bool {
    listener.vnc.as_ref().is_some_and(|vnc| !vnc.listen.is_empty())
}

/// A server's way of letting in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Way {
    in_tls: bool,
    within: Subtype,
}

/// What both sides are like, and what comes of it if nobody breaks off.
pub struct Meeting {
    /// The server.
    pub server: Server,
    /// The client.
    pub viewer: Viewer,
    /// Why there is no console; none: there is one.
    pub fails: Vec<Cause>,
    /// Why there may be none.
    pub explains: Vec<Cause>,
}

/// A seed's choice. `is_secure`: the client comes through TLS.
pub fn meet(
    number: usize,
    listener: &Listener,
    is_secure: bool,
    population: &mut Population,
    random: &mut Random,
) -> Option<Meeting> {
    let vnc = listener.vnc.as_ref()?;
    let knows = random.percent(88);
    let password = PASSWORDS[usize::from(!knows)];
    let is_bridge = vnc.mode == VncMode::Bridge;
    let (mut fails, mut explains) = (Vec::new(), Vec::new());
    if vnc.credentials.has_files() {
        let (fault, delay) = read(number, vnc, password, population, random);
        fails.extend(fault);
        // It is taken from the time to connect, of which little may be left then, or nothing.
        explains.extend((delay > SLOW).then_some(Cause::SecretMissing));
        if delay > SLOW / 4 {
            explains.extend([Cause::NameLookupFailed, Cause::ConnectTimeout]);
        }
    }
    let server = server(random);
    let viewer = Viewer {
        minor: random.pick(&[3, 7, 8, 8, 8, 8]),
        chooses: random.percent(4).then_some(WRONG),
        password: if is_bridge { password } else { "" },
        shared: random.below(2) as u8,
        injects: has_tls_within(listener) && random.percent(5),
        hasty: random.percent(25),
    };
    let is_safe = is_secure || !vnc.listen.is_empty() || vnc.unencrypted_clients;
    if is_bridge && !is_safe {
        fails.push(Cause::AccessDenied);
    }
    judge(vnc, &server, &viewer, knows, &mut fails);
    explains.extend_from_slice(&fails);
    Some(Meeting { server, viewer, fails, explains })
}

/// What control will say of the secrets, and when: why there is no console then.
fn read(
    number: usize,
    vnc: &Vnc,
    password: &str,
    population: &mut Population,
    random: &mut Random,
) -> (Option<Cause>, Duration) {
    let secret = || Some(Secret::from(password));
    let secrets = Secrets {
        password: vnc.credentials.password.as_ref().and_then(|_| secret()),
        plain: vnc.credentials.plain.as_ref().and_then(|_| secret()),
        sasl: vnc.credentials.sasl.as_ref().and_then(|_| secret()),
    };
    let fails = random.percent(6);
    let result = if fails { Err("no such file".into()) } else { Ok(secrets) };
    let delay = Duration::from_micros(random.pick(&[10, 10, 2_000, 400_000, 2_000_000]));
    let manner = Manner { delay, lost: random.percent(4) };
    let reading = Reading { result, manner };
    let fails = fails || manner.lost;
    population.secrets.plans.insert(2 * number, reading);
    (fails.then_some(Cause::SecretMissing), delay)
}

fn server(random: &mut Random) -> Server {
    let versions: [&[u8; 12]; 8] = [
        b"RFB 003.008\n",
        b"RFB 003.008\n",
        b"RFB 003.008\n",
        b"RFB 003.889\n",
        b"RFB 003.007\n",
        b"RFB 003.003\n",
        b"RFB 003.005\n",
        b"RFB 004.001\n",
    ];
    let types: [&[u8]; 9] = [
        &[19, 2, 1],
        &[19, 2, 1],
        &[19, 1],
        &[16, 19, 1],
        &[19],
        &[2],
        &[1],
        &[2, 1],
        &[5, 16, 30],
    ];
    let subtypes: [&[u32]; 10] = [
        &[260, 261, 262, 263],
        &[263, 262, 261, 260],
        &[261, 260, 263],
        &[260],
        &[261],
        &[262],
        &[263],
        &[257, 258, 262, 261, 260],
        &[260, 263, 262],
        &[256, 257],
    ];
    let version = random.pick(&versions);
    let rounds = random.pick(&[0, 0, 0, 0, 0, 0, 1, 20]);
    let mut server = Server {
        version,
        types: random.pick(&types).to_vec(),
        vencrypt: ([0, 2], true),
        subtypes: random.pick(&subtypes).to_vec(),
        goes: true,
        injects: false,
        sasl: (random.pick(&["PLAIN", "SCRAM-GHOST,PLAIN", "PLAIN", "DIGEST-MD5"]), rounds),
        password: PASSWORDS[0],
        verdict: None,
    };
    if server.minor() == 3 {
        server.types = vec![random.pick(&[1, 2, 2, 16])];
    }
    match random.below(60) {
        0 => server.vencrypt = ([0, 1], true),
        1 => server.vencrypt.1 = false,
        2 => server.goes = false,
        3 | 4 => server.injects = true,
        5 => server.verdict = Some(1),
        6 => server.verdict = Some(random.pick(&[2, 77])),
        7 => {
            count(Fault::VncClosed);
            server.types.clear();
        }
        8 => {
            count(Fault::VncNonsense);
            server.version = random.pick(&[b"SSH-2.0-Open", b"RFB 000.000\n", b"RFB 003.00x\n"]);
        }
        _ => {}
    }
    server
}

/// Why there is no console.
fn judge(vnc: &Vnc, server: &Server, viewer: &Viewer, knows: bool, fails: &mut Vec<Cause>) {
    let way = match way(vnc, server) {
        Ok(way) => way,
        Err(causes) => return fails.extend(causes),
    };
    let is_bridge = vnc.mode == VncMode::Bridge;
    let asks = way.within != Subtype::X509None;
    match server.verdict {
        // Where nothing is asked for, old servers have no verdict.
        _ if !asks && !way.in_tls && server.minor() < 8 => {}
        Some(77) => fails.push(Cause::BadGreeting),
        Some(1) if is_bridge && asks => fails.push(Cause::Unauthorized),
        Some(_) => fails.push(Cause::NotLetIn),
        None if knows || !asks => {}
        None => {
            count(Fault::VncWrongPassword);
            fails.push(if is_bridge { Cause::Unauthorized } else { Cause::NotLetIn });
        }
    }
    if way.within == Subtype::X509Sasl {
        fails.extend(judge_sasl(server, is_bridge));
    }
    let listens = !vnc.listen.is_empty();
    let is_new = matches!(way.within, Subtype::X509Plain | Subtype::X509Sasl);
    let by_vencrypt = listens || is_bridge && is_new;
    if viewer.minor == 3 && by_vencrypt {
        fails.push(Cause::NoCommonSecurity);
    }
    if viewer.chooses.is_some() && viewer.minor > 3 {
        fails.push(Cause::BadGreeting);
    }
    if viewer.injects && listens && viewer.minor > 3 {
        count(Fault::ViewerInjects);
        fails.extend([Cause::Injected, Cause::TlsFailed]);
    }
}

/// What comes of SASL.
fn judge_sasl(server: &Server, is_bridge: bool) -> Option<Cause> {
    let (mechanisms, rounds) = server.sasl;
    match is_bridge {
        false if !mechanisms.contains("PLAIN") => Some(Cause::NoCommonSecurity),
        // Nothing follows what PLAIN has said; of what people use, sixteen rounds are enough.
        false => (rounds > 0).then_some(Cause::NotLetIn),
        true if rounds > 15 => Some(Cause::NotLetIn),
        true => (!mechanisms.contains("PLAIN")).then_some(Cause::Unauthorized),
    }
}

/// How a server is spoken to.
fn way(vnc: &Vnc, server: &Server) -> Result<Way, Vec<Cause>> {
    if [&b"SSH-2.0-Open"[..], b"RFB 000.000\n", b"RFB 003.00x\n"].contains(&&server.version[..]) {
        return Err(vec![Cause::BadGreeting]);
    }
    if server.types.is_empty() {
        return Err(vec![Cause::NotLetIn]);
    }
    let in_the_clear = |within| Ok(Way { in_tls: false, within });
    match scheme(vnc, server) {
        None => Err(vec![Cause::NoCommonSecurity]),
        Some(Scheme::None) => in_the_clear(Subtype::X509None),
        Some(Scheme::Vnc) => in_the_clear(Subtype::X509Vnc),
        Some(Scheme::VeNCrypt) if server.vencrypt != ([0, 2], true) => {
            Err(vec![Cause::BadGreeting])
        }
        Some(Scheme::VeNCrypt) => {
            let within = within(vnc, server).ok_or(vec![Cause::NoCommonSecurity])?;
            if !server.goes {
                return Err(vec![Cause::BadGreeting]);
            }
            if server.injects {
                count(Fault::VncInjects);
                return Err(vec![Cause::Injected, Cause::TlsFailed]);
            }
            Ok(Way { in_tls: true, within })
        }
    }
}

fn scheme(vnc: &Vnc, server: &Server) -> Option<Scheme> {
    let is_listed = |one| vnc.listen.is_empty() || vnc.listen.contains(&one);
    let can_answer = vnc.credentials.password.is_some();
    let usable = |scheme: Scheme| match (vnc.mode, scheme) {
        (_, Scheme::VeNCrypt) => server.minor() > 3,
        (VncMode::Authenticate, Scheme::Vnc) => can_answer,
        (VncMode::Authenticate, Scheme::None) => true,
        (VncMode::Bridge, Scheme::Vnc) => is_listed(Subtype::X509Vnc),
        (VncMode::Bridge, Scheme::None) => is_listed(Subtype::X509None),
    };
    let offered: Vec<Scheme> = server
        .types
        .iter()
        .filter_map(|number| match *number {
            security::VENCRYPT => Some(Scheme::VeNCrypt),
            security::VNC => Some(Scheme::Vnc),
            security::NONE => Some(Scheme::None),
            _ => None,
        })
        .filter(|scheme| vnc.schemes.contains(scheme) && usable(*scheme))
        .collect();
    match vnc.order {
        SchemeOrder::Server => offered.first().copied(),
        SchemeOrder::Strongest => [Scheme::VeNCrypt, Scheme::Vnc, Scheme::None]
            .into_iter()
            .find(|scheme| offered.contains(scheme)),
    }
}

fn within(vnc: &Vnc, server: &Server) -> Option<Subtype> {
    let usable = |one: Subtype| match (vnc.mode, one) {
        (VncMode::Bridge, one) => vnc.listen.is_empty() || vnc.listen.contains(&one),
        (VncMode::Authenticate, Subtype::X509Vnc) => vnc.credentials.password.is_some(),
        (VncMode::Authenticate, Subtype::X509Plain) => vnc.credentials.plain.is_some(),
        (VncMode::Authenticate, Subtype::X509Sasl) => vnc.credentials.sasl.is_some(),
        (VncMode::Authenticate, one) => one == Subtype::X509None,
    };
    let offered: Vec<Subtype> = server
        .subtypes
        .iter()
        .filter_map(|number| match *number {
            subtype::X509_NONE => Some(Subtype::X509None),
            subtype::X509_VNC => Some(Subtype::X509Vnc),
            subtype::X509_PLAIN => Some(Subtype::X509Plain),
            subtype::X509_SASL => Some(Subtype::X509Sasl),
            _ => None,
        })
        .filter(|one| usable(*one))
        .collect();
    match vnc.order {
        SchemeOrder::Server => offered.first().copied(),
        SchemeOrder::Strongest => offered.iter().max().copied(),
    }
}
