//! The log: appends and reads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use execution_engine_fleet::{
    Changes, ClusterError, Expect, Lane, LogPart, LogSubject, NewRecord, shard_of,
};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::Instant;
use uuid::Uuid;

use crate::cluster::NatsCluster;
use crate::link::{Trouble, rest};
use crate::many::Batch;
use crate::names::{checked, decisions_filter, id_of, log_stream, log_subject, wake_subject};

/// Header with the name of a record.
const NAME: &str = "Nats-Msg-Id";
/// Subjects of which the last records are read at once. A record may have a mebibyte, and a server
/// sends 64 MiB.
const LASTS: usize = 48;
/// Pause until a replica that is behind is asked again.
const BEHIND: Duration = Duration::from_millis(5);

impl NatsCluster {
    pub(crate) async fn append_record(&self, record: NewRecord) -> Result<u64, ClusterError> {
        checked("tenant", &record.subject.tenant)?;
        let subject = log_subject(&record.subject, self.shards());
        let mut headers = HeaderMap::new();
        headers.insert(NAME, record.name.as_str());
        if let Expect::Last(last) = record.expect {
            headers.insert("Nats-Expected-Last-Subject-Sequence", last.to_string());
        }
        match self.link().publish(&subject, headers, record.bytes).await {
            Ok(stored) => Ok(stored.seq),
            Err(Trouble::Api(error)) => match (error.conflict(), record.expect) {
                (Some(last), Expect::Last(before)) => {
                    let stream = self.stream_of(&record.subject);
                    let same = self.same_record(&stream, &subject, before, &record.name).await?;
                    same.ok_or(ClusterError::Conflict { last })
                }
                _ => Err(Trouble::Api(error).into()),
            },
            Err(trouble) => Err(trouble.into()),
        }
    }

    pub(crate) async fn newest_record(&self, subject: &LogSubject) -> Result<u64, ClusterError> {
        checked("tenant", &subject.tenant)?;
        let stream = self.stream_of(subject);
        let name = log_subject(subject, self.shards());
        Ok(self.link().newest(&stream, &name).await?.map_or(0, |(seq, _)| seq))
    }

    /// Returns the stream that has the records of a subject.
    fn stream_of(&self, subject: &LogSubject) -> String {
        log_stream(&subject.tenant, shard_of(subject.id, self.shards()))
    }

    /// Returns the executions that the log has decisions of.
    pub(crate) async fn executions_of(&self, tenant: &str) -> Result<Vec<Uuid>, ClusterError> {
        checked("tenant", tenant)?;
        let mut ids = Vec::new();
        for shard in 0..self.shards().get() {
            let filter = decisions_filter(tenant, shard);
            let subjects = self.link().subjects(&log_stream(tenant, shard), &filter).await?;
            ids.extend(subjects.iter().filter_map(|subject| id_of(subject)));
        }
        Ok(ids)
    }

    /// Returns the sequence of the record behind a place, if it is the one of a name: a server looks
    /// at the condition of a repeat before it looks at its name (tried with 2.15.1).
    ///
    /// A replica that is behind does not have it. Then the repeat is a conflict, and its writer finds
    /// it where it looks for what came first.
    async fn same_record(
        &self,
        stream: &str,
        subject: &str,
        before: u64,
        name: &str,
    ) -> Result<Option<u64>, Trouble> {
        let batch = self.link().next_of(stream, subject, before + 1).await?;
        let next = batch.messages.first();
        let same = next.filter(|kept| kept.headers.get(NAME).is_some_and(|is| is.as_str() == name));
        Ok(same.map(|kept| kept.seq))
    }

    pub(crate) async fn read_records(
        &self,
        subject: &LogSubject,
        from: u64,
        until: u64,
    ) -> Result<LogPart, ClusterError> {
        checked("tenant", &subject.tenant)?;
        let (stream, name) = (self.stream_of(subject), log_subject(subject, self.shards()));
        let deadline = Instant::now() + self.link().patience;
        loop {
            let batch = self.link().next_of(&stream, &name, from).await?;
            if batch.pending > 0 || self.has_all(&stream, subject, from, until, &batch).await? {
                // After the records: what was removed before they were read is told.
                let first_seq = self.first_seq(&stream).await?;
                let more = batch.pending > 0;
                let records = batch.messages.into_iter().map(|kept| (kept.seq, kept.bytes));
                return Ok(LogPart { first_seq, records: records.collect(), more });
            }
            if Instant::now() + BEHIND >= deadline {
                let reason = format!("no replica of {stream} has all records up to {until}");
                return Err(ClusterError::NoAnswer(reason));
            }
            rest(BEHIND).await;
        }
    }

