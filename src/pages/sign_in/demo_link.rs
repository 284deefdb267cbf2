//! The sign-in link of the demo. The link works any number of times while the demo runs, but only
//! on the computer that runs the demo.
//!
//! The link is stored only in memory, so it is invalid after the demo stops. `miniback serve` never
//! creates a sign-in link.

use std::sync::OnceLock;

use actix_web::HttpResponse;
use actix_web::http::Method;

use super::link_problem::LinkProblem;
use crate::domain::id::UserId;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::pages::framework::session;
use crate::server::tokens;

/// The user that the link signs in, and the SHA-256 of the link's token. Unset until the demo
/// creates the link.
#[derive(Default)]
pub struct DemoSignInLink(OnceLock<(UserId, [u8; 32])>);

impl DemoSignInLink {
    /// Sets the user that the link signs in, and the SHA-256 of the link's token. Later calls have
    /// no effect.
    pub fn set(&self, user: UserId, token_hash: [u8; 32]) {
        // The demo calls this function only once.
        let _ = self.0.set((user, token_hash));
    }
}

/// Signs in a browser on this computer, and redirects to the feedback list. If the link's user is
/// already signed in, only redirects.
pub async fn sign_in_with_link(context: RequestContext) -> Result<HttpResponse, PageError> {
    let Some((user, token_hash)) = context.state.demo_sign_in_link.0.get() else {
        return Err(PageError::NotFound);
    };
    let token = context.query_param("token").unwrap_or_default();
    if !is_local(&context) {
        return LinkProblem::DemoElsewhere.render(&context);
    }
    // The duration of this comparison reveals nothing about the token, because it compares hashes.
    if tokens::sha256(&token) != *token_hash {
        return LinkProblem::DemoUnknown.render(&context);
    }
    let mut response = context.redirect("/feedback");
    let is_signed_in = context
        .session()
        .is_some_and(|session| session.user.id == *user);
    // Programs that preview links send `HEAD` and don't need a session.
    if is_signed_in || context.request.method() == Method::HEAD {
        return Ok(response);
    }
    if let Some(session) = context.session() {
        // A browser can have only one session, so end the previous session.
        context.app.store.end_session(session.token_hash).await?;
    }
    let (cookies, new_session) = session::generate_session(&context);
    let store = &context.app.store;
    if !store
        .start_session_without_password(*user, new_session)
        .await?
    {
        return LinkProblem::DemoUnknown.render(&context);
    }
    session::set_session_cookies(&mut response, &cookies);
    Ok(response)
}

/// Returns whether the request comes directly from this computer, without a proxy.
fn is_local(context: &RequestContext) -> bool {
    let peer = context.request.peer_addr();
    let is_forwarded = ["x-forwarded-for", "forwarded", "x-real-ip"]
        .iter()
        .any(|name| context.request.headers().contains_key(*name));
    peer.is_some_and(|peer| peer.ip().is_loopback()) && !is_forwarded
}
