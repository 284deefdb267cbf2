//! The processes of a run: the program, and this executable again in another role. None outlives its parent.

use std::io::{BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Fault;
use crate::machine::Usage;
use crate::records::{self, Record};

/// The role that only hands over to another executable.
pub const OTHER: &str = "__other";

/// A process that ends when this is dropped.
pub struct Owned(pub Child);

impl Owned {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn usage(&self) -> Result<Usage, Fault> {
        Usage::of(self.pid())
    }

    /// Asks it to end and waits for that.
    pub fn stop(mut self, at_most: Duration) -> Result<(), Fault> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.ok_or("a process has no number")?, Signal::TERM)?;
        let deadline = Instant::now() + at_most;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err(format!("the program did not end within {at_most:?}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `program` as a process that the kernel ends with this one, however that ends. To be called on the main thread: it
/// is the end of the thread that counts.
pub fn other(program: &Path) -> Result<Command, Fault> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env_clear().arg(OTHER).arg(program);
    Ok(command)
}

/// In the new process: bound to its parent's end, it becomes the program that it was told.
pub fn become_other(mut arguments: impl Iterator<Item = String>) -> Fault {
    end_with_parent();
    match arguments.next() {
        Some(program) => Command::new(program).args(arguments).exec().into(),
        None => "which program?".into(),
    }
}

/// This process ends when its parent does.
pub fn end_with_parent() {
    // Where that is refused, dropping `Owned` still ends it.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

/// This executable in another role: it reads lines of JSON and answers with such.
pub struct Role {
    pub process: Owned,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Role {
    pub fn start(role: &str, settings: &impl Serialize) -> Result<Self, Fault> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let process = Owned(child);
        let (input, output) = input.zip(output).ok_or("a process has no pipes")?;
        let mut role = Self {
            process,
            input,
            output: BufReader::new(output),
        };
        role.say(settings)?;
        Ok(role)
    }

    pub fn say(&mut self, line: &impl Serialize) -> Result<(), Fault> {
        records::say(&mut self.input, line)?;
        Ok(self.input.flush()?)
    }

    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<T, Fault> {
        records::hear(&mut self.output)
    }

    pub fn hear_records<R: Record>(&mut self) -> Result<(Value, Vec<R>), Fault> {
        records::hear_records(&mut self.output)
    }
}
