//! Where in a request its token is, and what may be shown of the request then.

use penstock_proto::console::{Token, host_token, path_token, token_of};
use penstock_proto::http::request::Request;

use crate::config::{Carried, ConsoleTarget, Tokens};
use crate::session::Session;

/// In place of a path that is a token.
const HIDDEN: &str = "/***";

impl Session {
    pub(super) fn token_in(&self, request: &Request, tokens: &Tokens) -> Option<Token> {
        if self.console().is_some_and(|console| console.host_token) {
            return host_token(request);
        }
        match tokens.source.carried() {
            Carried::Argument(choice) => token_of(request, choice),
            Carried::Path => path_token(request),
        }
    }

    /// Whether there are no paths but tokens.
    pub(super) fn paths_are_tokens(&self) -> bool {
        let Some(console) = self.console() else { return false };
        match &console.to {
            ConsoleTarget::Tokens(tokens) => tokens.source.carried() == Carried::Path,
            ConsoleTarget::Fixed(_) => false,
        }
    }

    /// What logs show of a target that has been cut off where a query could begin.
    pub(super) fn shown(&self, target: &str) -> Box<str> {
        if self.paths_are_tokens() { HIDDEN.into() } else { target.into() }
    }
}
