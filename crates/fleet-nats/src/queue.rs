//! The queues: tickets and their deliveries.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use execution_engine_fleet::{
    ClusterError, Delivery, DeliveryHandle, QueueName, QueuePlace, Settle, shard_of,
};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use crate::cluster::NatsCluster;
use crate::link::{ApiError, Trouble};
use crate::many::Answers;
use crate::names::{checked, consumer, place_of, work_stream, work_subject};

/// Code of the error of a message that is not stored; its text says which bound it is.
const STORE_FAILED: u64 = 10077;
/// Wait of a request that takes what is there. Without one, a server says nothing while the quota of
/// the tenant is used up (tried with 2.15.1), and keeps the request.
const NO_WAIT: Duration = Duration::from_millis(1);
/// Longest wait of one request, so that a server that is gone is noticed.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

impl NatsCluster {
    pub(crate) async fn put_ticket(
        &self,
        place: &QueuePlace,
        ticket: Bytes,
    ) -> Result<(), ClusterError> {
        check_queue(&place.queue)?;
        let mut headers = HeaderMap::new();
        // Of this call: its repeats are one ticket. A later call is answered by the bound of one
        // ticket for each place.
        headers.insert("Nats-Msg-Id", Uuid::new_v4().simple().to_string());
        let subject = work_subject(place, self.shards());
        match self.link().publish(&subject, headers, ticket).await {
            Ok(_) => Ok(()),
            Err(Trouble::Api(error)) => Err(not_queued(error, &place.queue.tenant)),
            Err(trouble) => Err(trouble.into()),
        }
    }

    pub(crate) async fn tickets_of(
        &self,
        tenant: &str,
        id: Uuid,
    ) -> Result<Vec<(QueuePlace, Bytes)>, ClusterError> {
        checked("tenant", tenant)?;
        let stream = work_stream(tenant);
        let shard = shard_of(id, self.shards());
        let filter = format!("exeng.w.{tenant}.*.*.*.{shard}.{}", id.simple());
        let mut tickets = Vec::new();
        for subject in self.link().subjects(&stream, &filter).await? {
            let ticket = self.link().newest(&stream, &subject).await?;
            // It may be settled meanwhile.
            if let (Some(place), Some((_, bytes))) = (place_of(&subject), ticket) {
                tickets.push((place, bytes));
            }
        }
        Ok(tickets)
    }

    pub(crate) async fn places_of(&self, tenant: &str) -> Result<Vec<QueuePlace>, ClusterError> {
        checked("tenant", tenant)?;
        let subjects = self.link().subjects(&work_stream(tenant), "exeng.w.>").await?;
        Ok(subjects.iter().filter_map(|subject| place_of(subject)).collect())
    }

    /// Fetches in a task of its own, which gives the tickets back if the caller is gone: else they
    /// would come again minutes later.
    pub(crate) async fn take(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, ClusterError> {
        check_queue(queue)?;
        let (send, receive) = oneshot::channel();
        let (cluster, queue) = (self.clone(), queue.clone());
        tokio::spawn(async move {
            let fetched = cluster.take_now_or_wait(&queue, most, wait).await;
            let Err(Ok(unwanted)) = send.send(fetched) else { return };
            for delivery in unwanted {
                // If this fails, the servers deliver it again later.
                let _returned =
                    cluster.answer(&queue.tenant, &delivery.handle, Settle::Again).await;
            }
        });
        receive.await.unwrap_or_else(|_| Err(ClusterError::NoAnswer("the runtime ends".into())))
    }

    async fn take_now_or_wait(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, ClusterError> {
        let deadline = Instant::now() + wait;
        let mut deliveries = self.pull(queue, most, NO_WAIT).await?;
        while most > 0 && deliveries.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now()).min(LONGEST_WAIT);
            if left < NO_WAIT {
                return Ok(deliveries);
            }
            // One, so that the request is over when it came; the others are asked for at once.
            deliveries = self.pull(queue, 1, left).await?;
            if !deliveries.is_empty() && most > 1 {
                // What is there is returned, also if the rest fails.
                deliveries.extend(self.pull(queue, most - 1, NO_WAIT).await.unwrap_or_default());
            }
        }
        Ok(deliveries)
    }

