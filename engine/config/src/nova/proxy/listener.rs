//! The one listener that options of nova mean: its consoles, its tokens, and TLS on both sides.
//!
//! In: options. Out: a listener, with files of certificates read; what the operator should know; or what is wrong.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use penstock_core::config::{
    Address, Console, ConsoleTarget, Listener, ListenerTls, NameTemplate, NovaDatabase,
    RecordFormat, Recording, Scheme, SchemeOrder, Service, Timeouts, TokenSource, Tokens,
    UpstreamTls, Vnc, VncMode, Web,
};
use penstock_core::console::Origins;
use penstock_core::policy::{AccessLists, Kind, ListBuilder, Rules};
use penstock_core::tls::{
    Ca, ClientAuth, ClientFiles, FileError, MinVersion, ServerFiles, Swap, Verify,
};

use super::files::Options;
use super::{Program, Refusal, absolute, ciphers};
use crate::nova::{template, url};
use crate::tls::Provider;
use crate::websockify::Resolve;
use crate::{access, record};

/// The certificate that is looked for where none is named.
const CERTIFICATE: &str = "self.pem";
/// Between two pings, and how many may stay unanswered.
const HEARTBEAT: Duration = Duration::from_secs(30);
const PINGS: u32 = 3;
const DEFAULT: &str = "DEFAULT";

/// What programs differ in: the section, the beginning of its keys, the port, the type of consoles, and the pages.
struct Ways {
    section: &'static str,
    proxy: &'static str,
    port: u16,
    console_type: &'static str,
    web: Option<&'static str>,
}

impl Program {
    fn ways(self) -> Ways {
        let (section, proxy, port, console_type, web) = match self {
            Program::Novnc => ("vnc", "novncproxy", 6080, "novnc", Some("/usr/share/novnc")),
            Program::SpiceHtml5 => {
                ("spice", "html5proxy", 6082, "spice-html5", Some("/usr/share/spice-html5"))
            }
            Program::Serial => ("serial_console", "serialproxy", 6083, "serial", None),
        };
        Ways { section, proxy, port, console_type, web }
    }
}

pub(super) fn of(
    program: Program,
    options: &Options,
    resolve: Resolve<'_>,
    warnings: &mut Vec<String>,
) -> Result<Listener, Refusal> {
    let ways = program.ways();
    let tls = tls(program, options, warnings)?;
    let web = web(program, options, &ways)?;
    let tokens = tokens(options, &ways)?;
    let console = Console {
        web,
        heartbeat: Some(HEARTBEAT),
        origins: origins(options)?,
        ..Console::new(ConsoleTarget::Tokens(Arc::new(tokens)))
    };
    let (vnc, upstream_tls) = match program {
        Program::Novnc => vnc(program, options)?,
        Program::SpiceHtml5 | Program::Serial => (None, None),
    };
    let addresses = addresses(program, options, &ways, resolve)?;
    let service = Service::Console(Box::new(console));
    let record = options.text(DEFAULT, "record")?;
    Ok(Listener {
        tls,
        upstream_tls,
        vnc: vnc.map(Arc::new),
        record: record.map(|path| recording(options, &path)).transpose()?,
        timeouts: Timeouts {
            idle: None,
            dead_peer: Some(PINGS * HEARTBEAT),
            ..Timeouts::default()
        },
        ..Listener::new(program.name(), addresses, service, rules(program, options)?)
    })
}

