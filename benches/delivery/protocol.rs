//! The messages between the benchmark's processes: a line of JSON, optionally followed by records
//! of a fixed size.

use std::io::{BufRead, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

/// Acknowledged feedback. Times are nanoseconds of the machine's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedFeedback {
    /// The ULID in the feedback's id.
    pub feedback: u128,
    /// The planned time of the request. Without a rate, the time when the request was sent.
    pub planned: u64,
    pub acknowledged: u64,
}

/// A delivery that the receiver responded to. The time is in nanoseconds of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub feedback: u128,
    pub delivery: u128,
    pub webhook: u64,
    pub at: u64,
}

/// A value that is transferred as a fixed number of bytes.
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

impl Record for AcceptedFeedback {
    const SIZE: usize = 32;

    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.feedback.to_le_bytes());
        out.extend(self.planned.to_le_bytes());
        out.extend(self.acknowledged.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Self {
        Self {
            feedback: u128_at(bytes, 0),
            planned: u64_at(bytes, 16),
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
pub fn write_line(out: &mut impl Write, line: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    out.write_all(&text)?;
    Ok(out.flush()?)
}

/// Reads one line of JSON. Fails if the other process has ended.
pub fn read_line<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<T, Error> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err("a helper process of the benchmark ended unexpectedly".into());
    }
    Ok(serde_json::from_str(&line)?)
}

/// Writes `line` with the number of records, followed by the records.
pub fn write_records<R: Record>(
    out: &mut impl Write,
    mut line: Value,
    records: &[R],
) -> Result<(), Error> {
    line["records"] = records.len().into();
    write_line(out, &line)?;
    let mut bytes = Vec::with_capacity(records.len() * R::SIZE);
    records.iter().for_each(|record| record.write(&mut bytes));
    out.write_all(&bytes)?;
    Ok(out.flush()?)
}

/// Reads the output of [`write_records`].
pub fn read_records<R: Record>(from: &mut impl BufRead) -> Result<(Value, Vec<R>), Error> {
    let line: Value = read_line(from)?;
    let count = line["records"]
        .as_u64()
        .ok_or("the number of records is missing")?;
    let mut bytes = vec![0; usize::try_from(count)? * R::SIZE];
    from.read_exact(&mut bytes)?;
    Ok((line, bytes.chunks_exact(R::SIZE).map(R::read).collect()))
}
