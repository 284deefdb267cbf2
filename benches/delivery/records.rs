//! What the processes note of each feedback and each delivery, and how it travels between them: a line of JSON, then
//! records of a fixed size.

use std::io::{BufRead, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Fault;

/// A feedback that the program has acknowledged; times are of the machine's monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// The ULID in its id.
    pub feedback: u128,
    pub sent: u64,
    pub acknowledged: u64,
}

/// A request that came to the receiver.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub feedback: u128,
    pub delivery: u128,
    pub webhook: u64,
    pub at: u64,
}

pub trait Record: Sized {
    const SIZE: usize;
    fn write(&self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Self;
}

fn u128_at(bytes: &[u8], at: usize) -> u128 {
    let mut value = [0; 16];
    value.copy_from_slice(&bytes[at..at + 16]);
    u128::from_le_bytes(value)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

impl Record for Accepted {
    const SIZE: usize = 32;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.feedback.to_le_bytes());
        out.extend(self.sent.to_le_bytes());
        out.extend(self.acknowledged.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self {
            feedback: u128_at(bytes, 0),
            sent: u64_at(bytes, 16),
            acknowledged: u64_at(bytes, 24),
        }
    }
}

impl Record for Arrival {
    const SIZE: usize = 48;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.feedback.to_le_bytes());
        out.extend(self.delivery.to_le_bytes());
        out.extend(self.webhook.to_le_bytes());
        out.extend(self.at.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self {
            feedback: u128_at(bytes, 0),
            delivery: u128_at(bytes, 16),
            webhook: u64_at(bytes, 32),
            at: u64_at(bytes, 40),
        }
    }
}

/// Writes one line of JSON.
pub fn say(out: &mut impl Write, line: &impl Serialize) -> Result<(), Fault> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    out.write_all(&text)?;
    Ok(out.flush()?)
}

/// Reads one line of JSON; its end is the end of the other process.
pub fn hear<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<T, Fault> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err("a process of the benchmark ended before it answered".into());
    }
    Ok(serde_json::from_str(&line)?)
}

/// Writes `line`, then all records.
pub fn say_records<R: Record>(
    out: &mut impl Write,
    mut line: Value,
    records: &[R],
) -> Result<(), Fault> {
    line["records"] = records.len().into();
    say(out, &line)?;
    let mut bytes = Vec::with_capacity(records.len() * R::SIZE);
    records.iter().for_each(|record| record.write(&mut bytes));
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

/// Reads what [`say_records`] wrote.
pub fn hear_records<R: Record>(from: &mut impl BufRead) -> Result<(Value, Vec<R>), Fault> {
    let line: Value = hear(from)?;
    let count = line["records"].as_u64().ok_or("no number of records")?;
    let mut bytes = vec![0; usize::try_from(count)? * R::SIZE];
    from.read_exact(&mut bytes)?;
    Ok((line, bytes.chunks_exact(R::SIZE).map(R::read).collect()))
}
