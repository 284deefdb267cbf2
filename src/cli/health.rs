//! `miniback health`: asks the running server whether it is healthy.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::{CommandError, print};
use crate::app::listeners;
use crate::config::{ListenAddress, ListenerOptions};
use crate::io_errors;
use crate::server::health::HEALTH_PATH;

/// The time limit for connecting and for the response.
const TIMEOUT: Duration = Duration::from_secs(5);
const RESPONSE_MAX_BYTES: u64 = 16 * 1024;

pub(super) fn run(options: &ListenerOptions) -> Result<(), CommandError> {
    // All sockets belong to the same server, so the first socket is enough.
    let Some(address) = options.listen.first() else {
        return Err(CommandError::new(
            "--listen is empty; use the value of the server",
        ));
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CommandError::io_error("checking the health failed"))?;
    let check = async { tokio::time::timeout(TIMEOUT, check_health(address)).await };
    match runtime.block_on(check) {
        Ok(Ok(())) => {
            print(&format!("Miniback at {address} is healthy.\n"));
            Ok(())
        }
        Ok(Err(problem)) => Err(CommandError::new(problem)),
        Err(_) => Err(CommandError::new(format!(
            "Miniback at {address} didn’t respond within {} s; see its log",
            TIMEOUT.as_secs()
        ))),
    }
}

async fn check_health(address: &ListenAddress) -> Result<(), String> {
    let target = listeners::local_socket_address(address).map_err(|error| error.to_string())?;
    let response = match (target, address) {
        (None, ListenAddress::Unix(path)) => request_health(UnixStream::connect(path).await).await,
        (Some(target), _) if target.port() != 0 => {
            request_health(TcpStream::connect(target).await).await
        }
        _ => {
            return Err(format!(
                "--listen: the port of {address} isn’t known; use the port in the server’s log"
            ));
        }
    };
    let response = response.map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
            format!("no server is listening on {address}; start it, or use its --listen value")
        }
        _ => format!(
            "can’t reach Miniback at {address}: {}",
            io_errors::describe(&error)
        ),
    })?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
    let status = head
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3));
    let health: Value = serde_json::from_str(body).unwrap_or_default();
    match (status, health["status"].as_str()) {
        (Some("200"), Some("ok")) => Ok(()),
        (Some("503"), Some("unavailable")) => Err(format!(
            "Miniback at {address} is unhealthy; its log says why, and miniback check finds more"
        )),
        _ => Err(format!(
            "the server at {address} isn’t Miniback; use the --listen value of Miniback"
        )),
    }
}

/// Requests `/healthz` and returns the whole response.
async fn request_health(
    connection: std::io::Result<impl AsyncRead + AsyncWrite + Unpin>,
) -> std::io::Result<String> {
    let mut connection = connection?;
    let request =
        format!("GET {HEALTH_PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut connection = connection.take(RESPONSE_MAX_BYTES);
    let mut response = Vec::new();
    while connection.read_buf(&mut response).await? > 0 && !is_complete(&response) {}
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// Returns whether the response has a length and is complete. The length matters only if another
/// server keeps the connection open.
fn is_complete(response: &[u8]) -> bool {
    let text = String::from_utf8_lossy(response).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: Option<usize> = length.and_then(|length| length.trim().parse().ok());
    length.is_some_and(|length| body.len() >= length)
}
