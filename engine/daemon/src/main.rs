//! The daemon `penstock`: arguments in, exit code out.
//!
//! Exit codes: 0 ended in order, 1 wrong configuration, 2 wrong usage, 3 could not start. As websockify and oVirt's proxy: 1 for 3.
#![forbid(unsafe_code)]

mod banner;
mod ending;
mod failure;
mod heap;
mod limits;
mod nova;
mod ovirt;
mod pid_file;
mod resolve;
mod serve;
mod supervise;
mod websockify;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use penstock_control::spawner;
use penstock_core::ring::{Driver, Mask};

use crate::failure::Failure;
use crate::serve::Manner;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// With the commit that it was built of.
const VERSION: &str = env!("PENSTOCK_VERSION");

/// Forwards the streams of virtual machines: HTTP CONNECT, and ports that lead to one target; TLS on either side.
///
/// CONNECT is what SPICE viewers ask for. A port with a target of its own carries libvirt (TLS, UNIX sockets, ssh), VNC, serial lines, or any TCP.
///
/// Without --config an embedded configuration is served on loopback: CONNECT on port 3128, a console for browsers on port 6080, metrics on port 9128.
#[derive(Debug, Parser)]
#[command(name = "penstock", version = VERSION, args_conflicts_with_subcommands = true)]
#[command(after_help = "Environment:\n  PENSTOCK_MASK=FEATURE,...  Do without features of the \
                        kernel (uring, splice, ...; for tests)\n\nSignals:\n  SIGTERM, SIGINT  \
                        Drain: listeners close at once, tunnels live on for drain_timeout; a \
                        second signal ends them\n  SIGUSR1          Open log files anew")]
struct Arguments {
    /// Serve what this file says.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which driver carries the workers, whatever the file says.
    #[arg(long, value_name = "DRIVER", value_enum)]
    engine: Option<Engine>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Explain what a configuration means, or where it is wrong, and start nothing.
    Check {
        /// The configuration.
        file: PathBuf,
    },
    /// Serve consoles to browsers, by the command line of websockify; see `penstock websockify --help`.
    #[command(name = websockify::ARGUMENT, disable_help_flag = true)]
    Websockify,
    /// Serve consoles to browsers by tickets of oVirt's engine, with the files of ovirt-websocket-proxy.
    #[command(name = ovirt::ARGUMENT)]
    OvirtWebsocketProxy(ovirt::Arguments),
    /// Serve VNC of nova's instances, by the files and the command line of nova-novncproxy.
    #[command(disable_help_flag = true)]
    NovaNovncproxy,
    /// Serve SPICE of nova's instances, as nova-spicehtml5proxy does.
    #[command(name = "nova-spicehtml5proxy", disable_help_flag = true)]
    NovaSpiceHtml5proxy,
    /// Serve serial consoles of nova's instances, as nova-serialproxy does.
    #[command(disable_help_flag = true)]
    NovaSerialproxy,
    /// Start programs for the daemon at the other end of standard input.
    #[command(name = spawner::ARGUMENT, hide = true)]
    Spawner,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Engine {
    /// io_uring where the kernel allows it, otherwise epoll.
    Auto,
    /// io_uring, or no start.
    Uring,
    /// epoll.
    Epoll,
}

fn main() -> ExitCode {
    abort_on_panic();
    without_huge_pages();
    let mut given = std::env::args_os().skip(1);
    let first = given.next().unwrap_or_default();
    if first == websockify::ARGUMENT {
        return websockify::run(given.collect());
    }
    if let Some(program) = nova::program(&first) {
        return nova::run(program, given.collect());
    }
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Some(Command::Check { file }) => check(file),
        Some(Command::Spawner) => {
            spawner::serve().map_err(|error| Failure::System("spawner", error))
        }
        Some(Command::OvirtWebsocketProxy(arguments)) => return ovirt::run(arguments),
        // Those with a command line of their own are served by now.
        Some(_) | None => serve(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody may be reading.
            let _ = writeln!(io::stderr(), "penstock: {failure}");
            failure.exit_code()
        }
    }
}

fn check(file: &Path) -> Result<(), Failure> {
    let settings = penstock_config::load(file)?;
    // A reader such as `head` may have seen enough.
    let _ = io::stdout().write_all(penstock_config::explain(&settings).as_bytes());
    Ok(())
}

fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let mask = std::env::var("PENSTOCK_MASK").unwrap_or_default();
    let mask = Mask::parse(&mask).map_err(Failure::UnknownFeature)?;
    let mut settings = match &arguments.config {
        Some(file) => penstock_config::load(file)?,
        None => penstock_config::default(),
    };
    match arguments.engine {
        None => {}
        Some(Engine::Auto) => settings.config.engine.driver = None,
        Some(Engine::Uring) => settings.config.engine.driver = Some(Driver::Uring),
        Some(Engine::Epoll) => settings.config.engine.driver = Some(Driver::Epoll),
    }
    let greeting = arguments.config.is_none().then(|| banner::of(&settings));
    serve::serve(settings, mask, Manner::usual(greeting))
}

/// The allocator would ask for huge pages: then a thousand idle tunnels cost whole megabytes of which they use some. A
/// kernel that refuses leaves it at that.
fn without_huge_pages() {
    let _ = nix::sys::prctl::set_thp_disable(true);
}

/// A worker that has lost its mind must not go on, and a service manager restarts what is gone, not what hangs.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        eprintln!("penstock: this is a bug; aborting");
        std::process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        let check = Arguments::parse_from(["penstock", "check", "a.toml"]);
        assert!(matches!(check.command, Some(Command::Check { .. })));
        let serve = Arguments::parse_from(["penstock", "--config", "a.toml", "--engine=epoll"]);
        assert!(matches!((serve.config, serve.engine), (Some(_), Some(Engine::Epoll))));
        let mixed = ["penstock", "--engine=epoll", "check", "a.toml"];
        assert!(Arguments::try_parse_from(mixed).is_err());
        assert!(Arguments::try_parse_from(["penstock", "--engine=kqueue"]).is_err());
        let proxy = "penstock ovirt-websocket-proxy --systemd=notify start".split(' ');
        let proxy = Arguments::parse_from(proxy);
        assert!(matches!(proxy.command, Some(Command::OvirtWebsocketProxy(_))));
        let hidden = Arguments::parse_from(["penstock", spawner::ARGUMENT]);
        assert!(matches!(hidden.command, Some(Command::Spawner)));
    }
}
