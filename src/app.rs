//! Starts and stops all components of the program.

mod first_user;
pub mod listeners;
mod open_files;
mod routes;
mod start_error;
mod unix_socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, web};
use tokio::task::JoinHandle;

use self::first_user::create_first_user_or_setup_link;
pub use self::first_user::create_setup_url;
use self::listeners::Listeners;
use self::open_files::OpenFileLimits;
pub use self::routes::route_prefixes;
use self::routes::{mount_under_base_path, register_routes};
pub use self::start_error::StartError;
use self::unix_socket::SocketFile;
use crate::background::database_monitor;
use crate::background::retention::{self, RetentionPeriods};
use crate::background::search_indexer;
use crate::clock::Clock;
use crate::config::{FirstUser, ServeOptions, WalCheckpoint};
use crate::delivery::{self, AlertEndpoint, DeliverySettings, DispatcherHandle, tls};
use crate::domain::egress_policy::EgressPolicy;
use crate::domain::id::UserId;
use crate::domain::retry::RetrySchedule;
use crate::domain::secret::Secret;
use crate::domain::webhook::{WEBHOOKS_MAX, Webhook};
use crate::intake::Intake;
use crate::server::inbound::{self, Listener, WorkerThreads, framing};
use crate::server::long_reads::LongReadLimiter;
use crate::server::proxy_test::{self, ProxyTestTokens};
use crate::server::request_origin::TrustedProxies;
use crate::server::urls::Urls;
use crate::server::versions::VersionHasher;
use crate::server::{AppState, request_id, request_origin, security_events, security_headers};
use crate::store::{self, PageRequest, Store, StoreError, WalCheckpoints};
use crate::{api, pages, random};

/// A running instance of Miniback.
pub struct RunningServer {
    /// The URL of the first socket, such as `http://127.0.0.1:8080` or `unix:/run/miniback.sock`.
    pub url: String,
    /// The URLs of the other sockets.
    pub further_urls: Vec<String>,
    /// The one-time URL for creating the first user; `None` if there is a user.
    pub setup_url: Option<String>,
    pub state: web::Data<AppState>,
    pages: web::Data<pages::PageState>,
    server: ServerHandle,
    pub workers: WorkerThreads,
    background: Vec<JoinHandle<()>>,
    timeout: Duration,
    _socket_files: Vec<SocketFile>,
    _lock: store::DirectoryLock,
}

/// The locked data directory with its open database, and the open-file limits.
pub struct OpenedStore {
    open_files: OpenFileLimits,
    lock: store::DirectoryLock,
    store: Store,
}

/// Starts all components, and returns when the server accepts requests. If `listeners` is given,
/// the server uses them instead of `--listen`.
pub async fn start(
    options: &ServeOptions,
    OpenedStore {
        open_files,
        lock,
        store,
    }: OpenedStore,
    listeners: Option<Listeners>,
    first_user: Option<FirstUser>,
    clock: Clock,
) -> Result<RunningServer, StartError> {
    let listeners = listeners.map_or_else(|| Listeners::bind(&options.listener.listen), Ok)?;
    let addresses = listeners.addresses();
    let (listeners, socket_files) = listeners.into_parts();
    let settings = delivery_settings(options, listeners::socket_addresses(&addresses)?)?;
    let urls = Urls::new(options.base_url.as_ref());
    let store = store.with_public_url(urls.public_url());
    let can_send_email = settings.mail.is_some();
    if !can_send_email {
        warn_about_email_webhooks(&store).await?;
    }
    let delivery = delivery::start(store.clone(), clock.clone(), settings)?;
    let origin = listeners::browser_origin(&addresses);
    lock.publish_url(&urls.absolute_url(&origin, ""));
    let setup_url = create_first_user_or_setup_link(&store, first_user, &urls, &origin).await?;
    let alerts = load_alert_endpoint(options, &store, &delivery, &urls).await?;
    let background = spawn_background_tasks(options, &store, &clock, &delivery, alerts.as_ref());
    let intake = web::Data::new(create_intake(options, &store, &clock).await?);
    let [versions_key, device_key, draft_key, proxy_test_key] = load_signing_keys(&store).await?;
    let state = web::Data::new(AppState {
        store,
        clock: clock.clone(),
        delivery,
        urls,
        versions: VersionHasher::new(&versions_key),
        proxies: TrustedProxies::new(options.trusted_proxy.0.clone()),
        proxy_tests: ProxyTestTokens::new(&proxy_test_key),
        long_reads: LongReadLimiter::default(),
        alerts,
        can_send_email,
        delivery_retention: options.retention,
    });
    let pages = web::Data::new(pages::PageState::new(clock, &device_key, &draft_key));
    let workers = WorkerThreads::default();
    let server = start_http_server(
        listeners,
        options.delivery.timeout,
        open_files,
        &workers,
        state.clone(),
        intake,
        pages.clone(),
    )
    .map_err(StartError::HttpServer)?;
    let mut urls = listeners::listener_urls(&addresses);
    Ok(RunningServer {
        url: urls.remove(0),
        further_urls: urls,
        setup_url,
        state,
        pages,
        server,
        workers,
        background,
        timeout: options.delivery.timeout,
        _socket_files: socket_files,
        _lock: lock,
    })
}

