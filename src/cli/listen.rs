//! `miniback listen`: a receiver for development, which prints each webhook and says whether its signature is valid.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use super::serve::told_to_stop;
use super::{Failure, print, safe};
use crate::clock::Clock;
use crate::config::ListenOptions;
use crate::domain::secret::Secret;
use crate::domain::verification::{self, ReceivedRequest};

/// The largest body that is read.
const BODY_MAX_BYTES: usize = 1024 * 1024;

struct Receiver {
    options: ListenOptions,
    secret: Secret,
    received: AtomicU32,
}

pub(super) fn run(options: &ListenOptions) -> Result<(), Failure> {
    let secret = options.secret().map_err(Failure::wrong)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).map_err(|error| {
        Failure::new(format!(
            "--port: cannot listen on {}: {error}; choose another one",
            options.port
        ))
    })?;
    let address = listener.local_addr().map_err(Failure::new)?;
    let receiver = web::Data::new(Receiver {
        options: options.clone(),
        secret,
        received: AtomicU32::new(0),
    });
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(receiver.clone())
                .app_data(web::PayloadConfig::new(BODY_MAX_BYTES))
                .default_service(web::to(receive))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)
        .map_err(Failure::new)?
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let told_to_stop = told_to_stop()?;
        print(&format!("listening on http://{address}\n"));
        told_to_stop.await;
        handle.stop(false).await;
        Ok(())
    })
}

async fn receive(
    receiver: web::Data<Receiver>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let verdict = verification::verify(
        &ReceivedRequest {
            header: &header,
            body: &body,
        },
        &receiver.secret,
        Clock::System.now(),
    );
    let number = receiver.received.fetch_add(1, Ordering::Relaxed);
    let options = &receiver.options;
    let status = match (&verdict, number < options.fail) {
        (_, true) => 500,
        (Ok(()), false) => options.status,
        // What an endpoint should do; `--status` is about deliveries that verify.
        (Err(_), false) => 401,
    };
    let verdict = verdict.map_or_else(|fault| format!("INVALID: {fault}"), |()| "valid".to_owned());
    let event = header("x-miniback-event").unwrap_or_else(|| "no X-Miniback-Event".to_owned());
    let delivery = header("x-miniback-delivery").unwrap_or_default();
    print(&format!(
        "\n{} {} {} {} → {status}\n{verdict}\n{}\n",
        Clock::System.now(),
        safe(request.path()),
        safe(&event),
        safe(&delivery),
        pretty(&body)
    ));
    if !options.delay.is_zero() {
        tokio::time::sleep(options.delay).await;
    }
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::OK)).finish()
}

/// The body as a person reads it; what a terminal would take for a command is escaped.
fn pretty(body: &[u8]) -> String {
    let text = serde_json::from_slice::<serde_json::Value>(body)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    text.lines().map(safe).collect::<Vec<_>>().join("\n")
}
