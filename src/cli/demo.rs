//! `miniback demo`: runs Miniback, a sample site, and a receiver on loopback, with temporary data.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use super::serve::{into_command_error, shutdown_signal, terminal_signals};
use super::{CommandError, print};
use crate::app::listeners::Listeners;
use crate::app::{self, RunningServer};
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Command, DemoOptions, FirstUser, ServeOptions};
use crate::delivery::HEALTH_LOG_TARGET;
use crate::demo::channel::Channel;
use crate::demo::history::{self, SampleWebhooks};
use crate::demo::mailbox::{self, Mailbox};
use crate::demo::{ApiClient, DemoServer, receiver, samples, site};
use crate::domain::account::Scope;
use crate::domain::mail_server::MailSender;
use crate::domain::secret::Secret;
use crate::logging;
use crate::random;
use crate::server::tokens;

/// The preferred ports of Miniback, the site, and the receiver. If a port is in use, a free port is
/// used instead.
const PREFERRED_PORTS: [u16; 3] = [8080, 8081, 8082];
/// The sender of the demo's emails.
const MAIL_SENDER: &str = "Miniback <miniback@fernweh.example>";
const DEMO_USER_EMAIL: &str = "ada@example.com";

pub(super) fn run(options: &DemoOptions) -> Result<(), CommandError> {
    let level = options
        .log
        .read_log_level()
        .map_err(CommandError::usage_error)?;
    let format = options.log.log_format_or_default();
    match level {
        Some(level) => logging::start(format, level),
        // By default, log only warnings and errors, so that the URLs stay visible.
        // Some webhooks of the sample data fail on purpose.
        None => logging::start_warnings_only(format, HEALTH_LOG_TARGET),
    }
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
    let cannot_listen = CommandError::io_error("can’t open a port for the demo");
    let [miniback_listener, site_listener, receiver_listener] = bind_listeners()?;
    let url = |listener: &TcpListener| Ok(format!("http://{}", listener.local_addr()?));
    let new_secret = || Secret::from_random(random::bytes()).as_str().to_owned();
    let site_url = url(&site_listener).map_err(&cannot_listen)?;
    let webhooks = SampleWebhooks {
        receiver_url: url(&receiver_listener).map_err(&cannot_listen)?,
        secret: new_secret(),
        tickets_secret: new_secret(),
        customers_secret: new_secret(),
    };
    let channel = Channel::default();
    let base_url = url(&miniback_listener).map_err(&cannot_listen)?;
    let mail_listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(&cannot_listen)?;
    let mail_server = mail_listener.local_addr().map_err(&cannot_listen)?;
    let options = serve_options(directory, &base_url, mail_server)?;
    let mailbox = Mailbox::default();
    let mail_task = mailbox::start(mail_listener, mailbox.clone()).map_err(&cannot_listen)?;
    let token = tokens::random_api_token();
    let history_listeners = [&miniback_listener, &receiver_listener].map(TcpListener::try_clone);
    let [history_miniback, history_receiver] = history_listeners;
    let history_listeners = [
        history_miniback.map_err(&cannot_listen)?,
        history_receiver.map_err(&cannot_listen)?,
    ];
    create_sample_history(&options, history_listeners, &webhooks, &channel, &token).await?;

    let running = start_miniback(&options, miniback_listener, None, Clock::system()).await?;
    actix_web::rt::spawn(logging::report_suppressed_lines());
    let receiver = receiver::start(
        receiver_listener,
        webhooks.secret,
        channel,
        mailbox,
        &site_url,
    )
    .map_err(&cannot_listen)?;
    let api = ApiClient::new(running.url.clone(), &token);
    history::create_latest_feedback(&api)
        .await
        .map_err(CommandError::new)?;
    let site = site::start(
        site_listener,
        running.url.clone(),
        samples::SITE_PROJECT_SLUG.to_owned(),
        receiver.url.clone(),
    )
    .map_err(&cannot_listen)?;
    let shutdown_signal = shutdown_signal(&terminal_signals())?;
    print_instructions(&create_sign_in_link(&running).await?, &site, &receiver);
    shutdown_signal.await;
    // Stop Miniback before the receiver, so that no delivery fails during shutdown.
    let cannot_stop = CommandError::io_error("stopping the demo failed");
    site.stop().await.map_err(&cannot_stop)?;
    running.stop().await;
    mail_task.abort();
    receiver.stop().await.map_err(&cannot_stop)
}

