"""The kinds of checks for the code blocks of the documentation.

Each kind has a method `check` that ends the test if the block is wrong. A kind with `needs_machine`
is checked in a container in which Miniback was installed as documented.
"""

import dataclasses
import html.parser
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import tempfile

from checks import ROOT, check, passed, wait_until

TABLE = "tests/packaging/documented_blocks.py"
VOID_ELEMENTS = {"br", "hr", "img", "input", "link", "meta"}


@dataclasses.dataclass
class Environment:
    work: pathlib.Path
    miniback: pathlib.Path
    machine: object = None


def substitute(block, replacements):
    """Returns the block's text with real values instead of placeholders."""
    text = block.text
    for old, new in replacements.items():
        if old not in text:
            sys.exit(f"FAILED: {block}: the block doesn't contain {old!r}; correct its entry in {TABLE}")
        text = text.replace(old, new)
    if "…" in text:
        sys.exit(f"FAILED: {block}: give a value for “…” in the block's entry in {TABLE}")
    return text


@dataclasses.dataclass
class Runs:
    """The block runs unchanged in the container, as a user who may use sudo. `before` prepares the
    container, and `after` checks the effect. Variables that are exported stay set for later blocks.
    `output` is a regular expression."""

    replace: dict = dataclasses.field(default_factory=dict)
    before: str = ""
    after: str = ""
    standard_input: str = ""
    output: str = ""
    needs_machine = True

    def check(self, block, environment):
        script = self.script(substitute(block, self.replace))
        for text, step in [(self.before, "is prepared"), (script, "runs"), (self.after, "works")]:
            if text:
                result = environment.machine.execute_as_user(text, self.standard_input)
                succeeded = result.returncode == 0
                if text == script:
                    succeeded = succeeded and re.search(self.output, result.stdout)
                details = f"exit code {result.returncode}\n{result.stdout}"
                if not succeeded:
                    journal = environment.machine.execute("journalctl --no-pager -n 40 -o cat")
                    details += f"--- journal ---\n{journal.stdout}"
                check(succeeded, f"{block}: {step}", details)

    def script(self, text):
        return text


@dataclasses.dataclass
class Configures(Runs):
    """The block changes a unit in the container, and the unit starts with this change."""

    unit: str = ""

    def script(self, text):
        directory = f"/etc/systemd/system/{self.unit}.d"
        steps = [
            f"sudo mkdir -p {directory}",
            f"printf %s {shlex.quote(text)} | sudo tee {directory}/override.conf >/dev/null",
            "sudo systemctl daemon-reload",
            # systemd only warns about an unknown setting.
            f"if sudo systemd-analyze verify {self.unit} 2>&1 | grep override.conf; then exit 1; fi",
            f"sudo systemctl restart {self.unit}",
            f"systemctl is-active {self.unit}",
            f"sudo rm -r {directory}",
            "sudo systemctl daemon-reload",
            f"sudo systemctl restart {self.unit}",
        ]
        return "\n".join(steps)


@dataclasses.dataclass
class Serves:
    """The block starts a program that prints `ready`, and exits with 0 after Ctrl-C. It runs in an
    empty directory, with a loopback network of its own. `replace` replaces texts in the block."""

    ready: str
    replace: dict = dataclasses.field(default_factory=dict)
    needs_machine = False

    def check(self, block, environment):
        directory = pathlib.Path(tempfile.mkdtemp(dir=environment.work))
        (directory / "bin").mkdir()
        (directory / "bin/miniback").symlink_to(environment.miniback)
        path = f"{directory}/bin:{os.environ['PATH']}"
        # The trap lets the shell continue after the program, and exit with the program's exit code.
        script = f"trap : INT\nip link set lo up\n{substitute(block, self.replace)}"
        log = directory / "log"
        with log.open("w") as output:
            program = subprocess.Popen(
                ["unshare", "--net", "bash", "-e", "-c", script],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=directory,
                env={"PATH": path, "HOME": str(directory)},
                start_new_session=True,
            )
        try:
            is_ready = lambda: self.ready in log.read_text()
            has_ended = lambda: program.poll() is not None
            wait_until("the ready line", lambda: is_ready() or has_ended(), details=log.read_text)
            check(is_ready() and not has_ended(), f"{block}: starts", log.read_text())
            os.killpg(program.pid, signal.SIGINT)
            code = program.wait(60)
            check(code == 0, f"{block}: ends with exit code 0", f"{code}\n{log.read_text()}")
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
                program.wait()


