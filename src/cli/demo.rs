//! `miniback demo`: runs Miniback, a sample site, and a receiver on loopback, with temporary data.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use super::serve::{into_command_error, shutdown_signal};
use super::{CommandError, print};
use crate::app::{self, RunningServer};
use crate::clock::Clock;
use crate::config::{self, Command, DemoOptions, FirstUser, ServeOptions};
use crate::demo::{self, ApiClient, DemoServer, receiver, samples, site};
use crate::domain::account::Scope;
use crate::domain::secret::Secret;
use crate::logging;
use crate::random;
use crate::server::tokens;
use crate::store::LinkPurpose;

/// The preferred ports of Miniback, the site, and the receiver. If a port is in use, a free port is
/// used instead.
const PREFERRED_PORTS: [u16; 3] = [8080, 8081, 8082];
const DEMO_USER_EMAIL: &str = "ada@example.com";
const SIGN_IN_LINK_LIFETIME: Duration = Duration::from_secs(24 * 3600);

pub(super) fn run(options: &DemoOptions) -> Result<(), CommandError> {
    let level = options
        .log
        .read_log_level()
        .map_err(CommandError::usage_error)?;
    logging::start(options.log.format_or_default(), level);
    let directory = tempfile::Builder::new()
        .prefix("miniback-demo-")
        .tempdir()
        .map_err(CommandError::io_error("can’t create a temporary directory"))?;
    let result = actix_web::rt::System::new().block_on(serve_demo(directory.path()));
    if options.keep {
        print(&format!(
            "\nThe data is in {}\n",
            directory.keep().display()
        ));
    } else {
        directory
            .close()
            .map_err(CommandError::io_error("can’t delete the demo’s data"))?;
        if result.is_ok() {
            print("\nThe demo’s data was deleted.\n");
        }
    }
    result?;
    logging::flush();
    std::process::exit(0)
}

async fn serve_demo(directory: &Path) -> Result<(), CommandError> {
    let [miniback_listener, site_listener, receiver_listener] = bind_listeners()?;
    let running = start_miniback(directory, miniback_listener).await?;
    actix_web::rt::spawn(logging::report_suppressed_lines());
    let api = ApiClient::new(running.url.clone(), &create_token(&running).await?);
    let secret = Secret::from_random(random::bytes()).as_str().to_owned();
    let site_url = format!(
        "http://{}",
        site_listener
            .local_addr()
            .map_err(CommandError::io_error("the demo can’t listen"))?
    );
    let receiver = receiver::start(receiver_listener, secret.clone(), &site_url)
        .map_err(CommandError::io_error("the demo can’t listen"))?;
    let endpoint = receiver::endpoint_url(&receiver.url);
    demo::create_samples(&api, &endpoint, &secret)
        .await
        .map_err(CommandError::new)?;
    let site = site::start(
        site_listener,
        running.url.clone(),
        samples::SITE_PROJECT_SLUG.to_owned(),
        receiver.url.clone(),
    )
    .map_err(CommandError::io_error("the demo can’t listen"))?;
    let shutdown_signal = shutdown_signal()?;
    print_instructions(&create_sign_in_link(&running).await?, &site, &receiver);
    shutdown_signal.await;
    // Stop Miniback before the receiver, so that no delivery fails during shutdown.
    site.stop()
        .await
        .map_err(CommandError::io_error("stopping the demo failed"))?;
    running.stop().await;
    receiver
        .stop()
        .await
        .map_err(CommandError::io_error("stopping the demo failed"))
}

fn print_instructions(sign_in: &str, site: &DemoServer, receiver: &DemoServer) {
    print(&format!(
        "{sign_in}\n{}\n{}\n\n\
         Open the first URL to sign in to Miniback, on this machine only.\n\
         Open the second URL, a sample site, to send feedback and see its delivery arrive.\n\
         Change a status in Miniback, or press Test under Settings → Notifications.\n\
         The third URL, a receiver, shows each delivery.\n\n\
         Press Ctrl-C to stop the demo.\n",
        site.url, receiver.url
    ));
}

fn bind_listeners() -> Result<[TcpListener; 3], CommandError> {
    let bind = |port| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .map_err(CommandError::io_error("the demo can’t listen"))
    };
    let [miniback, site, receiver] = PREFERRED_PORTS.map(bind);
    Ok([miniback?, site?, receiver?])
}

async fn start_miniback(
    directory: &Path,
    listener: TcpListener,
) -> Result<RunningServer, CommandError> {
    let options = serve_options(directory)?;
    let user = FirstUser {
        email: DEMO_USER_EMAIL.into(),
        password: tokens::random_token(),
        password_variable: "MINIBACK_ADMIN_PASSWORD",
    };
    app::start(&options, Some(listener), Some(user), Clock::system())
        .await
        .map_err(into_command_error)
}

/// Returns the options of `serve` for the demo. Regardless of the environment, the demo uses
/// loopback URLs and its own directory, and allows webhooks to localhost.
fn serve_options(directory: &Path) -> Result<ServeOptions, CommandError> {
    let arguments = [
        "miniback".as_ref(),
        "serve".as_ref(),
        "--data-dir".as_ref(),
        directory.as_os_str(),
    ];
    match config::parse(arguments, &app::route_prefixes()) {
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
        _ => Err(CommandError::usage_error(
            "a MINIBACK_… variable has an invalid value; unset it for the demo",
        )),
    }
}

async fn create_token(running: &RunningServer) -> Result<String, CommandError> {
    let token = tokens::random_api_token();
    let hash = tokens::sha256(&token);
    let store = &running.state.store;
    store
        .create_token(
            DEMO_USER_EMAIL.into(),
            "Demo".into(),
            Scope::Full,
            hash,
            None,
        )
        .await
        .map_err(CommandError::new)?;
    Ok(token)
}

async fn create_sign_in_link(running: &RunningServer) -> Result<String, CommandError> {
    let store = &running.state.store;
    let (user, _) = store
        .user_with_password_hash(DEMO_USER_EMAIL)
        .await
        .map_err(CommandError::new)?
        .ok_or_else(|| CommandError::new("the demo’s user no longer exists"))?;
    let token = tokens::random_token();
    store
        .create_link(
            LinkPurpose::SignIn,
            Some(user.id),
            tokens::sha256(&token),
            SIGN_IN_LINK_LIFETIME,
        )
        .await
        .map_err(CommandError::new)?;
    Ok(format!("{}/sign-in?token={token}", running.url))
}
