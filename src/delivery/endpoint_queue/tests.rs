//! Tests of reads that overlap with attempts, and of backpressure.

use std::sync::Arc;

use ulid::Ulid;

use super::*;
use crate::delivery::client::HttpSender;
use crate::delivery::mail::MailClient;
use crate::delivery::tls::tls_config;
use crate::domain::event::EventType;
use crate::domain::format::Format;
use crate::domain::id::{Id, WebhookId};
use crate::domain::secret::Secret;
use crate::domain::webhook::{CustomHeaders, Secrets};
use crate::domain::webhook_url::WebhookUrl;

fn batch(ulid: u128, has_more: bool) -> DeliveryBatch {
    let webhook = WebhookId::from_bytes([1; 16]);
    DeliveryBatch {
        endpoint: Some(EndpointConfig {
            webhook,
            url: WebhookUrl::parse("http://127.0.0.1:9/").unwrap(),
            secrets: Secrets {
                current: Secret::from_random([1; 32]),
                next: None,
            },
            headers: CustomHeaders::default(),
        }),
        webhook,
        deliveries: vec![DueDelivery {
            id: DeliveryId::from_ulid(Ulid(ulid)),
            event: EventType::Test,
            is_test: true,
            format: Format::Standard,
            attempts: 0,
            event_at: Timestamp::from_millis(0),
            body: Vec::new(),
            is_requested_retry: false,
        }],
        has_more,
    }
}

/// Returns a queue with one delivery in flight.
fn queue(sender: &TargetSender) -> EndpointQueue {
    let mut queue = EndpointQueue::new(batch(1, false), 0, sender).unwrap();
    assert_eq!(start_attempts(&mut queue), 1);
    queue
}

/// Starts as many attempts as possible, and returns their number.
fn start_attempts(queue: &mut EndpointQueue) -> usize {
    let now = Timestamp::from_millis(0);
    std::iter::from_fn(|| queue.pop_next_delivery(FREE_SLOTS, now)).count()
}

const FREE_SLOTS: usize = 100;

/// Ends the attempt in one of the slots.
fn succeed(queue: &mut EndpointQueue, duration: Duration) {
    let delivery = *queue.slots.keys().next().unwrap();
    queue.on_attempt_succeeded(&delivery, duration);
}

fn sender() -> TargetSender {
    let (tls, timeout) = (Arc::new(tls_config(&[]).unwrap()), Duration::from_secs(5));
    TargetSender {
        mail: MailClient::new(Arc::clone(&tls), None, timeout),
        http: HttpSender::new(tls, Arc::default(), timeout),
    }
}

#[test]
fn a_delivery_that_becomes_due_during_a_read_is_read_afterwards() {
    let sender = sender();
    let mut queue = queue(&sender);
    assert!(queue.start_batch_read(true).limit > 0);
    // The webhook becomes healthy, and a read of the healthy webhooks finds that the previous
    // read is still running. That read doesn't contain the newest deliveries.
    succeed(&mut queue, Duration::ZERO);
    assert_eq!(queue.start_batch_read(true).limit, 0);
    queue.on_read_finished();
    queue.refill(batch(2, false), 0, &sender);
    assert!(queue.needs_refill());
    assert!(queue.start_batch_read(true).limit > 0);
    queue.on_read_finished();
    assert!(!queue.needs_refill(), "the queue would be read forever");
}

#[test]
fn a_read_without_more_deliveries_is_not_repeated() {
    let sender = sender();
    let mut queue = queue(&sender);
    for (has_more, ulid) in [(true, 2), (false, 3)] {
        queue.start_batch_read(true);
        queue.on_read_finished();
        queue.refill(batch(ulid, has_more), 0, &sender);
        assert_eq!(queue.needs_refill(), has_more);
    }
}

/// Returns a healthy queue whose slots are all in use, with more deliveries read ahead. Each
/// attempt so far took `duration`.
fn busy_queue(sender: &TargetSender, duration: Duration) -> EndpointQueue {
    let mut queue = queue(sender);
    for ulid in 2..=100 {
        queue.refill(batch(ulid, false), 0, sender);
    }
    for _ in 0..40 {
        succeed(&mut queue, duration);
        start_attempts(&mut queue);
    }
    assert_eq!(queue.slots_in_use(), SLOTS_MAX);
    queue
}

#[test]
fn deliveries_wait_for_a_slow_endpoint_if_all_slots_are_in_use() {
    let sender = sender();
    for (millis, waits_for_miniback) in [(0, true), (2, true), (3, false), (50, false)] {
        let queue = busy_queue(&sender, Duration::from_millis(millis));
        let waits = queue.waits_for_miniback(FREE_SLOTS, false);
        assert_eq!(waits, waits_for_miniback, "{millis} ms");
    }
    // Some attempts are quick, but the other ones occupy most slots.
    let mut queue = busy_queue(&sender, Duration::ZERO);
    let old = Instant::now().checked_sub(2 * SLOT_AGE_MAX).unwrap();
    for (number, started) in queue.slots.values_mut().enumerate() {
        if number < SLOTS_MAX / 2 {
            *started = old;
        }
    }
    assert!(!queue.waits_for_miniback(FREE_SLOTS, false));
}

#[test]
fn deliveries_with_a_free_slot_wait_for_miniback() {
    let sender = sender();
    let mut queue = busy_queue(&sender, Duration::from_millis(50));
    // This attempt ended, but the next one isn't started, for example because too many attempts
    // wait to be recorded.
    succeed(&mut queue, Duration::from_millis(50));
    assert!(queue.waits_for_miniback(FREE_SLOTS, false));
    assert!(!queue.waits_for_miniback(0, false), "others use all slots");
    // An empty queue waits for Miniback if more deliveries may be due.
    while !queue.ready.is_empty() {
        succeed(&mut queue, Duration::from_millis(50));
        start_attempts(&mut queue);
    }
    assert!(queue.waits_for_miniback(FREE_SLOTS, true));
    assert!(!queue.waits_for_miniback(FREE_SLOTS, false));
}

#[test]
fn nothing_waits_for_miniback_after_a_failure() {
    let sender = sender();
    for (timed_out, requests_hold) in [(false, false), (true, false), (false, true)] {
        let mut queue = busy_queue(&sender, Duration::ZERO);
        queue.on_attempt_failed(timed_out, requests_hold);
        assert!(!queue.waits_for_miniback(FREE_SLOTS, true));
    }
}

#[test]
fn an_older_delivery_or_a_retry_has_not_waited_for_miniback() {
    let sender = sender();
    for (attempts, millis, is_new) in [(0, 2000, true), (0, 2001, false), (1, 0, false)] {
        let mut due = batch(1, false);
        due.deliveries[0].attempts = attempts;
        let mut queue = EndpointQueue::new(due, 0, &sender).unwrap();
        queue.pop_next_delivery(FREE_SLOTS, Timestamp::from_millis(millis));
        assert_eq!(queue.last_started_if_new().is_some(), is_new);
    }
}
