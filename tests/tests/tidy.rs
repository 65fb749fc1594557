//! The rules of the house, as a test: where crates may point, where unsafe may stand, and what a file may look like.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use penstock_tests::process;

/// A file's path from the top of the repository, and its text.
type Source = (String, String);

/// Whom each of our packages may use, beside packages of others.
const MAY_USE: &[(&str, &[&str])] = &[
    ("penstock-proto", &[]),
    ("penstock-ring", &[]),
    ("penstock-tls", &[]),
    ("penstock-core", &["penstock-proto", "penstock-ring", "penstock-tls"]),
    ("penstock-config", &["penstock-core"]),
    ("penstock-control", &["penstock-core"]),
    ("penstock", &["penstock-config", "penstock-control", "penstock-core"]),
    ("penstock-ffi", &["penstock-config", "penstock-control", "penstock-core"]),
];

/// These may use all of the others; nobody may use them.
const MAY_USE_ALL: &[&str] = &["penstock-tests", "penstock-bench"];

/// Where unsafe is legal.
const UNSAFE_IN: &[&str] = &["engine/ring/", "ffi/"];

/// Lines of a file before its unit tests.
const FILE_LINES: usize = 450;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Every Rust file that git knows or would add.
fn sources() -> Vec<Source> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]);
    let list = process::run(git.current_dir(top()));
    let read = |path: &str| Some((path.to_owned(), fs::read_to_string(top().join(path)).ok()?));
    let sources: Vec<Source> = list.lines().filter_map(read).collect();
    assert!(sources.len() > 30, "where are the sources? {list}");
    sources
}

/// Applies a rule to every file and fails with all that it finds.
fn check(rule: impl Fn(&str, &str) -> Vec<String>) {
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|(path, text)| {
            rule(path, text).into_iter().map(move |what| format!("{path}: {what}"))
        })
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The lines before the unit tests, with their numbers.
fn product(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).take_while(|(line, _)| *line != "#[cfg(test)]").map(|(line, n)| (n, line))
}

fn long_file(path: &str, text: &str) -> Vec<String> {
    let lines = product(text).count();
    if lines > FILE_LINES && !path.ends_with("/tests.rs") {
        vec![format!("{lines} lines")]
    } else {
        Vec::new()
    }
}

fn long_functions(_: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(at) = words.iter().position(|word| *word == "fn") else { continue };
        let is_item = words[..at].iter().all(|word| {
            ["pub", "const", "async", "unsafe", "extern"].contains(word)
                || word.starts_with("pub(")
                || word.starts_with('"')
        });
        // rustfmt puts the closing brace where the function began.
        let indent = &line[..line.len() - line.trim_start().len()];
        let closing = format!("{indent}}}");
        let length = lines[start..].iter().position(|line| *line == closing).map_or(0, |n| n + 1);
        let one_line = line.ends_with('}') || line.ends_with(';');
        if is_item && !one_line && length > FUNCTION_LINES {
            found.push(format!("{}: a function of {length} lines", start + 1));
        }
    }
    found
}

fn stray_unsafe(path: &str, text: &str) -> Vec<String> {
    if UNSAFE_IN.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    let is_root = path.ends_with("src/lib.rs") || path.ends_with("src/main.rs");
    let forbids = text.contains("#![forbid(unsafe_code)]");
    let unforbidden = (is_root && !forbids).then(|| "does not forbid unsafe code".to_owned());
    let stray = text.lines().zip(1..).filter(|(line, _)| {
        let code = line.split("//").next().unwrap_or_default();
        ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe("]
            .iter()
            .any(|form| code.trim_start().starts_with(form) || code.contains(&format!(" {form}")))
    });
    stray.map(|(_, n)| format!("{n}: unsafe")).chain(unforbidden).collect()
}

fn silent_module(_: &str, text: &str) -> Vec<String> {
    let speaks = text.lines().take(5).any(|line| line.starts_with("//!"));
    if speaks { Vec::new() } else { vec!["no word on what it is for (//!)".to_owned()] }
}

/// Left-over notes, and code that is kept as a comment.
fn litter(_: &str, text: &str) -> Vec<String> {
    let is_litter = |line: &str| {
        let Some((before, comment)) = line.split_once("//") else { return false };
        let note = ["TODO", "FIXME", "XXX", "HACK"].iter().any(|word| comment.contains(word));
        let comment = comment.trim();
        let first = comment.split([' ', '(', '.', '!']).next().unwrap_or_default();
        let is_code = comment.ends_with([';', '{', '}'])
            && ["let", "use", "fn", "pub", "return", "impl", "struct", "self", "assert", "}", "#["]
                .contains(&first);
        before.trim().is_empty() && (note || is_code)
    };
    let litter = text.lines().zip(1..).filter(|(line, _)| is_litter(line));
    litter.map(|(line, n)| format!("{n}: {}", line.trim())).collect()
}

/// Files that no crate contains.
fn orphans(sources: &[Source]) -> Vec<String> {
    let is_root = |path: &Path| {
        let name = path.file_name().is_some_and(|name| name == "lib.rs" || name == "main.rs");
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        let mut target = ["bin", "tests", "examples", "benches", "targets"].iter();
        name || path.ends_with("build.rs") || target.any(|kind| folder == *kind)
    };
    let is_included = |path: &Path| {
        let is_mod = path.ends_with("mod.rs");
        let module = if is_mod { path.parent().unwrap_or(path) } else { path };
        let stem = module.file_stem().unwrap_or_default().to_string_lossy();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let home = module.parent().unwrap_or(path);
        sources.iter().any(|(other, text)| {
            let other = Path::new(other);
            // home/mod.rs, home/lib.rs or any other root there, or home.rs beside it.
            let may_declare = other.parent() == Some(home) || other.with_extension("") == home;
            let declares = text.lines().any(|line| {
                line.trim_end().ends_with(&format!("mod {stem};"))
                    && !line.trim_start().starts_with("//")
            });
            let by_path = text.contains("#[path") && text.contains(&format!("{file}\"]"));
            other != path && (may_declare && declares || by_path)
        })
    };
    let paths = sources.iter().map(|(path, _)| PathBuf::from(path));
    let orphans = paths.filter(|path| !is_root(path) && !is_included(path));
    orphans.map(|path| path.display().to_string()).collect()
}

/// Edges between our own packages that are not in the drawing.
fn wrong_edges(uses: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (package, used) in uses.iter().filter(|(name, _)| !MAY_USE_ALL.contains(&name.as_str())) {
        let may = MAY_USE.iter().find(|(name, _)| name == package).map(|(_, may)| *may);
        match may {
            None => found.push(format!("{package} is not in the drawing")),
            Some(may) => {
                let wrong = used.iter().filter(|name| !may.contains(&name.as_str()));
                found.extend(wrong.map(|name| format!("{package} -> {name}")));
            }
        }
    }
    found
}

/// Which of our packages each of our packages names in its manifest, for whatever purpose.
fn our_edges() -> BTreeMap<String, Vec<String>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let text = process::run(cargo.current_dir(top()));
    let metadata: serde_json::Value = serde_json::from_str(&text).expect("JSON of cargo");
    let text = |value: &serde_json::Value| value.as_str().expect("a name").to_owned();
    let array = |value: &serde_json::Value| value.as_array().expect("a list").clone();
    let edges = array(&metadata["packages"]).into_iter().map(|package| {
        let all = array(&package["dependencies"]);
        let ours = all.iter().filter(|dependency| dependency["path"].is_string());
        (text(&package["name"]), ours.map(|dependency| text(&dependency["name"])).collect())
    });
    edges.collect()
}