/// TLS with browsers, if there is a certificate.
fn tls(
    program: Program,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Result<Option<ListenerTls>, Refusal> {
    let named = options.text(DEFAULT, "cert")?;
    let name = named.as_deref().unwrap_or(CERTIFICATE);
    let cert = absolute(Path::new(name));
    let only = options.flag(DEFAULT, "ssl_only")?;
    if let Some(list) = options.text("console", "ssl_ciphers")? {
        let judged = ciphers::judge(&list);
        warnings.extend(judged.map_err(|m| options.wrong("console", "ssl_ciphers", &m))?);
    }
    let min_version = version(options, warnings)?;
    match (cert.exists(), only) {
        (true, _) => {}
        (false, true) => {
            return Err(Refusal::unusable(program, format!("SSL only and {name} not found")));
        }
        (false, false) => {
            warnings.extend(named.map(|name| {
                format!(
                    "cert: {name} is not there, so there is no TLS; ssl_only refuses to start then"
                )
            }));
            return Ok(None);
        }
    }
    let key = options.text(DEFAULT, "key")?;
    let files = ServerFiles {
        key: vec![key.map_or_else(|| cert.clone(), |key| absolute(Path::new(&key)))],
        cert: vec![cert],
        key_password_file: None,
        client_ca: None,
        crl: None,
        client_auth: ClientAuth::Off,
        allowed: None,
        min_version,
        alpn: Vec::new(),
        tickets: true,
        implementation: Provider::default().implementation(),
    };
    let server = files.load().map_err(|error| unusable(options, DEFAULT, error.key, &error))?;
    Ok(Some(ListenerTls { server: Swap::new(server), files, only, libvirt: false }))
}

fn version(options: &Options, warnings: &mut Vec<String>) -> Result<MinVersion, Refusal> {
    match options.text("console", "ssl_minimum_version")?.as_deref() {
        None | Some("default" | "tlsv1_2") => Ok(MinVersion::Tls12),
        Some("tlsv1_3") => Ok(MinVersion::Tls13),
        Some("tlsv1_1") => {
            let oldest =
                "[console] ssl_minimum_version tlsv1_1: TLS 1.2 is the oldest that is spoken";
            warnings.push(oldest.to_owned());
            Ok(MinVersion::Tls12)
        }
        Some(_) => {
            let message = "expected default, tlsv1_1, tlsv1_2 or tlsv1_3";
            Err(options.wrong("console", "ssl_minimum_version", message))
        }
    }
}

/// A file's fault, under the name of its option.
fn unusable(options: &Options, section: &str, key: &str, error: &FileError) -> Refusal {
    let path = error.path.as_deref().map(|path| format!("{}: ", path.display()));
    options.wrong(section, key, &format!("{}{}", path.unwrap_or_default(), error.fault))
}

fn web(program: Program, options: &Options, ways: &Ways) -> Result<Option<Arc<Web>>, Refusal> {
    let named = options.text(DEFAULT, "web")?;
    let Some(path) = named.as_deref().or(ways.web) else { return Ok(None) };
    let path = absolute(Path::new(path));
    match path.is_dir() {
        true => Ok(Some(Arc::new(Web::Directory(path)))),
        false => {
            let message = format!(
                "Can not find html/js files at {}: install them, or name their folder as `web`",
                path.display()
            );
            Err(Refusal::unusable(program, message))
        }
    }
}

fn tokens(options: &Options, ways: &Ways) -> Result<Tokens, Refusal> {
    let connection = options.text("database", "connection")?;
    let connection = connection.or(options.text(DEFAULT, "sql_connection")?).ok_or_else(|| {
        let message = "expected the URL of the cell's database, which has the tokens: [api_database] has none";
        options.wrong("database", "connection", message)
    })?;
    let database = url::parse(&connection);
    let names = match options.text(DEFAULT, "instance_name_template")? {
        None => NameTemplate::default(),
        Some(text) => template::parse(&text)
            .map_err(|message| options.wrong(DEFAULT, "instance_name_template", &message))?,
    };
    let nova = NovaDatabase {
        database: database.map_err(|message| options.wrong("database", "connection", &message))?,
        console_type: ways.console_type.into(),
        names,
        enforce_session_timeout: options.flag("consoleauth", "enforce_session_timeout")?,
    };
    Ok(Tokens {
        source: TokenSource::NovaDatabase(Box::new(nova)),
        timeout: Tokens::TIMEOUT,
        single_use: false,
        bind_client: false,
        expiry: None,
    })
}

fn origins(options: &Options) -> Result<Origins, Refusal> {
    let hosts = options.list("console", "allowed_origins")?;
    let hosts = hosts.or(options.list(DEFAULT, "console_allowed_origins")?).unwrap_or_default();
    Origins::hosts(&hosts).map_err(|error| {
        let message = format!("expected names of hosts such as portal.example, got `{}`", error.0);
        options.wrong("console", "allowed_origins", &message)
    })
}

/// RFB is always nova's to judge, even where nothing is asked for.
fn vnc(program: Program, options: &Options) -> Result<(Option<Vnc>, Option<UpstreamTls>), Refusal> {
    let listed = options.list("vnc", "auth_schemes")?.unwrap_or_else(|| vec!["none".to_owned()]);
    let scheme = |name: &String| match name.as_str() {
        "none" => Ok(Scheme::None),
        "vencrypt" => Ok(Scheme::VeNCrypt),
        other => {
            let message = format!("expected none and vencrypt, got `{other}`");
            Err(options.wrong("vnc", "auth_schemes", &message))
        }
    };
    let schemes = listed.iter().map(scheme).collect::<Result<Vec<_>, _>>()?;
    if schemes.is_empty() {
        return Err(options.wrong("vnc", "auth_schemes", "expected none, vencrypt, or both"));
    }
    let upstream = match schemes.contains(&Scheme::VeNCrypt) {
        true => Some(vencrypt(program, options)?),
        false => None,
    };
    let vnc = Vnc { schemes, order: SchemeOrder::Server, ..Vnc::new(VncMode::Authenticate) };
    Ok((Some(vnc), upstream))
}

/// Of a server, nova asks for a certificate of that authority, and for no name.
fn vencrypt(program: Program, options: &Options) -> Result<UpstreamTls, Refusal> {
    let path = |key: &str| {
        let text = options.text("vnc", key)?;
        Ok::<_, Refusal>(text.map(|text| absolute(Path::new(&text))))
    };
    let ca = path("vencrypt_ca_certs")?.ok_or_else(|| {
        let message = "auth_schemes has vencrypt: expected the file of the authority that has signed the compute nodes' certificates";
        options.wrong("vnc", "vencrypt_ca_certs", message)
    })?;
    let (cert, key) = (path("vencrypt_client_cert")?, path("vencrypt_client_key")?);
    if cert.is_some() != key.is_some() {
        let message =
            "[vnc] vencrypt_client_cert and vencrypt_client_key: expected both or neither";
        return Err(Refusal::unusable(program, message));
    }
    let of_the_system = ClientFiles::of_the_system(Provider::default().implementation());
    let files = ClientFiles {
        ca: Some(Ca::File(ca)),
        cert,
        key,
        verify: Verify::Authority,
        ..of_the_system
    };
    let client = files.load().map_err(|error| {
        let option = match error.key {
            "cert" => "vencrypt_client_cert",
            "key" => "vencrypt_client_key",
            _ => "vencrypt_ca_certs",
        };
        unusable(options, "vnc", option, &error)
    })?;
    Ok(crate::vnc::to_hosts(client, files))
}

/// Where serial lines are by the file, others are not: a row that names another port is nobody's console.
fn rules(program: Program, options: &Options) -> Result<Rules, Refusal> {
    let (section, key) = ("serial_console", "port_range");
    let range = match program {
        Program::Serial => options.text(section, key)?,
        Program::Novnc | Program::SpiceHtml5 => None,
    };
    let Some(range) = range else { return Ok(access::but_neighbours()) };
    let wrong = || options.wrong(section, key, "expected two ports, as 10000:20000");
    let (first, last) = range.split_once(':').ok_or_else(wrong)?;
    let port = |text: &str| text.trim().parse().ok().filter(|port: &u16| *port > 0);
    let (first, last) = (port(first).ok_or_else(wrong)?, port(last).ok_or_else(wrong)?);
    if first > last {
        return Err(wrong());
    }
    // What has no port at all, a page, is none of the others.
    let below = (first > 1).then(|| format!("1-{}", first - 1));
    let above = (last < u16::MAX).then(|| format!("{}-65535", last + 1));
    let others: Vec<String> = below.into_iter().chain(above).collect();
    if others.is_empty() {
        return Ok(access::but_neighbours());
    }
    let mut lists = AccessLists::new();
    let mut list = ListBuilder::new();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    list.add(Kind::Port, &others).map_err(|_| wrong())?;
    lists.insert("no_serial_ports", list.build().map_err(|_| wrong())?).map_err(|_| wrong())?;
    let lines = ["deny to_linklocal", "deny no_serial_ports", "allow all"];
    Rules::parse(&lines, &lists).map_err(|_| wrong())
}

fn recording(options: &Options, path: &str) -> Result<Recording, Refusal> {
    let path = absolute(Path::new(path));
    record::judge(&path).map_err(|message| options.wrong(DEFAULT, "record", &message))?;
    Ok(Recording { path, format: RecordFormat::Websockify })
}

/// One address of the host, IPv4 unless IPv6 is preferred. All of IPv6 take all of IPv4 along, as Linux has it for a single socket.
fn addresses(
    program: Program,
    options: &Options,
    ways: &Ways,
    resolve: Resolve<'_>,
) -> Result<Vec<Address>, Refusal> {
    let Ways { section, proxy, .. } = ways;
    let (host_key, port_key) = (format!("{proxy}_host"), format!("{proxy}_port"));
    // VNC's had no section of their own once.
    let old = |key: &str| match program {
        Program::Novnc => options.text(DEFAULT, key),
        Program::SpiceHtml5 | Program::Serial => Ok(None),
    };
    let host = options.text(section, &host_key)?.or(old(&host_key)?);
    let host = host.unwrap_or_else(|| "0.0.0.0".to_owned());
    let host = host.trim_matches(['[', ']']);
    let usual = old(&port_key)?.and_then(|port| port.parse().ok()).unwrap_or(ways.port);
    let port = options.port(section, &port_key, usual)?;
    let found = match host.parse() {
        Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) => resolve(Some(host), port),
    };
    let unknown = |error: io::Error| {
        options.wrong(section, &host_key, &format!("no address of that name: {error}"))
    };
    let found = found.map_err(unknown)?;
    let prefers_v6 = options.flag(DEFAULT, "source_is_ipv6")?;
    let preferred = found.iter().find(|address| address.is_ipv6() == prefers_v6).or(found.first());
    let chosen = *preferred.ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))?;
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let along = (chosen.ip() == Ipv6Addr::UNSPECIFIED && port != 0).then_some(everywhere);
    Ok([chosen].into_iter().chain(along).map(Address::Tcp).collect())
}
