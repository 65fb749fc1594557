//! A row of `console_auth_tokens`, and what it means now.

use std::time::Duration;

use penstock_core::config::NovaDatabase;
use penstock_core::control::{Found, Terms, TokenFault, TokenRefusal};

use super::super::{refusal, unknown};
use super::{access_path, judge_page, place_of};

/// What is asked for. The question's place is written in each database's own way.
pub(super) const COLUMNS: &str = "SELECT t.console_type, t.host, t.port, t.internal_access_path, t.instance_uuid, t.expires, t.access_url_base, i.id \
     FROM console_auth_tokens t LEFT JOIN instances i ON i.uuid = t.instance_uuid AND i.deleted = 0 \
     WHERE t.token_hash = ";

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) console_type: String,
    pub(super) host: String,
    pub(super) port: i64,
    pub(super) internal_access_path: Option<String>,
    pub(super) instance_uuid: String,
    /// Seconds since 1970.
    pub(super) expires: i64,
    pub(super) access_url_base: Option<String>,
    /// None: the instance is gone.
    pub(super) instance_id: Option<i64>,
}

impl Row {
    /// What it says `now`, so long after 1970, to a page of that protocol.
    pub(super) fn judge(
        &self,
        nova: &NovaDatabase,
        now: Duration,
        page: Option<&str>,
    ) -> Result<Found, TokenRefusal> {
        let expires = Duration::from_secs(u64::try_from(self.expires).unwrap_or(0));
        let left = expires.saturating_sub(now);
        if left.is_zero() {
            return Err(refusal(TokenFault::Expired, "its time is over"));
        }
        if *self.console_type != *nova.console_type {
            return Err(unknown(format!(
                "it is for another type of consoles than {}: is it the proxy of that type that was asked?",
                nova.console_type
            )));
        }
        let Some(id) = self.instance_id else {
            return Err(unknown("its instance is gone"));
        };
        judge_page(page, self.access_url_base.as_deref())?;
        let access_path = access_path(self.internal_access_path.as_deref(), &nova.console_type)?;
        let is_vnc = &*nova.console_type == "novnc";
        let terms = Terms {
            // A console has moved on without a word of it here: its own name tells, where it is QEMU's.
            name: (is_vnc && access_path.is_none())
                .then(|| nova.names.name(id, &self.instance_uuid)),
            access_path,
            lifetime: nova.enforce_session_timeout.then_some(left),
            ..Terms::default()
        };
        let terms = Some(terms).filter(|terms| *terms != Terms::default()).map(Box::new);
        Ok(Found { place: place_of(&self.host, self.port)?, terms })
    }
}

#[cfg(test)]
mod tests {
    use penstock_core::config::{Database, NameTemplate};
    use penstock_core::control::Place;

    use super::*;

    fn nova(console_type: &str) -> NovaDatabase {
        NovaDatabase {
            database: Database::Sqlite("/x".into()),
            console_type: console_type.into(),
            names: NameTemplate::default(),
            enforce_session_timeout: false,
        }
    }

    fn row() -> Row {
        Row {
            console_type: "serial".to_owned(),
            host: "10.0.0.7".to_owned(),
            port: 10_000,
            internal_access_path: None,
            instance_uuid: "u".to_owned(),
            expires: 1000,
            access_url_base: Some("wss://h/".to_owned()),
            instance_id: Some(31),
        }
    }

    const NOW: Duration = Duration::from_millis(990_500);

    #[test]
    fn a_row_that_lives_leads_to_its_place_on_its_terms() {
        let found = row().judge(&nova("serial"), NOW, Some("https")).expect("it lives");
        assert!(matches!(&found.place, Place::Network(at) if at.to_string() == "10.0.0.7:10000"));
        assert_eq!(found.terms, None);
        let timed = NovaDatabase { enforce_session_timeout: true, ..nova("novnc") };
        let vnc = |path: Option<&str>| {
            let (console_type, path) = ("novnc".to_owned(), path.map(str::to_owned));
            let row = Row { console_type, internal_access_path: path, ..row() };
            row.judge(&timed, NOW, None).expect("it lives").terms.expect("some")
        };
        let terms = vnc(None);
        assert_eq!(terms.lifetime, Some(Duration::from_millis(9500)));
        assert_eq!((terms.access_path, terms.name.as_deref()), (None, Some("instance-0000001f")));
        let within = vnc(Some("/path"));
        assert_eq!(within.access_path.as_deref(), Some("/path"));
        assert_eq!(within.name, None, "other hypervisors name consoles as they like");
    }

    #[test]
    fn a_row_is_refused_for_what_is_wrong_with_it() {
        let why = |row: Row, now: u64, page| {
            let judged = row.judge(&nova("serial"), Duration::from_secs(now), page);
            judged.expect_err("refused").why
        };
        assert_eq!(why(row(), 1000, None), TokenFault::Expired);
        assert_eq!(why(Row { expires: -1, ..row() }, 0, None), TokenFault::Expired);
        let other = Row { console_type: "novnc".to_owned(), ..row() };
        assert_eq!(why(other, 1, None), TokenFault::Unknown);
        assert_eq!(why(Row { instance_id: None, ..row() }, 1, None), TokenFault::Unknown);
        assert_eq!(why(row(), 1, Some("http")), TokenFault::OtherPage);
        let bare = Row { access_url_base: None, ..row() };
        assert_eq!(why(bare, 1, Some("https")), TokenFault::OtherPage);
        for host in ["", "h:1", "unix_socket", "/run/x"] {
            let nowhere = Row { host: host.to_owned(), ..row() };
            assert_eq!(why(nowhere, 1, None), TokenFault::NoPlace, "{host}");
        }
        for port in [0, -1, 65536] {
            assert_eq!(why(Row { port, ..row() }, 1, None), TokenFault::NoPlace, "{port}");
        }
    }
}
