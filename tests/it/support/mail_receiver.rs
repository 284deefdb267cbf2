//! A mail server on loopback that accepts all emails, or rejects all recipients.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wait::wait_until;

pub struct MailReceiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
}

impl MailReceiver {
    pub fn start() -> Self {
        Self::with_recipient_reply("250 OK")
    }

    /// Starts a mail server that replies to each recipient with `reply`.
    pub fn with_recipient_reply(reply: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("read the address");
        let received: Arc<Mutex<Vec<String>>> = Arc::default();
        let emails = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let emails = Arc::clone(&emails);
                thread::spawn(move || converse(&stream, reply, &emails));
            }
        });
        Self { address, received }
    }

    /// The value of `--smtp-url`.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// Waits for an email, and returns the last one as sent.
    #[track_caller]
    pub fn wait_for_email(&self) -> String {
        wait_until("an email arrives", || {
            self.received.lock().unwrap().last().cloned()
        })
    }
}

/// Speaks SMTP until the client disconnects.
fn converse(stream: &TcpStream, recipient_reply: &str, emails: &Mutex<Vec<String>>) -> Option<()> {
    let mut writer = stream.try_clone().ok()?;
    let mut lines = BufReader::new(stream).lines();
    let mut reply = |text: &str| writer.write_all(format!("{text}\r\n").as_bytes()).ok();
    reply("220 test")?;
    loop {
        let line = lines.next()?.ok()?;
        let command = line.split(' ').next()?.to_ascii_uppercase();
        match command.as_str() {
            "EHLO" => reply("250-test\r\n250 8BITMIME")?,
            "RCPT" => reply(recipient_reply)?,
            "DATA" => {
                reply("354 Go ahead")?;
                let content = lines.by_ref().map_while(Result::ok);
                let content: Vec<String> = content.take_while(|line| line != ".").collect();
                emails.lock().unwrap().push(content.join("\n"));
                reply("250 Queued")?;
            }
            "QUIT" => return reply("221 Bye"),
            _ => reply("250 OK")?,
        }
    }
}