/// Runs Miniback with a clock that starts four days ago. Creates an API token and the sample data
/// of these days, then stops Miniback. Miniback and the sample endpoints use the given listeners.
async fn create_sample_history(
    options: &ServeOptions,
    [miniback_listener, receiver_listener]: [TcpListener; 2],
    webhooks: &SampleWebhooks,
    channel: &Channel,
    token: &str,
) -> Result<(), CommandError> {
    let end: Timestamp = Clock::system().now();
    let clock = history::history_clock(end);
    let user = FirstUser {
        email: DEMO_USER_EMAIL.into(),
        password: tokens::random_token(),
        password_variable: "MINIBACK_ADMIN_PASSWORD",
    };
    let manual = Clock::manual(&clock);
    let running = start_miniback(options, miniback_listener, Some(user), manual).await?;
    create_token(&running, token).await?;
    let api = ApiClient::new(running.url.clone(), token);
    let (now, channel) = (clock.clone(), channel.clone());
    let endpoints = history::start_history_endpoints(receiver_listener, now, end, channel)
        .map_err(CommandError::io_error("can’t open a port for the demo"))?;
    history::create_history(&api, &clock, end, webhooks)
        .await
        .map_err(CommandError::new)?;
    running.stop().await;
    endpoints
        .stop()
        .await
        .map_err(CommandError::io_error("starting the demo failed"))
}

fn print_instructions(sign_in: &str, site: &DemoServer, receiver: &DemoServer) {
    print(&format!(
        "{sign_in}\n{}\n{}\n\n\
         URL 1 signs you in to Miniback, in any browser on this computer, until the demo stops.\n\
         URL 2 is a sample site with the widget. Send feedback, and see its delivery arrive.\n\
         URL 3 is a receiver that verifies and shows each delivery, with a chat channel and an inbox.\n\
         Under Settings → Notifications, one webhook is on hold, and one is retried.\n\n\
         Press Ctrl-C to stop the demo.\n",
        site.url, receiver.url
    ));
}

fn bind_listeners() -> Result<[TcpListener; 3], CommandError> {
    let bind = |port| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .map_err(CommandError::io_error("can’t open a port for the demo"))
    };
    let [miniback, site, receiver] = PREFERRED_PORTS.map(bind);
    Ok([miniback?, site?, receiver?])
}

async fn start_miniback(
    options: &ServeOptions,
    listener: TcpListener,
    user: Option<FirstUser>,
    clock: Clock,
) -> Result<RunningServer, CommandError> {
    let listeners = Listeners::from_tcp(listener)
        .map_err(CommandError::io_error("can’t open a port for the demo"))?;
    let opened = app::open_store(options, &clock).map_err(into_command_error)?;
    app::start(options, opened, Some(listeners), user, clock)
        .await
        .map_err(into_command_error)
}

/// Returns the options of `serve` for the demo. Regardless of the environment, the demo uses
/// `base_url` and its own directory, allows webhooks to localhost, and sends emails only to its own
/// mail server. With the base URL, messages have a link to their feedback.
fn serve_options(
    directory: &Path,
    base_url: &str,
    mail_server: SocketAddr,
) -> Result<ServeOptions, CommandError> {
    let smtp_url = format!("smtp://{mail_server}");
    let sender = MailSender::parse(MAIL_SENDER).map_err(CommandError::new)?;
    let arguments = [
        "miniback".as_ref(),
        "serve".as_ref(),
        "--data-dir".as_ref(),
        directory.as_os_str(),
        "--base-url".as_ref(),
        base_url.as_ref(),
    ];
    match config::parse(arguments, &app::route_prefixes()) {
        Ok(config::Cli {
            command: Command::Serve(options),
        }) => Ok(ServeOptions {
            // The sample data must not reach a person.
            mail: config::MailOptions::new(Some(smtp_url), Some(sender)),
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

async fn create_token(running: &RunningServer, token: &str) -> Result<(), CommandError> {
    let (email, name) = (DEMO_USER_EMAIL.into(), "Demo".into());
    let store = &running.state.store;
    store
        .create_token(email, name, Scope::Full, tokens::sha256(token), None)
        .await
        .map_err(CommandError::new)?;
    Ok(())
}

/// Returns the URL that signs in a browser on this computer as the demo's user.
async fn create_sign_in_link(running: &RunningServer) -> Result<String, CommandError> {
    let store = &running.state.store;
    let (user, _) = store
        .user_with_password_hash(DEMO_USER_EMAIL)
        .await
        .map_err(CommandError::new)?
        .ok_or_else(|| CommandError::new("the demo’s user no longer exists"))?;
    let token = tokens::random_token();
    running.set_demo_sign_in_link(user.id, tokens::sha256(&token));
    Ok(format!("{}/sign-in?token={token}", running.url))
}
