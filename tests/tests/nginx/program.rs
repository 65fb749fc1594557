//! Which nginx the tests are about: the machine's own, or the one that `PENSTOCK_NGINX` names. `NGINX_SOURCE`, which ffi/hosts/nginx/build
//! hears of, has to fit.

use std::ffi::OsString;
use std::process::Command;
use std::sync::OnceLock;

/// The program.
pub(crate) fn program() -> OsString {
    std::env::var_os("PENSTOCK_NGINX").unwrap_or_else(|| "nginx".into())
}

/// What it says of itself: its version, and what it was configured with.
pub(crate) fn about() -> &'static str {
    static ABOUT: OnceLock<String> = OnceLock::new();
    ABOUT.get_or_init(|| {
        let output = Command::new(program()).arg("-V").output().expect("nginx is installed");
        String::from_utf8_lossy(&output.stderr).into_owned()
    })
}

fn version() -> Vec<u32> {
    let (_, rest) = about().split_once("nginx version: nginx/").expect("a version");
    let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].split('.').map(|part| part.parse().expect("a number")).collect()
}

/// Servers of a stream may share an address and have names, `pass` gives a connection from one to another, and what is looked at for the
/// sake of `ssl_preread` stays in the socket.
pub(crate) fn has_virtual_servers() -> bool {
    version() >= vec![1, 25, 5]
}

/// Why a test that needs [`has_virtual_servers`] has nothing to do, for whoever reads its output.
pub(crate) fn say_that_it_is_old() {
    let version = about().lines().next().unwrap_or_default();
    println!("skipped: {version} has no virtual servers in stream, which came with 1.25.5");
}

/// Debian's modules are where Debian's nginx looks for them.
pub(crate) fn is_of_debian() -> bool {
    about().contains("--modules-path=/usr/lib/nginx/modules")
}

/// The line that loads the stream module, unless it is a part of the program.
pub(crate) fn stream_module() -> &'static str {
    if about().contains("--with-stream=dynamic") {
        return "load_module /usr/lib/nginx/modules/ngx_stream_module.so;";
    }
    ""
}
