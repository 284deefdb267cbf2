//! `miniback listen`: a receiver for development. Prints each request and whether its signature is
//! valid.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

use super::serve::{shutdown_signal, terminal_signals};
use super::{CommandError, escape_control_chars, print};
use crate::clock::Clock;
use crate::config::ListenOptions;
use crate::domain::secret::Secret;
use crate::domain::verification::{self, ReceivedRequest};
use crate::io_errors;

const BODY_MAX_BYTES: usize = 1024 * 1024;

struct ListenState {
    options: ListenOptions,
    secret: Secret,
    received: AtomicU32,
}

pub(super) fn run(options: &ListenOptions) -> Result<(), CommandError> {
    let secret = options.read_secret().map_err(CommandError::usage_error)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).map_err(|error| {
        CommandError::new(format!(
            "--port: can’t listen on {}: {}; choose another port",
            options.port,
            io_errors::describe(&error)
        ))
    })?;
    let address = listener
        .local_addr()
        .map_err(CommandError::io_error("listening failed"))?;
    let receiver = web::Data::new(ListenState {
        options: options.clone(),
        secret,
        received: AtomicU32::new(0),
    });
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || {
            App::new()
                .app_data(receiver.clone())
                .app_data(web::PayloadConfig::new(BODY_MAX_BYTES))
                .default_service(web::to(receive_delivery))
        })
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)
        .map_err(CommandError::io_error("listening failed"))?
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let shutdown_signal = shutdown_signal(&terminal_signals())?;
        print(&format!("listening on http://{address}\n"));
        shutdown_signal.await;
        handle.stop(false).await;
        Ok(())
    })
}

async fn receive_delivery(
    receiver: web::Data<ListenState>,
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
    let result = verification::verify(
        &ReceivedRequest {
            header: &header,
            body: &body,
        },
        &receiver.secret,
        Clock::system().now(),
    );
    let number = receiver.received.fetch_add(1, Ordering::Relaxed);
    let options = &receiver.options;
    let status = match (&result, number < options.fail) {
        (_, true) => 500,
        (Ok(()), false) => options.status,
        // `--status` applies only to valid deliveries.
        (Err(_), false) => 401,
    };
    let validity = result.map_or_else(|error| format!("INVALID: {error}"), |()| "valid".to_owned());
    let event = header("x-miniback-event").unwrap_or_else(|| "no X-Miniback-Event".to_owned());
    let delivery = header("x-miniback-delivery").unwrap_or_default();
    print(&format!(
        "\n{} {} {} {} → {status}\n{validity}\n{}\n",
        Clock::system().now(),
        escape_control_chars(request.path()),
        escape_control_chars(&event),
        escape_control_chars(&delivery),
        format_body(&body)
    ));
    if !options.delay.is_zero() {
        tokio::time::sleep(options.delay).await;
    }
    HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::OK)).finish()
}

/// Formats a body for the terminal: JSON is indented, and control characters are escaped.
fn format_body(body: &[u8]) -> String {
    let text = serde_json::from_slice::<serde_json::Value>(body)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    text.lines()
        .map(escape_control_chars)
        .collect::<Vec<_>>()
        .join("\n")
}
