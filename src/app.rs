//! Starts and stops all components of the program.

mod open_files;
mod routes;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tokio::task::JoinHandle;

use self::open_files::{OpenFileLimitTooLow, OpenFileLimits};
pub use self::routes::route_prefixes;
use self::routes::{mount_under_base_path, register_routes};
use crate::background::database_monitor;
use crate::background::retention::{self, RetentionPeriods};
use crate::background::search_indexer;
use crate::clock::Clock;
use crate::config::{FirstUser, ServeOptions};
use crate::delivery::tls::TlsConfigError;
use crate::delivery::{self, AlertEndpoint, DeliverySettings, DispatcherHandle, tls};
use crate::domain::egress_policy::{EgressDenied, EgressPolicy};
use crate::domain::id::UserId;
use crate::domain::password;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::Secret;
use crate::intake::Intake;
use crate::server::inbound::{self, framing};
use crate::server::long_reads::LongReadLimiter;
use crate::server::request_origin::TrustedProxies;
use crate::server::urls::Urls;
use crate::server::versions::VersionHasher;
use crate::server::{
    AppState, request_id, request_origin, security_events, security_headers, tokens,
};
use crate::store::{self, OpenError, Store, StoreError, UserError};
use crate::{api, io_errors, pages, random};

/// The lifetime of a setup link.
const SETUP_LINK_LIFETIME: Duration = Duration::from_secs(3600);

/// An error that prevents Miniback from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("--listen: can’t listen on {address}: {}; choose another IP address or port", io_errors::describe(.source))]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error(transparent)]
    OpenFiles(#[from] OpenFileLimitTooLow),
    #[error(transparent)]
    CaFile(#[from] TlsConfigError),
    #[error("{0}")]
    AlertSecret(String),
    #[error("--alert-url: {}", .0.to_string().trim_end_matches('.'))]
    AlertUrl(EgressDenied),
    #[error("creating the first user failed: {0}")]
    FirstUser(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("starting failed: {}", io_errors::describe(.0))]
    Io(#[from] std::io::Error),
}

impl StartError {
    /// Returns the exit code of the process. The code is 2 for an invalid configuration or an
    /// unusable data directory, and 1 for other errors, such as a locked database.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::OpenFiles(_) | Self::CaFile(_) | Self::AlertSecret(_) | Self::AlertUrl(_) => 2,
            Self::Open(
                OpenError::Directory { .. }
                | OpenError::NewerSchema { .. }
                | OpenError::NotADatabase { .. }
                | OpenError::NotADirectory(_)
                | OpenError::NotAFile { .. }
                | OpenError::SeparateWal { .. }
                | OpenError::Exposed(_)
                | OpenError::Corrupt { .. }
                | OpenError::ReadOnly { .. },
            ) => 2,
            _ => 1,
        }
    }
}

/// A running instance of Miniback.
pub struct RunningServer {
    /// The URL of the listener, such as `http://127.0.0.1:8080`.
    pub url: String,
    /// The one-time URL for creating the first user; `None` if there is a user.
    pub setup_url: Option<String>,
    pub state: web::Data<AppState>,
    pages: web::Data<pages::PageState>,
    server: ServerHandle,
    background: Vec<JoinHandle<()>>,
    timeout: Duration,
    _lock: store::DirectoryLock,
}

