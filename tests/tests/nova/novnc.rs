//! VNC of instances: nova's own proxy, its class over the engine, and ours log in at the same servers, by the same file.

use penstock_tests::loopback;
use penstock_tests::pki::{Folder, Wanted};
use penstock_tests::vnc::client::{Failure, Login};
use penstock_tests::vnc::server::{self, Script, Server};
use penstock_tests::vnc::wire::Faults;
use penstock_tests::vnc::{security, subtype};

use crate::cell::{self, ALL, Cell, Made, Proxy, Whose, Wish};

/// As QEMU calls the first instance of a cell.
const NAME: &str = "QEMU (instance-00000001)";

fn named(script: Script) -> Script {
    Script { name: NAME.to_owned(), ..script }
}

/// Logs in as noVNC does; the console's name, if there is one.
fn look(server: &cell::Server, made: &Made) -> Result<String, Failure> {
    let path = format!("/websockify?token={}", made.token);
    let login = Login::new(security::NONE);
    let mut console = login.browse(server.address, None, &path, Faults::default())?;
    console.echo(b"is anybody there?")?;
    Ok(console.name)
}

#[test]
fn consoles_come_by_vencrypt_or_by_nothing_as_the_file_says() {
    let pki = Folder::new();
    let address = loopback::address().into();
    let issued = pki.authority.issue(&Wanted::server(address));
    let secured = server::config(&issued, Some(&pki.authority));
    let secure = Server::start_at(address, named(Script::vencrypt(&[subtype::X509_NONE], secured)));
    let clear = Server::start(named(Script::new(&[security::NONE])));
    let gateway = pki.authority.issue(&Wanted::client(&[("CN", "gateway")]));
    let [cert, key] = ["gateway-cert.pem", "gateway-key.pem"].map(|name| pki.path(name));
    gateway.write(&cert, &key);
    let rest = format!(
        "[vnc]\nauth_schemes = vencrypt,none\nvencrypt_ca_certs = {}\nvencrypt_client_cert = {}\nvencrypt_client_key = {}\n",
        pki.authority_file().display(),
        cert.display(),
        key.display()
    );
    let cell = Cell::new(None, &rest);
    let wish = |server: &Server| Wish {
        base: "http://gate.example/vnc_auto.html",
        ..Wish::new("novnc", server.address())
    };
    // All of one instance's name: the servers are not told apart by it.
    let first = cell.authorize(&[wish(&secure)]);
    for whose in ALL {
        let server = cell.serve(whose, Proxy::Novnc);
        let seen = look(&server, &first[0]);
        let seen = seen.unwrap_or_else(|failure| panic!("{failure:?}: {}", server.said()));
        assert_eq!(seen, NAME);
        let visit = secure.visit();
        assert_eq!(visit.subtype, Some(subtype::X509_NONE), "{whose:?}");
        assert!(visit.certificate.is_some(), "{whose:?} shows who it is");
    }
    // Nobody comes by nothing where that is not written.
    cell.rewrite("auth_schemes = vencrypt,none", "auth_schemes = vencrypt");
    let second = cell.authorize(&[wish(&clear)]);
    for whose in ALL {
        let server = cell.serve(whose, Proxy::Novnc);
        let refused = look(&server, &second[0]);
        assert!(matches!(refused, Err(Failure::Nothing(_) | Failure::Refused(..))), "{refused:?}");
    }
}

#[test]
fn a_console_that_is_another_instances_by_now_is_not_shown() {
    let cell = Cell::new(None, "[vnc]\nauth_schemes = none\n");
    let server = Server::start(named(Script::new(&[security::NONE])));
    let wish =
        Wish { base: "http://gate.example/vnc_auto.html", ..Wish::new("novnc", server.address()) };
    let made = cell.authorize(&[wish.clone(), wish]);
    assert_eq!(made[1].name, "instance-00000002");
    for whose in ALL {
        let proxy = cell.serve(whose, Proxy::Novnc);
        assert_eq!(look(&proxy, &made[0]).expect("a console"), NAME, "{}", proxy.said());
        let other = look(&proxy, &made[1]);
        match whose {
            // nova asks the compute node instead, of which there is none here.
            Whose::Nova | Whose::Hosted => assert!(other.is_ok(), "{other:?}"),
            Whose::Penstock => {
                let Err(Failure::Broken(_, Some((code, words)))) = &other else {
                    panic!("{other:?}: {}", proxy.said())
                };
                assert_eq!(*code, Some(1008), "{words}");
                assert!(words.contains("not valid any more"), "{words}");
                assert!(!words.contains("instance"), "{words}");
            }
        }
    }
}
