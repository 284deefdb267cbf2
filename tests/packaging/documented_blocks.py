"""How each code block of the documentation is checked, by document and first line.

Blocks of one document with the same first line share an entry. Entries that need the container are
checked in the order of this table, so a block can use what earlier blocks created. The kinds are in
block_checks.py.
"""

from block_checks import (
    AcceptedBy,
    Configures,
    Fail2banFilter,
    FlowChart,
    Html,
    Json,
    Runs,
    Serves,
    ShowsFile,
    TestedBy,
)

# The container can't reach a public certificate authority.
OWN_CERTIFICATES = {"printf 'feedback": "printf '{\\nlocal_certs\\nskip_install_trust\\n}\\nfeedback"}
# Base64 of 32 bytes.
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
# What a reader has after the installation: an account, a project, a webhook with a receiver, and a
# token. The certificate is trusted.
FIRST_STEPS = f"""
SECRET={SECRET}
""" + r"""
authority=/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt
sudo install -m 0644 $authority /usr/local/share/ca-certificates/caddy.crt
sudo update-ca-certificates
miniback() { sudo -u miniback miniback "$@" --data-dir /var/lib/miniback; }
echo 'walrus-in-the-harbor' | miniback user add you@example.com --role admin
export TOKEN=$(miniback token create all --user you@example.com)
create() {
  curl "https://feedback.example.com/api/v1/$1" -H "Authorization: Bearer $TOKEN" \
    -H "Content-Type: application/json" -d "$2"
}
create projects '{"name": "My website"}'
sudo systemd-run --quiet --unit receiver miniback listen --port 3000 --secret "$SECRET"
until sudo journalctl -u receiver | grep -q 'listening on'; do sleep 0.1; done
webhook='{"url": "http://localhost:3000/", "secret": "'$SECRET'"}'
export WEBHOOK=$(create webhooks "$webhook" | grep -o 'wh_[A-Za-z0-9]*')
sudo mkdir -p /etc/miniback
echo 'heron-on-the-lighthouse' | sudo tee /etc/miniback/admin-password
"""
PASSWORD = "owl-behind-the-windmill\n"

OPERATIONS = "docs/operations.md"
EMAIL = "docs/chat-and-email.md"
PROXIES = "docs/reverse-proxies.md"
REPLICATION = "docs/replication.md"
CONTAINERS = "docs/containers.md"
CHECK = "sudo -u miniback miniback check --data-dir /var/lib/miniback"
BACKUP = "sudo -u miniback miniback backup /var/lib/miniback/backup.db --data-dir /var/lib/miniback"
SNIPPET = (
    '<script src="https://feedback.example.com/widget.js" data-project="my-website" defer></script>'
)
PROXY_CONFIGURATION = [ShowsFile(), TestedBy("tests/packaging/proxies", "packaging/proxies")]
CONTAINER_TEST = "tests/packaging/container"
LISTENING = '"listening"'
RECEIVER_TEST = "tests/it/example_receivers.rs"