/// Starts all components, and returns when the server accepts requests. If `listener` is given, the
/// server uses it instead of binding the IP address and port of `--listen`.
pub async fn start(
    options: &ServeOptions,
    listener: Option<TcpListener>,
    first_user: Option<FirstUser>,
    clock: Clock,
) -> Result<RunningServer, StartError> {
    let open_files = open_files::raise_limit()?;
    let data_dir = &options.data.data_dir;
    store::create_data_directory(data_dir)?;
    let lock = store::lock_data_directory(data_dir)?;
    let store = Store::open(data_dir, Some(&lock), clock.clone())?;

    let listener = match listener {
        Some(listener) => listener,
        None => TcpListener::bind(options.listen).map_err(to_listen_error(options))?,
    };
    let address = listener.local_addr().map_err(to_listen_error(options))?;
    let url = format!("http://{address}");

    let settings = delivery_settings(options, address)?;
    let delivery = delivery::start(store.clone(), clock.clone(), settings)?;
    let urls = Urls::new(options.base_url.as_ref());
    let setup_url = create_first_user_or_setup_link(&store, first_user, &urls, &url).await?;
    let alerts = load_alert_endpoint(options, &store, &delivery, &urls).await?;
    let background = spawn_background_tasks(options, &store, &clock, &delivery, alerts.as_ref());
    let intake = web::Data::new(create_intake(options, &store, &clock).await?);
    let versions_key = store
        .get_or_create_signing_key("versions", random::bytes())
        .await?;
    let versions = VersionHasher::new(&versions_key);
    let device_key = store
        .get_or_create_signing_key("devices", random::bytes())
        .await?;
    let draft_key = store
        .get_or_create_signing_key("webhook_drafts", random::bytes())
        .await?;
    let state = web::Data::new(AppState {
        store,
        clock: clock.clone(),
        delivery,
        urls,
        versions,
        proxies: TrustedProxies::new(options.trusted_proxy.0.clone()),
        long_reads: LongReadLimiter::default(),
        alerts,
        delivery_retention: options.retention,
    });
    let pages = web::Data::new(pages::PageState::new(clock, &device_key, &draft_key));
    let timeout = options.delivery.timeout;
    let server = start_http_server(
        listener,
        timeout,
        open_files,
        state.clone(),
        intake,
        pages.clone(),
    )
    .map_err(to_listen_error(options))?;
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(RunningServer {
        url,
        setup_url,
        state,
        pages,
        server: handle,
        background,
        timeout,
        _lock: lock,
    })
}

fn to_listen_error(options: &ServeOptions) -> impl Fn(std::io::Error) -> StartError {
    let address = options.listen;
    move |source| StartError::Listen { address, source }
}

fn spawn_background_tasks(
    options: &ServeOptions,
    store: &Store,
    clock: &Clock,
    delivery: &DispatcherHandle,
    alerts: Option<&AlertEndpoint>,
) -> Vec<JoinHandle<()>> {
    let periods = RetentionPeriods {
        deliveries: options.retention,
        feedback: options.feedback_retention,
    };
    let mut tasks = vec![
        actix_web::rt::spawn(retention::run(store.clone(), clock.clone(), periods)),
        actix_web::rt::spawn(search_indexer::run(store.clone())),
        actix_web::rt::spawn(database_monitor::run(store.clone())),
    ];
    if let Some(target) = alerts {
        tasks.push(actix_web::rt::spawn(delivery::send_alerts(
            store.clone(),
            clock.clone(),
            delivery.clone(),
            target.clone(),
        )));
    }
    tasks
}

async fn create_intake(
    options: &ServeOptions,
    store: &Store,
    clock: &Clock,
) -> Result<Intake, StartError> {
    let form_token_key = store
        .get_or_create_signing_key("form_tokens", random::bytes())
        .await?;
    let limits = &options.limits;
    Ok(Intake::new(
        clock.clone(),
        &form_token_key,
        &limits.limit_address,
        &limits.limit_project,
    ))
}

fn start_http_server(
    listener: TcpListener,
    timeout: Duration,
    open_files: OpenFileLimits,
    state: web::Data<AppState>,
    intake: web::Data<Intake>,
    pages: web::Data<pages::PageState>,
) -> std::io::Result<Server> {
    let api_reference = web::Data::new(pages::ApiReference::new(openapi_document));
    let workers = std::thread::available_parallelism()?.get();
    tracing::info!(
        open_files = open_files.files,
        connections = open_files.connections,
        "limits of this process"
    );
    let limits = inbound::ServerLimits {
        workers,
        connections_per_worker: open_files.connections_per_worker(workers),
        shutdown_timeout: timeout + Duration::from_secs(1),
    };
    inbound::serve(listener, limits, move || {
        let base_path = state.urls.base_path().to_owned();
        App::new()
            .app_data(state.clone())
            .app_data(intake.clone())
            .app_data(pages.clone())
            .app_data(api_reference.clone())
            .wrap(from_fn(security_events::log_request_events))
            .wrap(from_fn(request_origin::report_untrusted_proxies))
            .wrap(from_fn(security_headers::add_nosniff))
            .wrap(from_fn(request_id::assign_request_id))
            .wrap(from_fn(framing::adapt_response_to_connection))
            .configure(|config| mount_under_base_path(config, &base_path))
            .configure(register_routes)
    })
}

fn openapi_document() -> serde_json::Value {
    // This can't fail, because a test serializes the same document.
    serde_json::to_value(api::document("/")).unwrap_or_default()
}

