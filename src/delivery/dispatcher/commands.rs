//! Handles the commands of other modules: sends messages that aren't in the outbox, and reports the
//! state of the dispatcher.

use super::{Dispatcher, TaskCompletion};
use crate::delivery::DispatcherCommand;
use crate::delivery::endpoint_queue::EndpointQueue;

impl Dispatcher {
    /// Handles a command other than [`DispatcherCommand::Stop`]. A caller may have stopped waiting
    /// for the reply.
    pub(super) fn handle_command(&mut self, command: DispatcherCommand) {
        match command {
            DispatcherCommand::Send {
                url,
                message,
                reply,
            } => {
                let client = self.sender.client_for(&url);
                let now = self.clock.now();
                self.tasks.push(Box::pin(async move {
                    let _ = reply.send(client.attempt(message.to_parts(), now).await);
                    TaskCompletion::Other
                }));
            }
            DispatcherCommand::SendMail(mail, reply) => {
                let client = self.sender.mail.clone();
                self.tasks.push(Box::pin(async move {
                    let _ = reply.send(client.send(&mail).await);
                    TaskCompletion::Other
                }));
            }
            DispatcherCommand::CheckHealth(reply) => {
                let _ = reply.send(!self.is_recording_failing);
            }
            DispatcherCommand::CheckInFlight(delivery, reply) => {
                let in_flight = |queue: &EndpointQueue| queue.is_in_flight(&delivery);
                let _ = reply.send(self.queues.values().any(in_flight));
            }
            DispatcherCommand::Stop => {}
        }
    }
}