    /// Returns `true` if an answer has all records of its subject up to a sequence.
    ///
    /// A replica does not say how far it is, but it has its records in order. So one that has any
    /// record of the execution from `until` on says which is the last of this subject.
    async fn has_all(
        &self,
        stream: &str,
        subject: &LogSubject,
        from: u64,
        until: u64,
        batch: &Batch,
    ) -> Result<bool, Trouble> {
        if batch.last_seq() >= until {
            return Ok(true);
        }
        let lanes = [Lane::Decisions, Lane::Output, Lane::Input]
            .map(|lane| log_subject(&LogSubject { lane, ..subject.clone() }, self.shards()));
        let lasts = self.link().last_of(stream, &lanes).await?;
        let name = log_subject(subject, self.shards());
        let own =
            lasts.messages.iter().find(|kept| kept.subject == name).map_or(0, |kept| kept.seq);
        let newest = lasts.messages.iter().map(|kept| kept.seq).max().unwrap_or(0);
        Ok(newest >= until && (own < from || batch.last_seq() >= own))
    }

    pub(crate) async fn last_records(
        &self,
        subjects: &[LogSubject],
    ) -> Result<Vec<Option<(u64, Bytes)>>, ClusterError> {
        let mut streams: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
        for (index, subject) in subjects.iter().enumerate() {
            checked("tenant", &subject.tenant)?;
            let wanted = streams.entry(self.stream_of(subject)).or_default();
            wanted.push((index, log_subject(subject, self.shards())));
        }
        let mut lasts = vec![None; subjects.len()];
        for (stream, wanted) in &streams {
            for part in wanted.chunks(LASTS) {
                let names: Vec<_> = part.iter().map(|(_, name)| name.clone()).collect();
                let batch = self.link().last_of(stream, &names).await?;
                let found: BTreeMap<_, _> = batch
                    .messages
                    .into_iter()
                    .map(|kept| (kept.subject, (kept.seq, kept.bytes)))
                    .collect();
                for (index, name) in part {
                    lasts[*index] = found.get(name).cloned();
                }
            }
        }
        Ok(lasts)
    }

    pub(crate) async fn watch_subject(
        &self,
        subject: &LogSubject,
    ) -> Result<Changes, ClusterError> {
        checked("tenant", &subject.tenant)?;
        let name = wake_subject(subject, self.shards());
        let client = &self.link().client;
        let failed = |error: &dyn std::fmt::Display| ClusterError::NoAnswer(error.to_string());
        let woken = client.subscribe(name).await.map_err(|error| failed(&error))?;
        // The server has the subscription before the caller reads for the first time.
        let flushed = tokio::time::timeout(self.link().patience, client.flush()).await;
        flushed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let woken = Arc::new(tokio::sync::Mutex::new(woken));
        Ok(Changes::new(move || {
            let woken = woken.clone();
            Box::pin(async move {
                let mut woken = woken.lock().await;
                if woken.next().await.is_none() {
                    // The connection was closed for good; the reader looks on its own.
                    std::future::pending::<()>().await;
                }
                // One wake for all that came.
                while woken.next().now_or_never().flatten().is_some() {}
            })
        }))
    }

    /// Returns the first sequence that a log stream has.
    ///
    /// It is asked of the leader, and kept for as long as nothing can have been removed: until the
    /// first record is as old as records become, by the clock of the server.
    async fn first_seq(&self, stream: &str) -> Result<u64, ClusterError> {
        if let Some((first_seq, until)) = self.first_seqs().lock().get(stream)
            && Instant::now() < *until
        {
            return Ok(*first_seq);
        }
        let asked = Instant::now();
        let info = self.link().info(stream).await?;
        let info =
            info.ok_or_else(|| ClusterError::Refused(format!("there is no stream {stream}")))?;
        let max_age = Duration::from_nanos(info.config["max_age"].as_u64().unwrap_or(0));
        let age = (info.ts - info.state.first_ts).to_std().unwrap_or_default();
        let age = if info.state.messages == 0 { Duration::ZERO } else { age };
        // A tenth for clocks of replicas that differ.
        let left = (max_age - max_age / 10).saturating_sub(age);
        self.first_seqs().lock().insert(stream.to_owned(), (info.state.first_seq, asked + left));
        Ok(info.state.first_seq)
    }
}
