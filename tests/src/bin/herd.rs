//! Small programs that tests run in processes of their own.
//!
//! ```text
//! herd origin ADDRESS                      serves; says where
//! herd tunnels PROXY TARGET COUNT LENGTH   holds that many tunnels, each after LENGTH bytes came through it
//! herd pipes COUNT                         holds that many pipes
//! herd without-uring COMMAND...            becomes COMMAND, to which the kernel refuses io_uring
//! ```
//! Each but the last says one line when it is ready, and ends when its standard input does.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

use penstock_tests::stream::Pattern;
use penstock_tests::{connect, origin};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match *arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        ["origin", address] => {
            let listener = TcpListener::bind((address, 0))?;
            ready(listener.local_addr()?)?;
            thread::spawn(move || origin::serve(&listener));
            hold(())
        }
        ["tunnels", proxy, target, count, length] => {
            let held = tunnels(proxy.parse()?, target, count.parse()?, length.parse()?)?;
            ready(held.len())?;
            hold(held)
        }
        ["pipes", count] => {
            let pipes = (0..count.parse()?).map(|_| io::pipe()).collect::<Result<Vec<_>, _>>()?;
            ready(pipes.len())?;
            hold(pipes)
        }
        ["without-uring", program, ref rest @ ..] => {
            seccompiler::apply_filter(&no_uring()?)?;
            Err(Command::new(program).args(rest).exec().into())
        }
        _ => Err("see the head of herd.rs".into()),
    }
}

fn ready(word: impl std::fmt::Display) -> io::Result<()> {
    println!("{word}");
    io::stdout().flush()
}

fn hold<T>(held: T) -> Result<(), Box<dyn Error>> {
    io::copy(&mut io::stdin(), &mut io::sink())?;
    drop(held);
    Ok(())
}

fn tunnels(proxy: SocketAddr, target: &str, count: u64, length: u64) -> io::Result<Vec<TcpStream>> {
    let open = |seed: u64| {
        let mut stream = connect::try_tunnel(proxy, target)?;
        stream.write_all(format!("send {seed} {length}\n").as_bytes())?;
        Pattern::new(seed).receive(&mut stream, length)?;
        Ok(stream)
    };
    (0..count).map(open).collect()
}

/// What container run-times do by default: io_uring's system calls fail with EPERM, all others work.
fn no_uring() -> Result<BpfProgram, Box<dyn Error>> {
    const SETUP_ENTER_REGISTER: [i64; 3] = [425, 426, 427];
    let rules = SETUP_ENTER_REGISTER.map(|call| (call, Vec::new())).into();
    let refusal = SeccompAction::Errno(nix::libc::EPERM.cast_unsigned());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refusal, arch)?.try_into()?)
}
