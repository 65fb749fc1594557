//! What the documents show as a configuration is understood as it stands, once the files that it names are there.

use std::fs;
use std::path::{Path, PathBuf};

use penstock_tests::pki::{Authority, Wanted};
use penstock_tests::process;
use penstock_tests::setup;

/// For lines that are shown without their listener.
const LISTENER: &str =
    "[[listen]]\nname = \"x\"\naddress = \"127.0.0.1:9\"\nservice = \"forward\"\n";

/// The blocks of TOML in a document.
fn recipes(document: &Path) -> Vec<String> {
    let (mut recipes, mut block) = (Vec::new(), None);
    for line in fs::read_to_string(document).expect("a document").lines() {
        match (line.trim(), &mut block) {
            ("```toml", None) => block = Some(String::new()),
            ("```", Some(_)) => recipes.extend(block.take()),
            (line, Some(block)) => *block += &format!("{line}\n"),
            (_, None) => {}
        }
    }
    recipes
}

/// The files and folders below `/etc` that a recipe names.
fn named(recipe: &str) -> Vec<&str> {
    let from = recipe.match_indices("/etc/").map(|(at, _)| &recipe[at..]);
    from.map(|rest| rest.split('"').next().unwrap_or(rest)).collect()
}

/// Puts there what is named: authorities, certificates and keys that belong together, libvirt's folders.
fn provide(root: &Path, paths: &[&str]) {
    let authority = Authority::new("recipes");
    let issued = authority.issue(&Wanted::named_server("host.example"));
    for path in paths {
        let path = root.join(path.trim_start_matches('/'));
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let text = match name {
            "cacert.pem" | "ca-cert.pem" => authority.pem(),
            name if ["key.pem", ".key", ".key.nopass"].iter().any(|end| name.ends_with(end)) => {
                &issued.key
            }
            name if name.ends_with(".pem") || name.ends_with(".cer") => &issued.certificate,
            _ => {
                authority.libvirt_client(&path, Some(&issued), None);
                continue;
            }
        };
        fs::create_dir_all(path.parent().expect("a folder")).expect("our directory");
        fs::write(&path, text).expect("our directory");
    }
}

#[test]
fn every_configuration_in_the_documents_is_understood() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let docs = fs::read_dir(top.join("docs")).expect("documents");
    let mut documents: Vec<PathBuf> = docs.map(|entry| entry.expect("a file").path()).collect();
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    documents.push(top.join("README.md"));
    let dir = process::directory();
    let mut count = 0;
    for document in documents {
        for recipe in recipes(&document) {
            let paths = named(&recipe);
            provide(dir.path(), &paths);
            let here = recipe.replace("/etc/", &format!("{}/etc/", dir.path().display()));
            let here = here.replace("/var/lib/penstock/", &format!("{}/", dir.path().display()));
            // A group of libvirt's packages.
            let here = here.replace("\"libvirt\"\n", "\"root\"\n");
            let head = if here.contains("[[listen]]") { "" } else { LISTENER };
            let file = dir.path().join("recipe.toml");
            fs::write(&file, format!("{head}{here}")).expect("our directory");
            let mut check = std::process::Command::new(setup::program());
            let output = check.arg("check").arg(&file).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}\n{recipe}", document.display());
            count += 1;
        }
    }
    assert!(count > 8, "only {count} were found");
}
