"""A Debian that boots with systemd in a container. It has only a loopback network."""

import os
import shutil
import signal
import subprocess

from checks import ROOT, run, wait_until

USER = "ada"
HOST = "feedback.example.com"


class Machine:
    def __init__(self, work):
        self.root = work / "machine"
        self.boot_log = work / "boot.log"
        base = run("bash", ROOT / "tests/packaging/base-system").strip()
        run("cp", "--archive", "--reflink=auto", base, self.root)
        # debootstrap copied the DNS server of this machine, which the container can't reach.
        (self.root / "etc/resolv.conf").unlink(missing_ok=True)
        self.write("etc/hosts", f"127.0.0.1 localhost server {HOST}\n::1 localhost\n")
        self.write("etc/hostname", "server\n")
        # Nobody can answer apt's questions.
        self.write("etc/apt/apt.conf.d/assume-yes", 'APT::Get::Assume-Yes "true";\n')
        run("chroot", self.root, "useradd", "--create-home", "--shell", "/bin/bash", USER)
        self.write(f"etc/sudoers.d/{USER}", f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
        self.home = self.root / "home" / USER
        # By default, curl doesn't fail if the response is an error.
        (self.home / ".curlrc").write_text("silent\nshow-error\nfail-with-body\nmax-time = 20\n")

    def write(self, path, text):
        (self.root / path).write_text(text)

    def __enter__(self):
        with self.boot_log.open("w") as log:
            self.nspawn = subprocess.Popen(
                [
                    *["systemd-nspawn", "--quiet", "--resolv-conf=off", "--register=no"],
                    *["--keep-unit", "--private-network", "--console=pipe", "--boot"],
                    *["--directory", str(self.root)],
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.init = None
        try:
            details = self.boot_log.read_text
            self.init = wait_until("the container starts", self.find_init, details=details)
            wait_until("systemd boots", self.has_booted, details=details)
        except SystemExit:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        # Nothing in the container has to be saved.
        os.kill(int(self.init or self.nspawn.pid), signal.SIGKILL)
        self.nspawn.wait()
        shutil.rmtree(self.root)

    def find_init(self):
        """Returns the process id of the container's init process."""
        parent = str(self.nspawn.pid)
        found = subprocess.run(["pgrep", "-P", parent, "-x", "systemd"], capture_output=True, text=True)
        return found.stdout.strip()

    def has_booted(self):
        return self.execute("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def execute(self, command, **options):
        """Runs a shell command as root. Returns its result."""
        enter = ["nsenter", "-t", self.init, "-m", "-u", "-i", "-n", "-p", "-r", "-w", "--"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb", path]
        return subprocess.run(
            [*enter, *environment, "sh", "-c", command],
            text=True,
            timeout=300,
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options,
        )

    def execute_as_user(self, script, standard_input=""):
        """Runs a Bash script as a user who may use sudo, in the user's home directory and with the
        exported variables of earlier scripts. Returns its result."""
        (self.home / "script").write_text(f"touch variables\n. ./variables\n{script}\nexport -p >variables\n")
        shell = "cd; exec bash -e -o pipefail script"
        return self.execute(f"runuser -l {USER} -c '{shell}'", input=standard_input)