#[test]
fn crates_point_the_way_they_are_drawn() {
    let edges = our_edges();
    assert!(MAY_USE.iter().all(|(name, _)| edges.contains_key(*name)), "{edges:?}");
    assert_eq!(wrong_edges(&edges), [""; 0]);
}

#[test]
fn unsafe_stays_where_it_is_legal() {
    check(stray_unsafe);
}

#[test]
fn files_are_short() {
    check(long_file);
}

#[test]
fn functions_are_short() {
    check(long_functions);
}

#[test]
fn every_file_says_what_it_is_for() {
    check(silent_module);
}

#[test]
fn nothing_is_left_lying_about() {
    check(litter);
}

#[test]
fn every_file_belongs_to_a_crate() {
    assert_eq!(orphans(&sources()), [""; 0]);
}

/// Each rule finds what it is there for, and lets pass what is right.
#[test]
fn the_rules_can_be_broken() {
    let long = "x\n".repeat(451);
    assert_eq!((long_file("", &long).len(), long_file("", "#[cfg(test)]\n").len()), (1, 0));
    let tests = format!("#[cfg(test)]\n{long}");
    assert_eq!(long_file("", &tests).len(), 0);

    let function =
        |lines| format!("    pub(crate) fn f() {{\n{}    }}\n", "        x\n".repeat(lines));
    assert_eq!(long_functions("", &function(69)).len(), 1);
    assert_eq!(long_functions("", &function(68)).len(), 0);

    // Put together, lest the rule find it here.
    let block = ["#![forbid(unsafe_code)]\nfn f() {", "unsafe", "{ g() } }\n"].join(" ");
    assert_eq!(stray_unsafe("engine/core/src/lib.rs", &block).len(), 1);
    assert_eq!(stray_unsafe("engine/ring/src/lib.rs", &block).len(), 0);
    assert_eq!(stray_unsafe("engine/core/src/lib.rs", "fn f() {}\n").len(), 1);
    assert_eq!(stray_unsafe("engine/core/src/f.rs", "// unsafe { } is for others\n").len(), 0);

    assert_eq!(silent_module("", "use std::io;\n").len(), 1);
    assert_eq!(litter("", "    // TODO later\n// let x = 1;\n// }\n").len(), 3);
    assert_eq!(litter("", "// Prose may end so;\nlet url = \"http://x{\";\n").len(), 0);

    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let crate_of_two = [file("a/src/lib.rs", "mod b;\n"), file("a/src/b.rs", "mod c;\n")];
    let with_leaf = [&crate_of_two[..], &[file("a/src/b/c.rs", "")]].concat();
    let with_orphan = [&with_leaf[..], &[file("a/src/d.rs", "")]].concat();
    assert_eq!(orphans(&with_leaf), [""; 0]);
    assert_eq!(orphans(&with_orphan), ["a/src/d.rs"]);

    let uses = |package: &str, used: &str| BTreeMap::from([(package.into(), vec![used.into()])]);
    assert_eq!(wrong_edges(&uses("penstock-core", "penstock-ring")), [""; 0]);
    assert_eq!(wrong_edges(&uses("penstock-ring", "penstock-core")).len(), 1);
    assert_eq!(wrong_edges(&uses("penstock-core", "penstock-tests")).len(), 1);
    assert_eq!(wrong_edges(&uses("penstock-new", "penstock-core")).len(), 1);
}
