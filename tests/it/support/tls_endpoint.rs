//! HTTPS endpoints run by `openssl s_server`, with certificates that `openssl` created, so that
//! tests see the responses of a real server.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

use super::wait::wait_until;

/// A directory with a CA (`ca.pem`, `ca.key`) and the certificates that it issues.
pub struct Certificates {
    dir: TempDir,
}

/// Properties of a certificate. The default is a valid certificate for `localhost`.
pub struct LeafCertificate<'a> {
    pub name: &'a str,
    /// The key type, as for `openssl req -newkey`.
    pub key: &'a str,
    pub subject: &'a str,
    /// Lines of the extension file for `openssl x509`.
    pub extensions: &'a str,
    /// Additional arguments of `openssl x509 -req`.
    pub issue: &'a str,
    /// The name of the issuing certificate: `ca`, or the name of another certificate.
    pub issuer: &'a str,
}

impl Default for LeafCertificate<'_> {
    fn default() -> Self {
        Self {
            name: "leaf",
            key: "rsa:2048",
            subject: "/CN=localhost",
            extensions: "subjectAltName=DNS:localhost,IP:127.0.0.1",
            issue: "-days 30",
            issuer: "ca",
        }
    }
}

impl Certificates {
    #[track_caller]
    pub fn new() -> Self {
        let certificates = Self {
            dir: TempDir::new().expect("create a temporary directory"),
        };
        certificates.run_in_shell(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj '/CN=Test CA'",
        );
        certificates
    }

    /// Runs a command with bash in the directory of the certificates.
    #[track_caller]
    pub fn run_in_shell(&self, command: &str) {
        let output = Command::new("bash")
            .args(["-ec", command])
            .current_dir(self.dir.path())
            .output()
            .expect("run bash");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {errors}");
    }

    #[track_caller]
    pub fn issue(&self, leaf: &LeafCertificate<'_>) {
        let LeafCertificate {
            name,
            key,
            subject,
            extensions,
            issue,
            issuer,
        } = leaf;
        let file = self.path(&format!("{name}.ext"));
        std::fs::write(file, extensions).expect("write the extension file");
        // Without extensions, openssl issues an X.509 version 1 certificate.
        let extensions = match extensions.is_empty() {
            true => String::new(),
            false => format!("-extfile {name}.ext"),
        };
        self.run_in_shell(&format!(
            "openssl req -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj {subject}\n\
             openssl x509 -req -in {name}.csr -CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial \
             -out {name}.pem {extensions} {issue}"
        ));
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub fn file(&self, file: &str) -> String {
        self.path(file)
            .to_str()
            .expect("read the path as UTF-8")
            .to_owned()
    }

    /// Starts `openssl s_server` with the certificate `name` and additional arguments. The first
    /// connection with a successful handshake receives a response with status 200.
    #[track_caller]
    pub fn serve(&self, name: &str, args: &[&str]) -> TlsEndpoint {
        let port = super::receiver::closed_socket_address().port();
        let address = format!("127.0.0.1:{port}");
        let mut child = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                &address,
                "-quiet",
                "-cipher",
                "ALL:@SECLEVEL=0",
            ])
            .args([
                "-cert",
                &format!("{name}.pem"),
                "-key",
                &format!("{name}.key"),
            ])
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start openssl s_server");
        // The server sends its standard input to the client.
        let mut input = child.stdin.take().expect("take the standard input");
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        input.write_all(response).expect("write the response");
        let endpoint = TlsEndpoint {
            child,
            port,
            _input: input,
        };
        // A connection would use up the response, so wait for the listening socket in
        // `/proc/net/tcp` (proc(5)).
        let listening = format!(" 0100007F:{port:04X} 00000000:0000 0A ");
        wait_until("openssl s_server listens", || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("read /proc/net/tcp");
            table.contains(&listening).then_some(())
        });
        endpoint
    }
}

/// A running `openssl s_server`.
pub struct TlsEndpoint {
    child: Child,
    port: u16,
    /// Stays open, because the server exits when its standard input ends.
    _input: ChildStdin,
}

impl TlsEndpoint {
    pub fn url(&self) -> String {
        format!("https://localhost:{}/", self.port)
    }
}

impl Drop for TlsEndpoint {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