@dataclasses.dataclass
class ShowsFile:
    """The block is the same as the file that the line before the block links to."""

    needs_machine = False

    def check(self, block, environment):
        link = re.search(r"\]\(([^)]+)\):$", block.introduction)
        check(link, f"{block}: the line before links to a file", block.introduction)
        file = (ROOT / block.document).parent / link[1]
        check(file.read_text() == block.text, f"{block}: is the same as {link[1]}")


@dataclasses.dataclass
class TestedBy:
    """Another test runs the block. The file of this test reads the document or contains `text`, by
    default the block's first line."""

    path: str
    text: str = ""
    needs_machine = False

    def check(self, block, environment):
        content = (ROOT / self.path).read_text()
        if self.text:
            found = self.text in content
        else:
            found = block.first_line in content or block.document in content
        check(
            found,
            f"{block}: is tested by {self.path}",
            f"{self.path} doesn't contain {self.text or block.first_line!r}",
        )


@dataclasses.dataclass
class AcceptedBy:
    """A command accepts a file with the block's content."""

    command: list
    replace: dict = dataclasses.field(default_factory=dict)
    needs_machine = False

    def check(self, block, environment):
        file = environment.work / "block"
        file.write_text(substitute(block, self.replace))
        result = subprocess.run([*self.command, file], capture_output=True, text=True, check=False)
        details = result.stdout + result.stderr
        check(result.returncode == 0, f"{block}: is accepted by {self.command[0]}", details)


class Json:
    """The block contains one or more JSON values."""

    needs_machine = False

    def check(self, block, environment):
        rest = block.text.strip()
        while rest:
            _, end = json.JSONDecoder().raw_decode(rest)
            rest = rest[end:].lstrip()
        passed(f"{block}: is valid JSON")


class Elements(html.parser.HTMLParser):
    """Collects the elements that aren't closed, and all URLs."""

    def __init__(self):
        super().__init__()
        self.open, self.urls = [], []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)
        self.urls += [value for name, value in attributes if name in ("href", "src")]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.open.append(f"/{tag}")


class Html:
    """Every element is closed, and the server in the container has every URL."""

    needs_machine = True

    def check(self, block, environment):
        elements = Elements()
        elements.feed(block.text)
        check(not elements.open, f"{block}: is valid HTML", f"{elements.open}")
        for url in elements.urls:
            result = environment.machine.execute_as_user(f"curl -o page {shlex.quote(url)}")
            check(result.returncode == 0, f"{block}: {url} exists", result.stdout)


class FlowChart:
    """A Mermaid diagram whose lines are subgraphs or edges."""

    needs_machine = False
    node = r'\w+(?:\[\(?".+?"\)?\])?'
    nodes = rf"{node}(?: & {node})*"
    arrow = r'(?:-->|-- ".+?" -->|-\. ".+?" \.->)'
    line = re.compile(rf"subgraph \w+|end|{nodes}(?: {arrow} {nodes})*")

    def check(self, block, environment):
        first, *lines = block.text.splitlines()
        lines = [line.strip() for line in lines]
        wrong = [line for line in lines if not self.line.fullmatch(line)]
        subgraphs = sum(line.startswith("subgraph") for line in lines)
        valid = re.fullmatch("flowchart (LR|TD)", first) and lines.count("end") == subgraphs
        check(valid and not wrong, f"{block}: is a flow chart", "\n".join(wrong))


class Fail2banFilter:
    """The filter finds a failed sign-in in the server's log."""

    needs_machine = True

    def check(self, block, environment):
        origin = "-H 'Origin: https://feedback.example.com'"
        form = "-d email=eve@example.com -d password=wrong"
        log = environment.machine.execute(
            f"curl -s -o /dev/null {origin} {form} https://feedback.example.com/login;"
            "journalctl --sync; journalctl -u miniback -o cat | grep sign_in_failed"
        )
        check(log.returncode == 0, f"{block}: a failed sign-in is logged", log.stdout)
        (environment.work / "log").write_text(log.stdout)
        (environment.work / "filter.conf").write_text(block.text)
        command = ["fail2ban-regex", environment.work / "log", environment.work / "filter.conf"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        lines = len(log.stdout.splitlines())
        check(f"{lines} matched" in result.stdout, f"{block}: matches", result.stdout + log.stdout)