    /// Makes one request for tickets: takes what is there, or waits for the first. The server ends it,
    /// so that no ticket is sent to a reader that is gone.
    async fn pull(
        &self,
        queue: &QueueName,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, ClusterError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let stream = work_stream(&queue.tenant);
        let api = self.link().api;
        let subject = format!("{api}.CONSUMER.MSG.NEXT.{stream}.{}", consumer(queue));
        let mut request = json!({ "batch": most, "no_wait": true, "expires": nanos(wait) });
        if wait > Duration::from_secs(2) {
            request["idle_heartbeat"] = nanos(Duration::from_secs(1)).into();
        }
        let (subject, request) = (&subject, &request);
        let taken = self.link().persist(|_| async move {
            let answers = self.link().gather(subject, request, most).await?;
            taken(subject, answers)
        });
        Ok(taken.await?)
    }

    /// Answers a delivery, and waits until the servers have it.
    pub(crate) async fn answer(
        &self,
        tenant: &str,
        handle: &DeliveryHandle,
        how: Settle,
    ) -> Result<(), ClusterError> {
        check_handle(tenant, handle)?;
        let word = match how {
            Settle::Done => "+ACK".to_owned(),
            Settle::Progress => "+WPI".to_owned(),
            Settle::Again => "-NAK".to_owned(),
            Settle::Later(delay) => format!("-NAK {}", json!({ "delay": nanos(delay) })),
        };
        let word = Bytes::from(word);
        let word = &word;
        let asked = self.link().persist(|within| async move {
            self.link().ask_once(&handle.0, None, word.clone(), within).await
        });
        asked.await?;
        Ok(())
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn check_queue(queue: &QueueName) -> Result<(), ClusterError> {
    queue.check().map_err(|error| ClusterError::Refused(error.to_string()))
}

/// Checks that a handle is one of a queue of a tenant: it comes from a record, which a client may have written,
/// and is a subject to publish to.
fn check_handle(tenant: &str, handle: &DeliveryHandle) -> Result<(), ClusterError> {
    let is_token = |token: &str| {
        !token.is_empty()
            && token.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte))
    };
    // `$JS.ACK.<stream>.<consumer>.<5 numbers>`, or with domain and account before the stream.
    let tokens: Vec<_> = handle.0.split('.').collect();
    let stream = match tokens.len() {
        9 => tokens[2],
        11 | 12 => tokens[4],
        _ => "",
    };
    if handle.0.starts_with("$JS.ACK.")
        && stream == work_stream(tenant)
        && tokens.iter().all(|t| is_token(t))
    {
        return Ok(());
    }
    Err(ClusterError::Refused(format!(
        "the handle of a delivery is none of a queue of tenant {tenant}"
    )))
}

fn not_queued(error: ApiError, tenant: &str) -> ClusterError {
    let is_bound = error.err_code == STORE_FAILED;
    match error.description.as_str() {
        "maximum messages per subject exceeded" if is_bound => ClusterError::AlreadyQueued,
        "maximum messages exceeded" | "maximum bytes exceeded" if is_bound => {
            // The servers do not say how many.
            ClusterError::QueueFull { tenant: tenant.to_owned(), limit: 0 }
        }
        _ => Trouble::Api(error).into(),
    }
}

/// Returns the tickets of a request. None are no error, if the server said so.
fn taken(subject: &str, answers: Answers) -> Result<Vec<Delivery>, Trouble> {
    let is_over = matches!(answers.status, 200 | 404)
        || (answers.status == 408 && answers.description.eq_ignore_ascii_case("request timeout"));
    if answers.messages.is_empty() && !is_over {
        let Answers { status, description, .. } = answers;
        return Err(Trouble::Late(format!("{subject}: {status} {description}")));
    }
    let delivery = |message: async_nats::Message| {
        let place = place_of(&message.subject)?;
        let handle = DeliveryHandle(message.reply?.to_string());
        Some(Delivery { place, ticket: message.payload, handle })
    };
    Ok(answers.messages.into_iter().filter_map(delivery).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_handles_of_queues_are_answered() {
        let cases = [
            ("$JS.ACK.EXENG_WORK_a.p=c=0.1.2.3.4.5", true),
            ("$JS.ACK.hub.Xy.EXENG_WORK_a.p=c=0.1.2.3.4.5", true),
            ("$JS.ACK.EXENG_WORK_b.p=c=0.1.2.3.4.5", false),
            ("$JS.ACK.EXENG_LOG_a_0.p=c=0.1.2.3.4.5", false),
            ("$JS.ACK.EXENG_WORK_a.>", false),
            ("$JS.ACK.EXENG_WORK_a.*.1.2.3.4.5", false),
            ("$JS.ACK.EXENG_WORK_a.p c.1.2.3.4.5", false),
            ("exeng.x.a.0.1.s", false),
            ("", false),
        ];
        for (handle, allowed) in cases {
            let checked = check_handle("a", &DeliveryHandle(handle.into()));
            assert_eq!(checked.is_ok(), allowed, "{handle}");
        }
    }
}
