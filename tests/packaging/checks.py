"""Functions for the tests of the packaging: report checks, wait, run commands, and install
packages."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The time limit for anything that a test waits for. Only a failing test waits this long.
DEADLINE_SECONDS = 60

POLICY = pathlib.Path("/usr/sbin/policy-rc.d")


def miniback_executable():
    """Returns the executable from the first argument, MINIBACK, or the debug build."""
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    path = (arguments or [os.environ.get("MINIBACK") or ROOT / "target/debug/miniback"])[0]
    path = pathlib.Path(path).resolve()
    if not os.access(path, os.X_OK):
        sys.exit(f"{path} isn't an executable; run cargo build, or set MINIBACK")
    return path


def passed(text):
    print(f"ok: {text}", flush=True)


def check(condition, text, details=""):
    """Reports a check. Ends the test if `condition` is false."""
    if not condition:
        print(f"FAILED: {text}\n{details}", file=sys.stderr, flush=True)
        sys.exit(1)
    passed(text)


def wait_until(text, condition, seconds=DEADLINE_SECONDS, details=lambda: ""):
    """Waits until `condition()` returns a true value, and returns this value. Ends the test after
    `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    sys.exit(f"FAILED: gave up waiting after {seconds} s: {text}\n{details()}")


def run(*command, **options):
    """Runs a command and returns its standard output. Ends the test if the command fails."""
    result = subprocess.run(
        [str(argument) for argument in command], capture_output=True, text=True, check=False, **options
    )
    if result.returncode != 0:
        sys.exit(
            f"FAILED: {' '.join(map(str, command))}: exit code {result.returncode}\n"
            f"{result.stdout}{result.stderr}"
        )
    return result.stdout


def enter_namespaces():
    """Runs this program again in its own network, mount, and process namespaces. All processes end
    with it, and its mounts disappear. Returns at once if the program is already in them."""
    if os.environ.pop("MINIBACK_TEST_IN_NAMESPACES", None):
        run("ip", "link", "set", "lo", "up")
        return
    os.environ["MINIBACK_TEST_IN_NAMESPACES"] = "1"
    namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    os.execvp("unshare", ["unshare", *namespaces, sys.executable, "-B", *sys.argv])


def install_debian_packages(packages):
    """Installs Debian packages, given as a dictionary from executable to package, if their
    executables are missing. Their services aren't started."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    os.environ["PATH"] = path
    missing = sorted({package for name, package in packages.items() if not shutil.which(name)})
    if not missing:
        return
    # Maintainer scripts ask this program whether they may start a service.
    has_policy = POLICY.exists()
    if not has_policy:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=600"]
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        run(*apt, "update")
        run(*apt, "install", "-y", "--no-install-recommends", *missing, env=environment)
    finally:
        if not has_policy:
            POLICY.unlink()


def install_python_packages(lock_file, environment):
    """Installs packages of PyPI into a virtual environment, if the lock file has changed. Returns
    the directory of their executables."""
    installed = environment / "installed.txt"
    if not installed.exists() or installed.read_text() != lock_file.read_text():
        if not importlib.util.find_spec("ensurepip"):
            # The package has no executable.
            install_debian_packages({"python3-venv": "python3-venv"})
        shutil.rmtree(environment, ignore_errors=True)
        run(sys.executable, "-m", "venv", environment)
        pip = [environment / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", lock_file)
        shutil.copy(lock_file, installed)
    return environment / "bin"