/// Returns the settings for sending webhooks. `address` is the IP address and port of Miniback's
/// own listener, which webhooks can't target.
pub fn delivery_settings(
    options: &ServeOptions,
    address: SocketAddr,
) -> Result<DeliverySettings, StartError> {
    let tls = tls::tls_config(&options.delivery.ca_file)?;
    let own_addresses = if_addrs::get_if_addrs()?
        .into_iter()
        .map(|interface| interface.ip())
        .collect();
    let allowed = options.delivery.allow_target.clone();
    let policy = EgressPolicy::new(
        allowed,
        options.delivery.deny_localhost,
        vec![address],
        own_addresses,
    );
    Ok(DeliverySettings {
        policy: Arc::new(policy),
        tls: Arc::new(tls),
        timeout: options.delivery.timeout,
        schedule: RetrySchedule::new(options.delivery.retry_delays.0.clone()),
    })
}

/// Returns the alert endpoint, or `None` without `--alert-url`. If no secret is configured, alerts
/// are signed with a generated secret, which is stored.
async fn load_alert_endpoint(
    options: &ServeOptions,
    store: &Store,
    delivery: &DispatcherHandle,
    urls: &Urls,
) -> Result<Option<AlertEndpoint>, StartError> {
    let configured = options
        .alerts
        .read_secret()
        .map_err(StartError::AlertSecret)?;
    let Some(url) = options.alerts.alert_url.clone() else {
        return Ok(None);
    };
    delivery
        .check_target(&url)
        .await
        .map_err(StartError::AlertUrl)?;
    let (secret, is_secret_generated) = match configured {
        Some(secret) => (secret, false),
        None => {
            let key = store
                .get_or_create_signing_key("alerts", random::bytes())
                .await?;
            (Secret::from_key(&key), true)
        }
    };
    Ok(Some(AlertEndpoint {
        url,
        secret,
        is_secret_generated,
        public_url: urls.origin().map(|origin| urls.absolute_url(origin, "")),
    }))
}

/// If there is no user, creates the first user from the environment or returns a one-time setup
/// URL. If there is a user, logs that a first user from the environment has no effect.
async fn create_first_user_or_setup_link(
    store: &Store,
    first_user: Option<FirstUser>,
    urls: &Urls,
    url: &str,
) -> Result<Option<String>, StartError> {
    if store.has_users().await? {
        if let Some(user) = first_user {
            tracing::info!("{}", user.ignored_variables_notice());
        }
        return Ok(None);
    }
    if let Some(user) = first_user {
        let failed = |error: &dyn std::fmt::Display| StartError::FirstUser(error.to_string());
        let hash = password::hash(&user.password).map_err(|error| failed(&error))?;
        return match store.add_first_user(user.email, hash).await {
            Ok(user) => {
                security_events::log_local_event(
                    "user_added",
                    &user.id.to_string(),
                    "configuration",
                );
                Ok(None)
            }
            Err(UserError::AlreadySetUp) => Ok(None),
            Err(error) => Err(failed(&error)),
        };
    }
    let token = tokens::random_token();
    store
        .create_setup_link(tokens::sha256(&token), SETUP_LINK_LIFETIME)
        .await?;
    Ok(Some(
        urls.absolute_url(url, &format!("/setup?token={token}")),
    ))
}

impl RunningServer {
    /// Sets the demo's sign-in link, which signs in browsers on this computer as `user`. The link
    /// works until the server stops. `token_hash` is the SHA-256 of the token in the link.
    pub fn set_demo_sign_in_link(&self, user: UserId, token_hash: [u8; 32]) {
        self.pages.demo_sign_in_link.set(user, token_hash);
    }

    /// Stops accepting requests, waits for requests and deliveries in flight (at most `--timeout` +
    /// 1 s), and closes the database.
    pub async fn stop(self) {
        self.background.iter().for_each(|task| task.abort());
        self.pages.close_event_streams();
        let shutdown = async {
            tokio::join!(self.server.stop(true), self.state.delivery.stop());
            self.state.store.close_async().await;
        };
        if tokio::time::timeout(self.timeout + Duration::from_secs(1), shutdown)
            .await
            .is_err()
        {
            tracing::warn!(
                "shutdown timed out; unrecorded deliveries are sent again after the next start"
            );
        }
    }
}