BLOCKS = {
    # --- README.md ---
    ("README.md", "cargo run --release --locked -- demo"): Serves(
        "Press Ctrl-C", {"cargo run --release --locked --": "miniback"}
    ),
    ("README.md", "sudo apt install ./miniback_0.1.0_amd64.deb caddy"): Runs(OWN_CERTIFICATES),
    ("README.md", "sudo miniback setup-link --data-dir /var/lib/miniback"): Runs(
        output=r"^https://feedback\.example\.com/setup\?token="
    ),
    ("README.md", BACKUP): Runs(
        before=FIRST_STEPS, after="sudo test -s /var/lib/miniback/backup.db"
    ),
    ("README.md", SNIPPET): Html(),
    ("README.md", "cd examples/receivers"): [
        TestedBy("tests/run", "node_packages examples/receivers "),
        TestedBy(RECEIVER_TEST, "express/server.mjs"),
    ],
    # --- CONTRIBUTING.md ---
    ("CONTRIBUTING.md", "cargo build"): Serves(
        "Press Ctrl-C", {"cargo build\n": "", "cargo run --": "miniback"}
    ),
    ("CONTRIBUTING.md", "tests/run"): TestedBy(".ci/run"),
    ("CONTRIBUTING.md", "tests/run retries"): [
        TestedBy("tests/run", 'cargo test --locked --no-fail-fast "$@"'),
        TestedBy("tests/it/main.rs", "mod retries;"),
        TestedBy("src/domain/mod.rs", "mod signature;"),
    ],
    ("CONTRIBUTING.md", ".ci/run"): TestedBy(".ci/run", "stage tests run_tests"),
    ("CONTRIBUTING.md", "fuzz/run endpoint_url 60"): [
        TestedBy("fuzz/run", "usage: fuzz/run TARGET [SECONDS]"),
        TestedBy("fuzz/Cargo.toml", 'name = "endpoint_url"'),
    ],
    ("CONTRIBUTING.md", "cp target/release/miniback /tmp/miniback-before"): [
        TestedBy(".ci/run", "--bench delivery -- --quick"),
        TestedBy("benches/delivery/main.rs", 'value_parser = ["w1", "w2", "w3"'),
        TestedBy("benches/delivery/main.rs", "compare: Option<PathBuf>"),
    ],
    # --- examples/receivers/README.md ---
    ("examples/receivers/README.md", "cd examples/receivers"): [
        TestedBy("tests/run", "node_packages examples/receivers "),
        TestedBy("tests/run", '"$to/bin/pip" install --quiet --require-hashes -r "$lock"'),
        TestedBy("tests/run", "node_packages examples/receivers/nextjs "),
        TestedBy(RECEIVER_TEST, "express/server.mjs"),
        TestedBy(RECEIVER_TEST, "flask/app.py"),
        TestedBy(RECEIVER_TEST, "nextjs"),
    ],
    ("examples/receivers/README.md", "npm install"): [
        TestedBy("examples/receivers/package-lock.json", '"lockfileVersion"'),
        TestedBy("examples/receivers/requirements.txt", "# via -r requirements.in"),
    ],
    # --- docs/chat-and-email.md ---
    (EMAIL, "MINIBACK_SMTP_URL=smtps://user:password@mail.example.com:465"): TestedBy(
        "tests/packaging/email"
    ),
    # --- docs/operations.md ---
    (OPERATIONS, "sudo systemctl enable --now miniback miniback-backup.timer"): Runs(),
    (OPERATIONS, "tar -xzf miniback-0.1.0-x86_64-linux.tar.gz"): TestedBy("tests/packaging/packages"),
    (OPERATIONS, "[Service]"): Configures(unit="miniback.service"),
    (OPERATIONS, "sudo systemctl stop miniback"): Runs(
        before="sudo -u miniback miniback backup /var/backups/miniback/daily-2026-01-31.db"
        " --data-dir /var/lib/miniback"
    ),
    (OPERATIONS, "[Socket]"): Configures(
        {"ListenStream=80\n": "ListenStream=8080\n"},
        unit="miniback.socket",
        before="sudo systemctl stop miniback",
    ),
    (OPERATIONS, 'printf %s "$TOKEN" | sha256sum | cut -c 1-8'): Runs(output=r"^[0-9a-f]{8}\n$"),
    (
        OPERATIONS,
        "sudo -u miniback miniback user add ada@example.com --role member --data-dir /var/lib/miniback",
    ): Runs(standard_input=PASSWORD, output="mb_"),
    (
        OPERATIONS,
        "sudo -u miniback miniback user passwd ada@example.com --data-dir /var/lib/miniback",
    ): Runs(standard_input=PASSWORD),
    (OPERATIONS, BACKUP): Runs(),
    (
        OPERATIONS,
        "sudo -u miniback miniback backup - --data-dir /var/lib/miniback"
        " | ssh backup.example 'cat > miniback.db'",
    ): Runs({"ssh backup.example": "sh -c"}, after="test -s miniback.db"),
    (
        OPERATIONS,
        "ssh backup.example 'cat miniback.db' | sudo miniback restore - --data-dir /var/lib/miniback",
    ): Runs(
        {"ssh backup.example": "sh -c"},
        before="sudo systemctl stop miniback",
        after="sudo systemctl start miniback",
    ),
    (OPERATIONS, "sudo systemctl enable --now miniback-backup.timer"): Runs(),
    (OPERATIONS, CHECK): Runs(),
    (OPERATIONS, "sudo systemd-run --quiet --pipe --wait --uid miniback \\"): Runs(),
    (
        OPERATIONS,
        "sudo install -o prometheus -m 600 /dev/null /etc/prometheus/miniback-token",
    ): Runs(
        before="sudo useradd --system prometheus; sudo mkdir /etc/prometheus",
        after="""curl https://feedback.example.com/metrics \
            -H "Authorization: Bearer $(sudo cat /etc/prometheus/miniback-token)" """,
    ),
    (OPERATIONS, "curl https://feedback.example.com/api/v1/webhooks/wh_…/recover \\"): Runs(
        {"wh_…": "$WEBHOOK"}, output='"count"'
    ),
    (OPERATIONS, "# /etc/fail2ban/filter.d/miniback.conf"): Fail2banFilter(),
    (OPERATIONS, "sudo systemctl start miniback-backup"): Runs(),
    # --- docs/api.md ---
    (
        "docs/api.md",
        "export TOKEN=$(sudo -u miniback miniback token create website --user ada@example.com \\",
    ): Runs(),
    ("docs/api.md", "curl https://feedback.example.com/api/v1/feedback \\"): Runs(output='"fb_'),
    ("docs/api.md", "{"): Json(),
    # --- docs/architecture.md ---
    ("docs/architecture.md", "flowchart LR"): FlowChart(),
    ("docs/architecture.md", "src/"): TestedBy("tests/it/architecture.rs"),
    # --- docs/containers.md ---
    (CONTAINERS, "podman load --input miniback-0.1.0-x86_64.docker.tar"): TestedBy(
        CONTAINER_TEST, 'run_block(work, "podman load"'
    ),
    (
        CONTAINERS,
        "# Miniback behind Caddy, which obtains the certificate. Replace feedback.example.com. Its DNS"
        " record",
    ): [ShowsFile(), TestedBy(CONTAINER_TEST, "compose.yaml")],
    (CONTAINERS, "podman-compose up --detach"): TestedBy(CONTAINER_TEST, '"up", "--detach"'),
    (CONTAINERS, "podman run --detach --name miniback --restart unless-stopped \\"): TestedBy(
        CONTAINER_TEST, 'run_block(work, "podman run --detach"'
    ),
    (
        CONTAINERS,
        "# A Quadlet file for podman 4.4 or later: copy it to /etc/containers/systemd, run",
    ): ShowsFile(),
    (CONTAINERS, "sudo install -d -o 65532 -g 65532 -m 0700 /srv/miniback"): TestedBy(
        CONTAINER_TEST, 'run_block(work, "sudo install -d"'
    ),
    (CONTAINERS, "podman exec -it miniback /miniback user add ada@example.com"): TestedBy(
        CONTAINER_TEST, 'run_block(work, "podman exec -it"'
    ),
    (CONTAINERS, "podman exec miniback /miniback backup - > miniback.db"): TestedBy(
        CONTAINER_TEST, 'run_block(work, "podman exec miniback /miniback backup"'
    ),
    (CONTAINERS, "podman stop miniback"): TestedBy(
        CONTAINER_TEST, 'run_block(work, "podman stop miniback"'
    ),
    # --- docs/performance.md ---
    ("docs/performance.md", "cargo bench --bench delivery"): TestedBy(
        ".ci/run", "--bench delivery -- --quick"
    ),
    # --- docs/replication.md ---
    (REPLICATION, "# Replicates the database of Miniback. Copy this file to /etc/litestream.yml."): [
        ShowsFile(),
        TestedBy("tests/packaging/litestream", "packaging/litestream/litestream.yml"),
    ],
    (REPLICATION, "# Copy this file to /etc/systemd/system/litestream.service."): ShowsFile(),
    (
        REPLICATION,
        "# Copy this file to /etc/systemd/system/miniback.service.d/litestream.conf.",
    ): ShowsFile(),
    (
        REPLICATION,
        "sudo install -d -o miniback -g miniback -m 0700 /var/backups/miniback",
    ): Runs(
        before="""
            cd /usr/share/doc/miniback/examples/litestream
            units=/etc/systemd/system
            sudo cp litestream.yml /etc/litestream.yml
            sudo cp litestream.service $units/litestream.service
            sudo mkdir $units/miniback.service.d
            sudo cp miniback-litestream.conf $units/miniback.service.d/litestream.conf
            cd
        """,
        after="""
            systemctl is-active litestream miniback
            curl https://feedback.example.com/healthz
            until sudo find /var/backups/miniback -name '*.ltx' | grep ltx; do sleep 0.1; done
        """,
    ),
    (REPLICATION, "sudo systemctl stop miniback litestream"): Runs(
        after="curl https://feedback.example.com/healthz; systemctl is-active litestream"
    ),
    # --- docs/reverse-proxies.md ---
    (PROXIES, f"{CHECK} \\"): Runs(
        {"--base-url": "--ca-file /etc/ssl/certs/caddy.pem --base-url"}, output="ok     reverse proxy"
    ),
    (PROXIES, "miniback serve --base-url https://feedback.example.com"): Serves(LISTENING),
    (PROXIES, "miniback serve --listen 0.0.0.0:8080 --trusted-proxy 172.18.0.0/16 \\"): Serves(
        LISTENING
    ),
    (
        PROXIES,
        "miniback serve --listen unix:/run/miniback/miniback.sock"
        " --base-url https://feedback.example.com",
    ): Serves(LISTENING, {"/run/miniback/": "./"}),
    (PROXIES, "miniback serve --base-url https://example.com/miniback"): Serves(LISTENING),
    (PROXIES, "feedback.example.com {"): PROXY_CONFIGURATION,
    (PROXIES, "example.com {"): PROXY_CONFIGURATION,
    (PROXIES, "server {"): PROXY_CONFIGURATION,
    (PROXIES, "defaults"): PROXY_CONFIGURATION,
    (PROXIES, "<VirtualHost *:80>"): PROXY_CONFIGURATION,
    # Debian has no Traefik.
    (PROXIES, "http:"): AcceptedBy(
        [
            "target/packaging/venv/bin/python",
            "-c",
            "import sys; from ruamel.yaml import YAML; YAML().load(open(sys.argv[1]))",
        ]
    ),
    # --- docs/webhooks.md ---
    (
        "docs/webhooks.md",
        '{"event":"feedback.created","timestamp":"2025-10-31T12:34:56.789Z","data":{"feedback":',
    ): Json(),
    ("docs/webhooks.md", "miniback listen --port 3000 --secret 'whsec_…'"): Serves(
        "listening on", {"whsec_…": SECRET}
    ),
    (
        "docs/webhooks.md",
        "miniback serve --allow-target 10.0.0.0/8 --allow-target hooks.internal:8080",
    ): Serves(LISTENING),
    (
        "docs/webhooks.md",
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 365 \\",
    ): Serves(LISTENING),
    # --- docs/widget.md ---
    ("docs/widget.md", SNIPPET): Html(),
    ("docs/widget.md", "<script"): Html(),
    (
        "docs/widget.md",
        'miniback.context({ customer: "4711", plan: null });',
    ): TestedBy("tests/it/widget_on_hostile_pages/context.rs", "miniback.context({ plan: 'team'"),
    ("docs/widget.md", "<button data-miniback-open>Give feedback</button>"): Html(),
    (
        "docs/widget.md",
        '<a href="https://feedback.example.com/f/my-website" data-miniback-open>Give feedback</a>',
    ): Html(),
    (
        "docs/widget.md",
        "script-src https://feedback.example.com; connect-src https://feedback.example.com",
    ): TestedBy("tests/it/widget_in_browser.rs", "script-src {host}; connect-src {host}"),
}