/// Locks the data directory, and opens or creates its database. Blocks for a long time if a large
/// database has to be migrated.
pub fn open_store(options: &ServeOptions, clock: &Clock) -> Result<OpenedStore, StartError> {
    let open_files = open_files::raise_limit()?;
    let data_dir = &options.data.data_dir;
    store::create_data_directory(data_dir)?;
    let lock = store::lock_data_directory(data_dir)?;
    let checkpoints = match options.wal.wal_checkpoint {
        WalCheckpoint::Auto => WalCheckpoints::Miniback,
        WalCheckpoint::External => WalCheckpoints::External,
    };
    let store = Store::open_with_checkpoints(data_dir, Some(&lock), clock.clone(), checkpoints)?;
    Ok(OpenedStore {
        open_files,
        lock,
        store,
    })
}

/// Logs the number of enabled webhooks whose emails can't be sent, because there is no mail server.
async fn warn_about_email_webhooks(store: &Store) -> Result<(), StoreError> {
    let all = PageRequest {
        limit: WEBHOOKS_MAX,
        before: None,
    };
    let webhooks = store.webhooks(all).await?.items;
    let unsendable = |webhook: &&Webhook| webhook.enabled && webhook.format.is_email();
    let count = webhooks.iter().filter(unsendable).count();
    if count > 0 {
        tracing::warn!(
            webhooks = count,
            "emails can't be sent; set --smtp-url and --mail-from"
        );
    }
    Ok(())
}

/// Loads the keys for the versions of objects, for known browsers, and for drafts of webhooks.
async fn load_signing_keys(store: &Store) -> Result<[Vec<u8>; 4], StoreError> {
    Ok([
        store
            .get_or_create_signing_key("versions", random::bytes())
            .await?,
        store
            .get_or_create_signing_key("devices", random::bytes())
            .await?,
        store
            .get_or_create_signing_key("webhook_drafts", random::bytes())
            .await?,
        store
            .get_or_create_signing_key(proxy_test::KEY_NAME, random::bytes())
            .await?,
    ])
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
    listeners: Vec<Listener>,
    timeout: Duration,
    open_files: OpenFileLimits,
    worker_threads: &WorkerThreads,
    state: web::Data<AppState>,
    intake: web::Data<Intake>,
    pages: web::Data<pages::PageState>,
) -> std::io::Result<ServerHandle> {
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
    let server = inbound::serve(listeners, limits, worker_threads, move || {
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
    })?;
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}

fn openapi_document() -> serde_json::Value {
    // This can't fail, because a test serializes the same document.
    serde_json::to_value(api::document("/")).unwrap_or_default()
}

/// Returns the settings for sending webhooks. `own_sockets` are the TCP sockets that Miniback
/// listens on, which webhooks can't target.
pub fn delivery_settings(
    options: &ServeOptions,
    own_sockets: Vec<SocketAddr>,
) -> Result<DeliverySettings, StartError> {
    let tls = tls::tls_config(&options.delivery.ca_file)?;
    let mail = options
        .mail
        .read_settings()
        .and_then(|mail| {
            options
                .alerts
                .check_mail_server(mail.is_some())
                .map(|()| mail)
        })
        .map_err(StartError::MailSettings)?;
    let own_addresses = if_addrs::get_if_addrs()
        .map_err(StartError::Interfaces)?
        .into_iter()
        .map(|interface| interface.ip())
        .collect();
    let allowed = options.delivery.allow_target.clone();
    let policy = EgressPolicy::new(
        allowed,
        options.delivery.deny_localhost,
        own_sockets,
        own_addresses,
    );
    Ok(DeliverySettings {
        policy: Arc::new(policy),
        tls: Arc::new(tls),
        timeout: options.delivery.timeout,
        schedule: RetrySchedule::new(options.delivery.retry_delays.0.clone()),
        mail,
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
    if let Some(endpoint) = url.endpoint() {
        delivery
            .check_target(endpoint)
            .await
            .map_err(StartError::AlertUrl)?;
    }
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
        public_url: urls.public_url(),
    }))
}

impl RunningServer {
    /// Sets the demo's sign-in link, which signs in browsers on this computer as `user`. The link
    /// works until the server stops. `token_hash` is the SHA-256 of the token in the link.
    pub fn set_demo_sign_in_link(&self, user: UserId, token_hash: [u8; 32]) {
        self.pages.demo_sign_in_link.set(user, token_hash);
    }

    /// The time limit of [`stop`](Self::stop): `--timeout` + 1 s.
    pub fn stop_time_limit(&self) -> Duration {
        self.timeout + Duration::from_secs(1)
    }

    /// Stops accepting requests, waits for requests and deliveries in flight, and closes the
    /// database.
    pub async fn stop(self) {
        self.background.iter().for_each(|task| task.abort());
        self.pages.close_event_streams();
        let shutdown = async {
            tokio::join!(self.server.stop(true), self.state.delivery.stop());
            self.state.store.close_async().await;
        };
        if tokio::time::timeout(self.stop_time_limit(), shutdown)
            .await
            .is_err()
        {
            tracing::warn!(
                "shutdown timed out; unrecorded deliveries are sent again after the next start"
            );
        }
    }
}
