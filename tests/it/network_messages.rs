//! Explanations that `miniback check` prints for failed DNS lookups and missing routes. The test
//! causes the faults with its own DNS server in a network namespace without routes.

use std::process::Command;

use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command;
use crate::support::receiver::closed_socket_address;

/// A Python script that starts a DNS server and runs the command in its arguments. The server's
/// response depends on the first label of the name.
const DNS_SERVER: &str = r#"
import socket, subprocess, sys, threading

server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
RESPONSE_CODES = {b"missing": 3, b"broken": 2, b"rejected": 5, b"empty": 0}

def serve():
    while True:
        query, client = server.recvfrom(512)
        name = query[13:13 + query[12]]
        if name in RESPONSE_CODES:
            flags = bytes([0x81, 0x80 | RESPONSE_CODES[name]])
            end = query.index(b"\0", 12) + 5
            server.sendto(query[:2] + flags + query[4:6] + bytes(6) + query[12:end], client)

threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"#;

/// Returns a command that runs `command` in a network namespace with only a loopback interface and
/// [`DNS_SERVER`].
fn in_network_namespace(command: &Command, temp: &TempDir) -> Command {
    let resolv_conf = temp.path().join("resolv.conf");
    std::fs::write(&resolv_conf, "nameserver 127.0.0.1\noptions attempts:1\n").unwrap();
    let script = "mount --bind \"$0\" /etc/resolv.conf; ip link set lo up; \
                  dns=$1; shift; exec python3 -c \"$dns\" \"$@\"";
    let resolv_conf = resolv_conf.to_str().unwrap();
    let args = ["-rnm", "bash", "-ec", script, resolv_conf, DNS_SERVER];
    command::wrapped_by(command, "unshare", &args)
}

#[test]
fn check_explains_failed_lookups_and_missing_routes() {
    let unshare = Command::new("unshare").args(["-rnm", "true"]).status();
    assert!(
        unshare.is_ok_and(|status| status.success()),
        "this test needs user and network namespaces (unshare -rnm), which this machine forbids"
    );
    let app = App::builder()
        .option("--allow-target", "203.0.113.0/24,2001:db8::/32")
        .start();
    let api = app.api();
    let refused = format!("http://{}/", closed_socket_address());
    // Each URL, with text that the explanation of its failure must contain.
    let cases = [
        (
            "https://missing.example/",
            "The host name wasn’t found. Check the spelling.",
        ),
        (
            "https://empty.example/",
            "The host name exists, but it has no IP address (no A or AAAA record). Add an A",
        ),
        (
            "https://broken.example/",
            "the DNS server didn’t respond or reported an error. The problem is on Miniback’s machine",
        ),
        (
            "https://rejected.example/",
            "the DNS server didn’t respond or reported an error. The problem is on Miniback’s machine",
        ),
        (
            "https://silent.example/",
            "The DNS lookup didn’t finish within 1 s. The DNS server of Miniback’s machine is slow",
        ),
        (
            "https://203.0.113.9/",
            "There is no route to the endpoint’s IP address. Check the URL, and the network",
        ),
        (
            "https://[2001:db8::9]/",
            "Miniback’s machine has no route to the endpoint’s IPv6 address. Give",
        ),
        (
            refused.as_str(),
            "The connection was refused. Nothing is listening on this port, or a firewall",
        ),
    ];
    let mut ids = Vec::new();
    for (url, _) in cases {
        let webhook = api.create_webhook(url);
        ids.push(webhook["id"].as_str().unwrap().to_owned());
    }
    let temp = TempDir::new().unwrap();
    let mut check = command::miniback(["check", "--timeout", "1s", "--allow-target"]);
    check
        .arg("203.0.113.0/24,2001:db8::/32")
        .arg("--data-dir")
        .arg(&app.dir);
    let output = command::run(in_network_namespace(&check, &temp), "");
    assert_eq!(output.code, Some(1), "{output:#?}");
    for ((url, text), id) in cases.iter().zip(ids) {
        let line = output.stdout.lines().find(|line| line.contains(&id));
        let line = line.unwrap_or_else(|| panic!("no line for {url}: {output:#?}"));
        assert!(line.contains(text), "{url}: {line}");
    }
}
