//! Writes log lines on a separate thread. No other thread waits for standard error, which can be
//! a pipe that nobody reads.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::journal::PriorityPrefix;

/// Maximum number of lines that wait to be written. Further lines are dropped.
const QUEUED_LINES_MAX: usize = 2_000;
/// Maximum time to wait for the last lines when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The writer of this process.
static WRITER: OnceLock<LineWriter> = OnceLock::new();

enum QueueMessage {
    Line(Vec<u8>),
    /// Requests a notification when all earlier lines have been written.
    Flush(SyncSender<()>),
}

/// Queues log lines for the writer thread. Each call of `write` must contain whole lines.
#[derive(Clone)]
pub(super) struct LineWriter {
    queue: SyncSender<QueueMessage>,
    dropped: Arc<AtomicU64>,
    prefix: PriorityPrefix,
}

/// Creates writers for standard error.
pub(super) struct StderrWriter;

impl MakeWriter<'_> for StderrWriter {
    type Writer = LineWriter;

    fn make_writer(&self) -> LineWriter {
        writer_with_prefix(PriorityPrefix::new(Level::INFO))
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> LineWriter {
        writer_with_prefix(PriorityPrefix::new(*metadata.level()))
    }
}

/// Returns the writer of this process. The first call starts its thread.
fn writer_with_prefix(prefix: PriorityPrefix) -> LineWriter {
    let writer = WRITER.get_or_init(|| LineWriter::start(io::stderr()));
    LineWriter {
        prefix,
        ..writer.clone()
    }
}

/// Waits until all lines have been written, but at most 1 s.
pub fn flush() {
    if let Some(writer) = WRITER.get() {
        writer.wait_until_written();
    }
}

impl LineWriter {
    fn start(output: impl Write + Send + 'static) -> Self {
        let (queue, messages) = sync_channel(QUEUED_LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Self {
            queue,
            dropped: dropped.clone(),
            prefix: PriorityPrefix::new(Level::INFO),
        };
        // Ignore an error: a process that can't create threads can't run anyway.
        let _ = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(output, &messages, &dropped));
        writer
    }

    fn wait_until_written(&self) {
        let deadline = Instant::now() + FLUSH_TIMEOUT;
        let (written, is_written) = sync_channel(1);
        while self
            .queue
            .try_send(QueueMessage::Flush(written.clone()))
            .is_err()
        {
            if Instant::now() > deadline {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = is_written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

impl Write for LineWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self
            .queue
            .try_send(QueueMessage::Line(self.prefix.add_to_lines(line)))
            .is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_lines(mut output: impl Write, messages: &Receiver<QueueMessage>, dropped: &AtomicU64) {
    for message in messages {
        match message {
            // A failure to write to the log can't be logged.
            QueueMessage::Line(line) => _ = output.write_all(&line),
            QueueMessage::Flush(written) => _ = written.try_send(()),
        }
        let lines = dropped.swap(0, Ordering::Relaxed);
        if lines > 0 {
            tracing::warn!(lines, "log lines dropped: standard error was blocked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Sends each write to the test, and waits until the test permits the write to return.
    struct Output(Sender<Vec<u8>>, Receiver<()>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            self.1.recv().unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn writing_never_blocks_and_drops_lines_if_the_queue_is_full() {
        let (sender, written) = channel();
        let (permit, permits) = channel();
        let mut writer = LineWriter::start(Output(sender, permits));
        writer.write_all(b"first\n").unwrap();
        assert_eq!(written.recv().unwrap(), b"first\n");
        for number in 0..QUEUED_LINES_MAX + 7 {
            writer.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        assert_eq!(writer.dropped.load(Ordering::Relaxed), 7);
        let started = Instant::now();
        writer.wait_until_written();
        assert!(started.elapsed() < 10 * FLUSH_TIMEOUT);
        (0..=QUEUED_LINES_MAX).for_each(|_| permit.send(()).unwrap());
        for number in 0..QUEUED_LINES_MAX {
            assert_eq!(written.recv().unwrap(), format!("{number}\n").as_bytes());
        }
        writer.wait_until_written();
        assert_eq!(writer.dropped.load(Ordering::Relaxed), 0, "not reported");
    }
}
