//! Settings out of files: what is read, what is said of files that can't be used, and how they are renewed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rcgen::date_time_ymd;
use tempfile::TempDir;

use super::certificates::{Authority, agreed, meet_again, unchanged};
use super::*;

/// Files of a CA, a server and a client.
struct Folder(TempDir);

impl Folder {
    fn new() -> (Folder, Authority) {
        let (folder, authority) = (Folder(TempDir::new().unwrap()), Authority::new("Lab CA"));
        folder.put("ca.pem", &authority.pem);
        for name in ["server", "client"] {
            let (certificate, key) = authority.leaf(&["a.example"], unchanged);
            folder.put(&format!("{name}.pem"), &certificate);
            folder.put(&format!("{name}.key"), &key);
        }
        (folder, authority)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn server(&self) -> ServerFiles {
        ServerFiles {
            cert: vec![self.path("server.pem")],
            key: vec![self.path("server.key")],
            key_password_file: None,
            client_ca: Some(self.path("ca.pem")),
            crl: None,
            client_auth: ClientAuth::Require,
            allowed: None,
            min_version: MinVersion::Tls12,
            alpn: Vec::new(),
            tickets: true,
            implementation: Implementation::AwsLc,
        }
    }

    fn client(&self) -> ClientFiles {
        ClientFiles {
            ca: Some(Ca::File(self.path("ca.pem"))),
            cert: Some(self.path("client.pem")),
            key: Some(self.path("client.key")),
            key_password_file: None,
            crl: None,
            verify: Verify::Name,
            min_version: MinVersion::Tls12,
            alpn: Vec::new(),
            implementation: Implementation::AwsLc,
            by_common_name: Arc::default(),
        }
    }
}

fn of_server(change: impl FnOnce(&mut ServerFiles, &Folder)) -> FileError {
    let (folder, _) = Folder::new();
    let mut files = folder.server();
    change(&mut files, &folder);
    files.load().expect_err("something is wrong with it")
}

fn of_client(change: impl FnOnce(&mut ClientFiles, &Folder)) -> FileError {
    let (folder, _) = Folder::new();
    let mut files = folder.client();
    change(&mut files, &folder);
    files.load().expect_err("something is wrong with it")
}

#[test]
fn what_is_read_can_be_used() {
    let (folder, authority) = Folder::new();
    let list = folder.put("crl.pem", &authority.list_pem(false, 2090));
    let mut server = folder.server();
    server.crl = Some(list);
    let client = folder.client().load().unwrap();
    let [_, end] = meet_again(&client, &server.load().unwrap(), "a.example");
    assert!(agreed(&end).subject.is_some());
    let names = |paths: Vec<&Path>| -> Vec<String> {
        paths.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(server.files()), ["server.pem", "server.key", "ca.pem", "crl.pem"]);
    assert_eq!(names(folder.client().files()), ["ca.pem", "client.pem", "client.key"]);
}

#[test]
fn a_key_that_is_needed_and_not_there_is_named() {
    for (error, key) in [
        (of_server(|files, _| files.cert.clear()), "cert"),
        (of_server(|files, _| files.client_ca = None), "client_ca"),
        (of_client(|files, _| files.ca = None), "ca"),
        (of_client(|files, _| files.cert = None), "cert"),
        (of_client(|files, _| files.key = None), "key"),
    ] {
        assert_eq!(error, FileError { key, path: None, fault: FileFault::Required });
    }
    let error = of_server(|files, _| files.key.clear());
    assert_eq!((error.key, error.path), ("key", None));
    assert_eq!(error.fault, FileFault::Unpaired { certificates: 1, keys: 0 });
    let (folder, _) = Folder::new();
    let unverified = ClientFiles { ca: None, verify: Verify::Off, ..folder.client() };
    assert!(unverified.load().is_ok(), "who verifies nothing needs nobody to trust");
}

#[test]
fn a_file_that_can_not_be_used_is_named_with_its_key_and_the_reason() {
    let gone = |folder: &Folder| folder.path("gone.pem");
    for (error, key, path, words) in [
        (of_server(|f, d| f.cert = vec![gone(d)]), "cert", "gone.pem", "No such file"),
        (of_server(|f, d| f.key = vec![gone(d)]), "key", "gone.pem", "No such file"),
        (of_server(|f, d| f.client_ca = Some(gone(d))), "client_ca", "gone.pem", "mend the path"),
        (of_server(|f, d| f.crl = Some(gone(d))), "crl", "gone.pem", "No such file"),
        (of_client(|f, d| f.ca = Some(Ca::File(gone(d)))), "ca", "gone.pem", "No such file"),
        (
            of_client(|f, d| f.key_password_file = Some(gone(d))),
            "key_password_file",
            "gone.pem",
            "No such file",
        ),
        (of_server(|f, d| f.cert = vec![d.path("")]), "cert", "", "no regular file"),
        (
            of_server(|f, d| f.cert = vec![d.path("server.key")]),
            "cert",
            "server.key",
            "expected a certificate",
        ),
        (
            of_server(|f, d| f.key = vec![d.path("client.key")]),
            "key",
            "client.key",
            "not the one of the certificate",
        ),
        (
            of_server(|f, d| f.client_ca = Some(d.path("server.key"))),
            "client_ca",
            "server.key",
            "expected a certificate",
        ),
        (
            of_server(|f, d| f.crl = Some(d.path("ca.pem"))),
            "crl",
            "ca.pem",
            "expected a certificate revocation list",
        ),
        (
            of_server(|f, d| {
                let torn = "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n";
                f.crl = Some(d.put("torn.pem", torn));
            }),
            "crl",
            "torn.pem",
            "can't be read",
        ),
    ] {
        let end = error.path.as_ref().unwrap().display().to_string();
        assert!(error.key == key && end.ends_with(path), "{error}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("`{key}` (/")) && text.contains(words), "{text}");
    }
}

#[test]
fn a_file_without_end_is_not_read_to_its_end() {
    let error = of_server(|files, folder| {
        let file = fs::File::create(folder.path("huge.pem")).unwrap();
        file.set_len(20 << 20).unwrap();
        files.cert = vec![folder.path("huge.pem")];
    });
    assert!(error.to_string().contains("larger than 16 MiB"), "{error}");
    let error = of_server(|files, _| files.cert = vec!["/dev/zero".into()]);
    assert!(error.to_string().contains("no regular file"), "{error}");
}

#[test]
fn each_of_several_certificates_has_its_key() {
    let (folder, authority) = Folder::new();
    let (certificate, key) = authority.leaf(&["b.example"], unchanged);
    let (second, second_key) = (folder.put("b.pem", &certificate), folder.put("b.key", &key));
    let mut files = folder.server();
    files.cert.push(second);
    files.key.push(second_key);
    let client = folder.client().load().unwrap();
    for name in ["a.example", "b.example"] {
        let [end, _] = meet_again(&client, &files.load().unwrap(), name);
        assert!(agreed(&end).subject.is_some(), "{name}");
    }
    files.key.reverse();
    assert_eq!(files.load().unwrap_err().fault, FileFault::Mismatch);
}

#[test]
fn what_is_renewed_is_for_those_who_come_later() {
    let (folder, authority) = Folder::new();
    let files = folder.server();
    let current = Swap::new(files.load().unwrap());
    let handle = current.clone();
    let before = handle.get();
    let (certificate, key) =
        authority.leaf(&["a.example"], |params| params.not_after = date_time_ymd(2040, 1, 1));
    folder.put("server.pem", &certificate[..certificate.len() / 2]);
    assert!(files.load().is_err(), "half a certificate");
    folder.put("server.pem", &certificate);
    assert_eq!(files.load().unwrap_err().fault, FileFault::Mismatch, "the key comes later");
    folder.put("server.key", &key);
    current.put(files.load().unwrap());
    let in_2040 = SystemTime::UNIX_EPOCH + Duration::from_secs(2_208_988_800);
    assert_eq!(handle.get().expires(), in_2040);
    assert_ne!(before.expires(), in_2040);
}

#[test]
fn the_end_of_the_first_certificate_counts() {
    let (folder, authority) = Folder::new();
    let ends = |year: i32| {
        authority.leaf(&["a.example"], |params| params.not_after = date_time_ymd(year, 1, 1))
    };
    let mut files = folder.server();
    files.cert.clear();
    files.key.clear();
    for year in [2050, 2040, 2060] {
        let (certificate, key) = ends(year);
        files.cert.push(folder.put(&format!("{year}.pem"), &certificate));
        files.key.push(folder.put(&format!("{year}.key"), &key));
    }
    let in_2040 = SystemTime::UNIX_EPOCH + Duration::from_secs(2_208_988_800);
    assert_eq!(files.load().unwrap().expires(), in_2040);
    let mut client = folder.client();
    client.cert = Some(folder.path("2040.pem"));
    client.key = Some(folder.path("2040.key"));
    assert_eq!(client.load().unwrap().expires(), Some(in_2040));
    (client.cert, client.key) = (None, None);
    assert_eq!(client.load().unwrap().expires(), None);
}

/// What the `openssl` program makes of our key, on its standard output.
fn openssl(folder: &Folder, arguments: &[&str]) -> String {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder.0.path())
        .output()
        .expect("the openssl program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn encrypted_keys_as_openssl_makes_them_are_opened() {
    let (folder, _) = Folder::new();
    let password = folder.put("password", "right horse\n");
    let wrong = folder.put("wrong", "wrong horse\n");
    let dos = folder.put("dos", "right horse\r\nand more\r\n");
    let pass = ["-passout", "file:password"];
    for form in [
        &["pkcs8", "-topk8", "-in", "server.key"][..],
        &["pkcs8", "-topk8", "-in", "server.key", "-v2", "aes-128-cbc", "-v2prf", "hmacWithSHA512"],
        &["pkcs8", "-topk8", "-in", "server.key", "-scrypt"],
        &["pkey", "-in", "server.key", "-aes256"],
    ] {
        let mut files = folder.server();
        let key = folder.put("locked.key", &openssl(&folder, &[form, &pass].concat()));
        files.key = vec![key];
        assert_eq!(files.load().unwrap_err().fault, FileFault::Encrypted);
        files.key_password_file = Some(wrong.clone());
        let error = files.load().unwrap_err();
        assert_eq!((error.key, error.fault), ("key", FileFault::Password), "{form:?}");
        for file in [&password, &dos] {
            files.key_password_file = Some(file.clone());
            files.load().unwrap_or_else(|error| panic!("{form:?}: {error}"));
        }
    }
}

#[test]
fn keys_encrypted_as_of_old_are_refused_with_a_way_out() {
    let (folder, _) = Folder::new();
    let password = folder.put("password", "right horse\n");
    let pass = ["-passout", "file:password", "-provider", "legacy", "-provider", "default"];
    let of = |form: &[&str]| {
        let key = folder.put("locked.key", &openssl(&folder, &[form, &pass].concat()));
        let mut files = folder.server();
        (files.key, files.key_password_file) = (vec![key], Some(password.clone()));
        files.load().unwrap_err()
    };
    let error = of(&["ec", "-in", "server.key", "-aes128"]);
    assert_eq!(error.fault, FileFault::OldEncryption);
    assert!(error.to_string().contains("openssl pkcs8 -topk8"), "{error}");
    for scheme in ["PBE-MD5-DES", "PBE-SHA1-3DES"] {
        let error = of(&["pkcs8", "-topk8", "-in", "server.key", "-v1", scheme]);
        assert!(matches!(error.fault, FileFault::OtherEncryption(_)), "{scheme}: {error}");
    }
    let error = of(&["pkcs8", "-topk8", "-in", "server.key", "-v2", "des-ede3-cbc"]);
    assert!(matches!(error.fault, FileFault::OtherEncryption(_)), "{error}");
}

#[test]
fn the_systems_own_authorities_are_read() {
    let (folder, _) = Folder::new();
    let files = ClientFiles::of_the_system(Implementation::Ring);
    assert!(matches!(files.verify, Verify::Name) && files.implementation == Implementation::Ring);
    match files.load() {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.key, "ca");
            assert!(error.to_string().contains("install ca-certificates"), "{error}");
        }
    }
    let watched = files.files();
    assert!(!watched.contains(&folder.path("ca.pem").as_path()));
    let here = Path::new("/etc/ssl/certs/ca-certificates.crt");
    let elsewhere = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    assert!(watched.contains(&elsewhere.as_deref().unwrap_or(here)), "{watched:?}");
}
