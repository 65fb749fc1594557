//! Whose certificate may enter: our lists of subjects against libvirtd's own `tls_allowed_dn_list`.

use penstock_tests::peers::{Gatekeeper, subject_by_libvirt};
use penstock_tests::subjects::{self, Signed, Signer, Subject};
use penstock_tls::{Allowed, subject_of};

const PRINTABLE_OR_BMP: &str = "MASK:0x0802";
const T61: &str = "MASK:0x0004";

const SUBJECTS: &[Subject<'static>] = &[
    Subject::new(&[
        ("C", "GB"),
        ("ST", "London"),
        ("L", "London"),
        ("O", "Red Hat"),
        ("CN", "name"),
    ]),
    Subject::new(&[
        ("CN", "name"),
        ("O", "Red Hat"),
        ("L", "London"),
        ("ST", "London"),
        ("C", "GB"),
    ]),
    Subject::new(&[
        ("C", "US"),
        ("L", "Provo"),
        ("O", "Example"),
        ("OU", "Consoles"),
        ("CN", "venus.example.com"),
        ("emailAddress", "me@example.com"),
    ]),
    Subject::new(&[
        ("C", "US"),
        ("L", "Provo"),
        ("O", "Example"),
        ("OU", "Consoles"),
        ("CN", "venus.example.com"),
    ]),
    Subject::new(&[
        ("C", "US"),
        ("O", "Example"),
        ("OU", "One"),
        ("OU", "Two"),
        ("CN", "venus.example.com"),
    ]),
    Subject::new(&[("O", "Lab"), ("+OU", "Consoles"), ("CN", "proxy"), ("+serialNumber", "7")]),
    Subject::new(&[("CN", r#"a,b+c"d\e<f>g;h=i"#)]),
    Subject::new(&[("CN", "#hash#")]),
    Subject::new(&[("O", " "), ("CN", "  blanks  ")]),
    Subject::new(&[("CN", "[GX]*?{}'")]),
    Subject::new(&[("CN", "tab\tand\x01\x7f")]),
    Subject::new(&[("O", "Zürich"), ("CN", "東京")]),
    Subject { attributes: &[("O", "plain"), ("CN", "Zürich €")], mask: PRINTABLE_OR_BMP },
    Subject { attributes: &[("CN", "Zürich")], mask: T61 },
    Subject { attributes: &[("CN", "plain")], mask: T61 },
    Subject::new(&[("O", "\\"), ("OU", "#"), ("CN", "+")]),
    Subject::new(&[
        ("DC", "com"),
        ("DC", "example"),
        ("UID", "jdoe"),
        ("custom", "x"),
        ("CN", "all sorts"),
    ]),
    Subject::new(&[
        ("street", "1 Way"),
        ("postalCode", "NW1"),
        ("title", "Dr"),
        ("GN", "A"),
        ("SN", "B"),
        ("initials", "AB"),
        ("pseudonym", "p"),
        ("dnQualifier", "q"),
        ("generationQualifier", "III"),
        ("description", "d"),
        ("businessCategory", "b"),
        ("name", "n"),
        ("unstructuredName", "u"),
        ("CN", "words"),
    ]),
    Subject::new(&[
        ("telephoneNumber", "1"),
        ("id-pda-placeOfBirth", "Berlin"),
        ("id-pda-gender", "F"),
        ("id-pda-countryOfCitizenship", "DE"),
        ("id-pda-countryOfResidence", "DE"),
        ("jurisdictionL", "L"),
        ("jurisdictionST", "S"),
        ("jurisdictionC", "DE"),
        ("msUPN", "u"),
        ("id-on-xmppAddr", "x@y"),
        ("INN", "1"),
        ("OGRN", "2"),
        ("SNILS", "3"),
        ("CN", "more words"),
    ]),
];

const LISTS: &[Option<&[&str]>] = &[
    None,
    Some(&[]),
    Some(&["*"]),
    Some(&[""]),
    Some(&["C=GB,ST=London,*"]),
    Some(&["CN=name*"]),
    Some(&["*CN=name"]),
    Some(&["c=gb,*", "C=gb,*"]),
    Some(&["C=[GX]B,*", "CN=[[]GX]*"]),
    Some(&["C=US,L=Provo,O=*,OU=*,CN=venus.example.com,EMAIL=*"]),
    Some(&["*,EMAIL=me@example.com", "*emailAddress=*"]),
    Some(&["C=US,*,OU=*,CN=venus.example.com"]),
    Some(&["*O=Lab+OU=Consoles*", "*CN=proxy+serialNumber=7"]),
    Some(&["OU=Consoles+O=Lab,*"]),
    Some(&[r#"CN=a\,b\+c\"d\\e\<f\>g\;h=i"#]),
    Some(&[r#"CN=a,b+c"d\e<f>g;h=i"#, r"CN=\[GX\]\*\?*"]),
    Some(&[r"CN=\#hash#", r"O=\ ,CN=\  blanks \ "]),
    Some(&["CN=#hash#", "O= ,CN=  blanks  ", r"CN=\#hash\#"]),
    Some(&["CN=[GX]*?{}'"]),
    Some(&["CN=tab\tand??"]),
    Some(&["O=Z?rich,CN=??"]),
    Some(&["O=Z??rich,CN=*", "CN=Z??rich"]),
    Some(&["*CN=Zürich*", "O=plain,CN=Z?rich ?"]),
    Some(&[r"CN=\#*", "CN=plain"]),
    Some(&["DC=com,DC=example,UID=jdoe,2.999.1=#*"]),
    Some(&["street=*,postalCode=*,*,surName=B,*", "*dnQualifier=q,*"]),
    Some(&["nobody", "?", "*,CN=name"]),
];

fn clients(signer: &Signer) -> Vec<Signed> {
    let issue = |(n, subject): (usize, &Subject<'_>)| signer.issue(&format!("client{n}"), *subject);
    SUBJECTS.iter().enumerate().map(issue).collect()
}

fn ours(client: &Signed) -> Option<String> {
    subject_of(&subjects::der(&client.certificate))
}

#[test]
fn subjects_read_as_libvirt_reads_them() {
    let signer = Signer::new();
    for client in clients(&signer) {
        let (ours, libvirts) = (ours(&client), subject_by_libvirt(&client.certificate));
        assert_eq!(ours, libvirts);
        assert!(ours.is_some(), "{client:?}");
    }
}

#[test]
fn libvirtd_lets_in_whom_we_would_let_in() {
    let signer = Signer::new();
    let clients: Vec<(Signed, String)> = clients(&signer)
        .into_iter()
        .map(|client| (client.clone(), ours(&client).expect("a subject")))
        .collect();
    let (mut admitted, mut refused) = (0, 0);
    for list in LISTS {
        let gatekeeper = Gatekeeper::start(&signer, *list);
        let allowed = list.map(|patterns| Allowed::new(patterns.iter().copied()));
        for (client, subject) in &clients {
            let ours = allowed.as_ref().is_none_or(|allowed| allowed.admits(subject));
            assert_eq!(gatekeeper.admits(&signer, client), ours, "{subject} against {list:?}");
            *(if ours { &mut admitted } else { &mut refused }) += 1;
        }
    }
    assert!(admitted >= 50 && refused >= 50, "{admitted} and {refused} show too little");
}

#[test]
fn who_has_no_subject_is_on_no_list() {
    let signer = Signer::new();
    let client = signer.issue("nobody", Subject::new(&[]));
    assert_eq!((ours(&client), subject_by_libvirt(&client.certificate)), (None, None));
    assert!(!Gatekeeper::start(&signer, Some(&["*"])).admits(&signer, &client));
}
