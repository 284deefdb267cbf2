//! Child processes: the program, and this executable in another role. None of them outlives its
//! parent.

use std::io::{BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::protocol::{self, Record};
use crate::system::Usage;

/// The role of a process that replaces itself with another program.
pub const EXEC_ROLE: &str = "__exec";

/// Kills a child process when dropped.
pub struct ChildGuard(pub Child);

impl ChildGuard {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn usage(&self) -> Result<Usage, Error> {
        Usage::of(self.pid())
    }

    /// Sends `SIGTERM` and waits for the process to exit. Fails after `timeout`.
    pub fn stop(mut self, timeout: Duration) -> Result<(), Error> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or("invalid process id")?, Signal::TERM)?;
        let deadline = Instant::now() + timeout;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(format!("the program didn't exit within {timeout:?}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns a command that runs `program` without environment variables. The kernel kills the new
/// process when the thread that started it ends, so start the command on the main thread.
pub fn command_tied_to_parent(program: &Path) -> Result<Command, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_clear().arg(EXEC_ROLE).arg(program);
    Ok(command)
}

/// Runs in the new process: makes the process end with its parent, then replaces it with the
/// program in `arguments`. Returns only if the replacement fails.
pub fn exec_program(mut arguments: impl Iterator<Item = String>) -> Error {
    die_with_parent();
    match arguments.next() {
        Some(program) => Command::new(program).args(arguments).exec().into(),
        None => "the program is missing".into(),
    }
}

/// Tells the kernel to kill this process when its parent ends.
pub fn die_with_parent() {
    // If this fails, dropping `ChildGuard` still kills the process.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

/// A child process that runs this executable in another role. It communicates over pipes, as
/// described in [`protocol`].
pub struct Helper {
    pub process: ChildGuard,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Helper {
    /// Starts a process in the role `role` and sends `settings` to it.
    pub fn start(role: &str, settings: &impl Serialize) -> Result<Self, Error> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let process = ChildGuard(child);
        let (input, output) = input.zip(output).ok_or("a helper process has no pipes")?;
        let mut helper = Self {
            process,
            input,
            output: BufReader::new(output),
        };
        helper.write_line(settings)?;
        Ok(helper)
    }

    pub fn write_line(&mut self, line: &impl Serialize) -> Result<(), Error> {
        protocol::write_line(&mut self.input, line)?;
        Ok(self.input.flush()?)
    }

    pub fn read_line<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        protocol::read_line(&mut self.output)
    }

    pub fn read_records<R: Record>(&mut self) -> Result<(Value, Vec<R>), Error> {
        protocol::read_records(&mut self.output)
    }
}
