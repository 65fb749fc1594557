//! Which files are looked for, and which are taken. What libvirt's client does was seen with strace.

use super::*;
use crate::libvirt::User;
use alloc::borrow::ToOwned;

const CA: &str = "/etc/pki/CA/cacert.pem";
const CRL: &str = "/etc/pki/CA/cacrl.pem";
const CERTIFICATE: &str = "/etc/pki/libvirt/clientcert.pem";
const KEY: &str = "/etc/pki/libvirt/private/clientkey.pem";
const OWN_CA: &str = "/home/u/.pki/libvirt/cacert.pem";
const OWN_CRL: &str = "/home/u/.pki/libvirt/cacrl.pem";
const OWN_CERTIFICATE: &str = "/home/u/.pki/libvirt/clientcert.pem";
const OWN_KEY: &str = "/home/u/.pki/libvirt/clientkey.pem";

fn users() -> Places {
    let user = User { home: "/home/u/".to_owned(), runtime: "/run/user/7".to_owned() };
    Places::of(None, &Surroundings { user: Some(user) })
}

/// What is taken of what is there: CA, revocations, certificate.
fn found(
    places: &Places,
    there: &[&str],
) -> Result<(String, Option<String>, Option<Identity>), Missing> {
    places.find(|path| there.contains(&path)).map(|files| (files.ca, files.crl, files.identity))
}

fn pair(certificate: &str, key: &str) -> Option<Identity> {
    Some(Identity { certificate: certificate.to_owned(), key: key.to_owned() })
}

#[test]
fn a_user_has_files_of_their_own_before_the_systems() {
    let places = users();
    assert_eq!(places.ca, [OWN_CA, CA]);
    assert_eq!(places.crl, [OWN_CRL, CRL]);
    let own = (OWN_CA.to_owned(), Some(OWN_CRL.to_owned()), pair(OWN_CERTIFICATE, OWN_KEY));
    let all = [OWN_CA, OWN_CRL, OWN_CERTIFICATE, OWN_KEY, CA, CRL, CERTIFICATE, KEY];
    assert_eq!(found(&places, &all), Ok(own));
    let systems = (CA.to_owned(), Some(CRL.to_owned()), pair(CERTIFICATE, KEY));
    assert_eq!(found(&places, &all[4..]), Ok(systems));
}

#[test]
fn authorities_and_revocations_fall_back_one_by_one_and_identities_as_a_pair() {
    let places = users();
    let (ca, own_ca) = (CA.to_owned(), OWN_CA.to_owned());
    assert_eq!(found(&places, &[OWN_CA, CA, CRL]), Ok((own_ca, Some(CRL.to_owned()), None)));
    assert_eq!(found(&places, &[OWN_CRL, CA]), Ok((ca.clone(), Some(OWN_CRL.to_owned()), None)));
    let systems = pair(CERTIFICATE, KEY);
    for half in [OWN_KEY, OWN_CERTIFICATE] {
        let there = [CA, half, CERTIFICATE, KEY];
        assert_eq!(found(&places, &there), Ok((ca.clone(), None, systems.clone())));
    }
}

#[test]
fn root_has_the_systems_files_and_a_folder_stands_for_itself() {
    let places = Places::of(None, &Surroundings::default());
    assert_eq!((places.ca, places.crl), (vec![CA.to_owned()], vec![CRL.to_owned()]));
    assert_eq!(places.identity, pair(CERTIFICATE, KEY).into_iter().collect::<Vec<_>>());

    let places = Places::of(Some("/pki/"), &Surroundings::default());
    let there = ["/pki/cacert.pem", "/pki/clientcert.pem", "/pki/clientkey.pem", CA, CRL];
    let identity = pair("/pki/clientcert.pem", "/pki/clientkey.pem");
    assert_eq!(found(&places, &there), Ok(("/pki/cacert.pem".to_owned(), None, identity)));
    assert_eq!(found(&places, &[CA]), Err(Missing::Ca(vec!["/pki/cacert.pem".to_owned()])));
}

#[test]
fn half_an_identity_is_told() {
    let places = Places::of(None, &Surroundings::default());
    for (here, missing) in [(CERTIFICATE, KEY), (KEY, CERTIFICATE)] {
        let half = Missing::Half { found: here.to_owned(), missing: missing.to_owned() };
        assert_eq!(found(&places, &[CA, here]), Err(half));
    }
    assert_eq!(found(&places, &[CA]), Ok((CA.to_owned(), None, None)), "a client may be nobody");
}
