//! `miniback demo`: Miniback, a sample site and a receiver, on loopback, with data that is thrown away at the end.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::serve::{start_failure, told_to_stop};
use super::{Failure, print};
use crate::app::{self, Running};
use crate::clock::Clock;
use crate::config::{self, Command, DemoOptions, FirstUser, ServeOptions};
use crate::demo::{self, Api, DemoServer, receiver, samples, site};
use crate::domain::account::Scope;
use crate::domain::secret::Secret;
use crate::logging;
use crate::random;
use crate::server::tokens;
use crate::store::LinkPurpose;

/// The ports that are tried first; where one is taken, a free one serves as well.
const PORTS: [u16; 3] = [8080, 8081, 8082];
const USER: &str = "ada@example.com";
/// How long the address that signs in can be used.
const LINK_LIVES: Duration = Duration::from_secs(24 * 3600);

pub(super) fn run(options: &DemoOptions) -> Result<(), Failure> {
    logging::start(options.log.format());
    let directory = tempfile::Builder::new()
        .prefix("miniback-demo-")
        .tempdir()
        .map_err(Failure::new)?;
    let outcome = actix_web::rt::System::new().block_on(serve_demo(directory.path()));
    if options.keep {
        print(&format!(
            "\nThe data is kept in {}\n",
            directory.keep().display()
        ));
    } else {
        directory.close().map_err(Failure::new)?;
        if outcome.is_ok() {
            print("\nEverything that the demo made is removed.\n");
        }
    }
    outcome?;
    std::process::exit(0)
}

async fn serve_demo(directory: &Path) -> Result<(), Failure> {
    let [main, site_listener, receiver_listener] = listeners()?;
    let running = start_miniback(directory, main).await?;
    let api = Api::new(running.url.clone(), token(&running).await?);
    let secret = Secret::from_random(random::bytes()).as_str().to_owned();
    let site_url = format!(
        "http://{}",
        site_listener.local_addr().map_err(Failure::new)?
    );
    let receiver =
        receiver::start(receiver_listener, secret.clone(), &site_url).map_err(Failure::new)?;
    let endpoint = receiver::endpoint(&receiver.url);
    tokio::task::spawn_blocking(move || demo::seed(&api, &endpoint, &secret))
        .await
        .map_err(Failure::new)?
        .map_err(Failure::new)?;
    let site = site::start(
        site_listener,
        running.url.clone(),
        samples::SITE_PROJECT.to_owned(),
        receiver.url.clone(),
    )
    .map_err(Failure::new)?;
    let told_to_stop = told_to_stop()?;
    say_what_to_try(&sign_in_link(&running).await?, &site, &receiver);
    told_to_stop.await;
    // The senders stop before the receiver, so that nothing is seen to fail at the end.
    site.stop().await.map_err(Failure::new)?;
    running.stop().await;
    receiver.stop().await.map_err(Failure::new)
}

fn say_what_to_try(sign_in: &str, site: &DemoServer, receiver: &DemoServer) {
    print(&format!(
        "{sign_in}\n{}\n{}\n\n\
         Open the first address: it signs you in to Miniback, on this machine only.\n\
         On the second, a sample site, send feedback and watch its webhook arrive, verified, on the same page.\n\
         In Miniback change a status, or press Test under Settings, Notifications: the third shows what was received.\n\n\
         Ctrl-C ends the demo.\n",
        site.url, receiver.url
    ));
}

fn listeners() -> Result<[TcpListener; 3], Failure> {
    let bind = |port| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
    };
    let [a, b, c] = PORTS.map(bind);
    Ok([
        a.map_err(Failure::new)?,
        b.map_err(Failure::new)?,
        c.map_err(Failure::new)?,
    ])
}

async fn start_miniback(directory: &Path, listener: TcpListener) -> Result<Running, Failure> {
    let options = serve_options(directory)?;
    let user = FirstUser {
        email: USER.into(),
        password: tokens::random_token(),
    };
    app::start(&options, Some(listener), Some(user), Clock::System)
        .await
        .map_err(start_failure)
}

/// The defaults of `serve`, whatever the environment says: the demo stays on loopback and in its own directory.
fn serve_options(directory: &Path) -> Result<ServeOptions, Failure> {
    let arguments = [
        "miniback".as_ref(),
        "serve".as_ref(),
        "--data-dir".as_ref(),
        directory.as_os_str(),
    ];
    match config::parse(arguments) {
        Ok(config::Cli {
            command: Command::Serve(options),
        }) => Ok(ServeOptions {
            base_url: None,
            delivery: config::DeliveryOptions {
                deny_localhost: false,
                ..options.delivery
            },
            ..*options
        }),
        _ => Err(Failure::wrong(
            "a MINIBACK_… variable holds what serve does not take; unset it for the demo",
        )),
    }
}

async fn token(running: &Running) -> Result<String, Failure> {
    let token = tokens::random_api_token();
    let hash = tokens::sha256(&token);
    let store = &running.state.store;
    store
        .create_token(USER.into(), "Demo".into(), Scope::Full, hash, None)
        .await
        .map_err(Failure::new)?;
    Ok(token)
}

async fn sign_in_link(running: &Running) -> Result<String, Failure> {
    let store = &running.state.store;
    let (user, _) = store
        .user_with_hash(USER)
        .await
        .map_err(Failure::new)?
        .ok_or_else(|| Failure::new("the demo’s user is gone"))?;
    let token = tokens::random_token();
    store
        .make_link(
            LinkPurpose::SignIn,
            Some(user.id),
            tokens::sha256(&token),
            LINK_LIVES,
        )
        .await
        .map_err(Failure::new)?;
    Ok(format!("{}/sign-in?token={token}", running.url))
}
