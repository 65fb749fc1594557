//! `plugin = "nova"`: the compute API, and who we are to it.
//!
//! In: a table of tokens. Out: what is said there, or what was expected. Secrets stay in their files.

use penstock_core::config::{KeystoneLogin, NovaApi, TokenSource};
use toml::Spanned;

use crate::console::TokensTable;
use crate::error::Fault;

/// As every cloud calls it that was not told otherwise.
const DOMAIN: &str = "Default";
const INTERFACES: [&str; 3] = ["internal", "public", "admin"];

pub(super) fn source(table: &TokensTable) -> Result<TokenSource, Fault> {
    let auth_url = table.auth_url.as_ref().ok_or_else(|| {
        at_plugin(
            table,
            "`nova` needs `auth_url` beside it, such as \"https://keystone.example:5000/v3\"",
        )
    })?;
    let text = |value: &Option<Spanned<String>>| {
        value.as_ref().map(|text| Box::from(text.get_ref().as_str()))
    };
    let interface = table.interface.as_ref();
    if let Some(wrong) = interface.filter(|name| !INTERFACES.contains(&name.get_ref().as_str())) {
        let message = format!("expected internal, public or admin, got `{}`", wrong.get_ref());
        return Err(Fault::at(wrong.span(), message));
    }
    let schemes = table.expected_origin_schemes.as_ref();
    let schemes = schemes.map(|list| list.get_ref().as_slice()).unwrap_or_default();
    Ok(TokenSource::Nova(Box::new(NovaApi {
        auth_url: url(auth_url)?,
        login: login(table)?,
        endpoint: table.endpoint.as_ref().map(url).transpose()?,
        interface: text(&table.interface),
        region: text(&table.region),
        ca: table.ca.as_ref().map(|path| path.get_ref().clone()),
        console_type: super::console_type(table)?.into(),
        expected_origin_schemes: schemes.iter().map(|one| one.as_str().into()).collect(),
        max_session: table.max_session.as_ref().map(|span| span.get_ref().0),
    })))
}

fn at_plugin(table: &TokensTable, message: &str) -> Fault {
    Fault::at(table.plugin.span(), message)
}

fn url(text: &Spanned<String>) -> Result<Box<str>, Fault> {
    let is_web = ["http://", "https://"].iter().any(|scheme| text.get_ref().starts_with(scheme));
    match is_web && !text.get_ref().contains(['?', '#', ' ', '%', '@']) {
        true => Ok(text.get_ref().as_str().into()),
        false => Err(Fault::at(
            text.span(),
            "expected a URL of http or https, without login and arguments",
        )),
    }
}

fn login(table: &TokensTable) -> Result<KeystoneLogin, Fault> {
    let credential = (&table.application_credential_id, &table.application_credential_secret_file);
    let own = |value: &Option<Spanned<String>>| {
        value.as_ref().map_or(DOMAIN, |text| text.get_ref()).into()
    };
    match (&table.username, &table.project, &table.password_file, credential) {
        (Some(username), Some(project), Some(password_file), (None, None)) => {
            Ok(KeystoneLogin::Password {
                username: username.get_ref().as_str().into(),
                user_domain: own(&table.user_domain),
                project: project.get_ref().as_str().into(),
                project_domain: own(&table.project_domain),
                password_file: password_file.get_ref().clone(),
            })
        }
        (None, None, None, (Some(id), Some(secret_file))) => {
            Ok(KeystoneLogin::ApplicationCredential {
                id: id.get_ref().as_str().into(),
                secret_file: secret_file.get_ref().clone(),
            })
        }
        _ => Err(at_plugin(
            table,
            "`nova` needs either `username`, `project` and `password_file` beside it, or `application_credential_id` and `application_credential_secret_file`",
        )),
    }
}
