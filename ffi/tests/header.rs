//! `include/penstock.h` is what the sources say: made anew and compared. PENSTOCK_BLESS=1 writes it.

use std::fs;
use std::path::Path;

/// In the order in which a reader meets them.
const SOURCES: [&str; 9] =
    ["version", "status", "engine", "tunnel", "completion", "policy", "reason", "metrics", "log"];

fn generated(home: &Path) -> String {
    let text = |path: &str| fs::read_to_string(home.join(path)).expect("a part of the header");
    let mut config =
        cbindgen::Config::from_file(home.join("cbindgen.toml")).expect("a configuration");
    let version = env!("CARGO_PKG_VERSION");
    let mut macros = text("header/macros.h").replace("@VERSION@", version);
    for (name, number) in ["@MAJOR@", "@MINOR@", "@PATCH@"].iter().zip(version.split('.')) {
        macros = macros.replace(name, number);
    }
    config.header = Some(text("header/introduction.h").trim_end().to_owned());
    config.after_includes = Some(macros);
    let builder =
        SOURCES.iter().fold(cbindgen::Builder::new().with_config(config), |builder, name| {
            builder.with_src(home.join(format!("src/{name}.rs")))
        });
    let mut header = Vec::new();
    builder.generate().expect("a header").write(&mut header);
    let header = String::from_utf8(header).expect("text");
    // What only Rust needs to be told.
    header.replace("//\n// # Safety\n", "").replace("\n//\n// # Safety", "")
}

#[test]
fn the_committed_header_is_what_the_sources_say() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (path, header) = (home.join("include/penstock.h"), generated(home));
    if std::env::var_os("PENSTOCK_BLESS").is_some() {
        fs::write(&path, &header).expect("written");
    }
    let committed = fs::read_to_string(&path).expect("include/penstock.h");
    assert!(
        committed == header,
        "include/penstock.h is not what src/ says: PENSTOCK_BLESS=1 cargo test -p penstock-ffi"
    );
}
