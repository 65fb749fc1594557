//! Sessions that are taken up again: who it was is still known, and what has changed since counts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, date_time_ymd};

use super::certificates::*;
use super::*;
use crate::error::Peer;

/// A server that asks for certificates, and a client that has one; changed as they are.
fn sides(
    authority: &Authority,
    of_server: impl Fn(&mut CertificateParams),
    of_client: impl Fn(&mut CertificateParams),
) -> (Client, Server) {
    let mut options = server_options(authority.identity(&["a.example"], of_server));
    options.client_auth = ClientAuth::Require;
    options.client_authorities = Some(authority.authorities());
    options.allowed = Some(Allowed::new(["O=Lab,CN=leaf"]));
    let identity = Some(authority.identity(&[], of_client));
    let client = ClientOptions { identity, ..client_options(authority) };
    (Client::new(client).unwrap(), Server::new(options).unwrap())
}

#[test]
fn who_comes_again_is_still_known_by_name() {
    let (client, server) = sides(&Authority::new("Lab CA"), unchanged, unchanged);
    for resumed in [false, true, true] {
        for end in meet_again(&client, &server, "a.example") {
            let agreed = agreed(&end);
            assert_eq!(agreed.resumed, resumed);
            assert_eq!(agreed.subject.as_deref(), Some("O=Lab,CN=leaf"));
        }
    }
}

#[test]
fn many_who_come_again_at_once_are_all_known() {
    let (client, server) = sides(&Authority::new("Lab CA"), unchanged, unchanged);
    // Each brings more than one ticket, and none of them is asked for before all have come.
    for resumed in [false, true, true] {
        let sessions: Vec<_> = (0..16)
            .map(|_| [client.session("a.example").unwrap(), server.session().unwrap()])
            .collect();
        let known = |ends: Ends| agreed(&ends[0]).resumed;
        let again = sessions.into_iter().map(ends_of).filter(|ends| known(ends.clone())).count();
        assert_eq!(again, if resumed { 16 } else { 0 });
    }
}

#[test]
fn who_comes_again_under_another_name_begins_anew() {
    let authority = Authority::new("Lab CA");
    let names = &["a.example", "b.example"];
    let server = Server::new(server_options(authority.identity(names, unchanged))).unwrap();
    let client = Client::new(client_options(&authority)).unwrap();
    for (name, resumed) in [("a.example", false), ("b.example", false), ("a.example", true)] {
        let [end, _] = meet_again(&client, &server, name);
        assert_eq!(agreed(&end).resumed, resumed, "{name}");
    }
}

#[test]
fn a_certificate_that_has_expired_since_does_not_come_in_again() {
    let authority = Authority::new("Lab CA");
    // Whole seconds are what certificates know.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let soon = |params: &mut CertificateParams| {
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(now + 10);
    };
    let (client, server) = sides(&authority, unchanged, soon);
    for end in meet_again(&client, &server, "a.example") {
        agreed(&end);
    }
    // Of the other side's, too: what a target showed once is not good for ever.
    let target = Server::new(server_options(authority.identity(&["a.example"], soon))).unwrap();
    let options = ClientOptions { verify: Verify::Off, ..client_options(&authority) };
    let careless = Client::new(options).unwrap();
    let is_resumed = || agreed(&meet_again(&careless, &target, "a.example")[0]).resumed;
    assert!(!is_resumed() && is_resumed());
    let end = UNIX_EPOCH + Duration::from_secs(now + 11);
    std::thread::sleep(
        end.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_millis(100),
    );
    let [told, refused] = meet_again(&client, &server, "a.example");
    let expired = CertificateFault::Expired;
    assert_eq!(refused, Err(Error::Certificate { of: Peer::Client, fault: expired }));
    assert_eq!(told, Err(Error::Told(Alert::CertificateExpired)));
    assert!(!is_resumed(), "it has to show a certificate, whatever that is worth");
}
