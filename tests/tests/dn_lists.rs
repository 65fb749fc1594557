//! Lists of distinguished names: whom libvirtd lets in by its own list, ours lets in, and nobody else.

use std::io::Read;

use penstock_tests::peers::LibvirtdSetup;
use penstock_tests::pki::{Folder, Issued, Wanted};
use penstock_tests::tls::TlsClient;
use penstock_tls::{Allowed, subject_of};

/// Subjects in the order of their certificate, as pairs of attribute and value.
const SUBJECTS: [&[(&str, &str)]; 10] = [
    &[("C", "GB"), ("ST", "London"), ("L", "London"), ("O", "Red Hat"), ("CN", "name")],
    &[("CN", "name"), ("O", "Red Hat"), ("C", "GB")],
    &[("C", "US"), ("L", "Provo"), ("OU", "Lab"), ("CN", "venus"), ("EMAIL", "a@example.com")],
    &[("C", "US"), ("L", "Provo"), ("OU", "Lab"), ("CN", "venus")],
    &[("O", "Comma, Inc."), ("CN", "plus+ and = sign")],
    &[("O", "#number"), ("CN", " before and behind ")],
    &[("O", "back\\slash"), ("CN", "a \"quoted\" <name>;")],
    &[("O", "Größe"), ("CN", "ä")],
    &[("UID", "7"), ("2.999.1", "nameless"), ("title", "Dr"), ("street", "High"), ("CN", "x")],
    &[("CN", "[n]ame*")],
];

/// Each is the whole list of one libvirtd.
const PATTERNS: [&str; 18] = [
    "*",
    "C=GB,ST=London,*",
    "c=gb,*",
    "CN=name",
    "CN=name*",
    "*CN=name",
    "C=US,L=*,OU=*,CN=venus,EMAIL=*",
    "C=US,L=*,OU=*,CN=venus",
    "C=US,L=Provo,*EMAIL=?@example.com",
    r"O=Comma\, Inc.,CN=*",
    "O=Comma, Inc.,CN=*",
    r"O=Comma\, Inc.,CN=plus\+ and = sign",
    r"O=\#number,CN=\ before and behind\ ",
    r#"O=back\\slash,CN=a \"quoted\" \<name\>\;"#,
    "O=Gr??e,CN=?",
    "UID=7,2.999.1=#*,title=Dr,street=*,CN=x",
    "*CN=[n]ame",
    r"CN=\[n\]ame\*",
];

#[test]
fn a_pattern_means_what_it_means_to_libvirtd() {
    let pki = Folder::new();
    let clients: Vec<(Issued, TlsClient)> = SUBJECTS
        .iter()
        .map(|subject| {
            let identity = pki.authority.issue(&Wanted::client(subject));
            let client = TlsClient::new(&pki.authority, Some(&identity));
            (identity, client)
        })
        .collect();
    let (mut admitted, mut refused, mut different) = (0, 0, Vec::new());
    for pattern in PATTERNS {
        let setup = LibvirtdSetup::new();
        let server = pki.authority.issue(&Wanted::server(setup.address()));
        let libvirtd = setup.tls(&pki.authority, &server).allow(&[pattern]).start();
        let ours = Allowed::new([pattern]);
        for (identity, client) in &clients {
            let subject = subject_of(&identity.der).expect("a subject");
            let mut stream = client.connect(libvirtd.tls()).expect("TLS comes before the verdict");
            // One byte says that one may go on; else there is an end, in whatever manner.
            let is_admitted = stream.read_exact(&mut [0]).is_ok();
            *if is_admitted { &mut admitted } else { &mut refused } += 1;
            if ours.admits(&subject) != is_admitted {
                different.push(format!("{pattern} admits {subject}: {is_admitted}"));
            }
        }
    }
    assert!(different.is_empty(), "libvirtd differs:\n{}", different.join("\n"));
    assert!(admitted >= 20 && refused >= 100, "{admitted} admitted and {refused} refused");
}
