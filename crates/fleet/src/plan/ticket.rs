//! From a plan to its ticket and back, and the ids of its steps. Pure.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use execution_engine::{ExecutionOptions, OsText, PlanSpec, StdinSource};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};
use zeroize::Zeroizing;

use crate::engine::request::{TicketError, clear_values, digest_of, short};
use crate::place::Requires;
use crate::pool::Pool;
use crate::record::{PlanTitle, Ticket};
use crate::seal::{Opener, SealedFor, SealedPart, seal};
use crate::wire::MAX_ATTEMPTS;

/// The only round of a plan: a fleet resumes none.
const ROUND: u64 = 1;

/// Returns the id of the execution of a step. All who conduct the plan have the same, so that the
/// servers take one ticket, and the log counts one first claim.
///
/// ```
/// use execution_engine_fleet::step_id;
/// use uuid::Uuid;
///
/// let plan = Uuid::from_u128(1);
/// assert_eq!(step_id(plan, 0), step_id(plan, 0));
/// assert_ne!(step_id(plan, 0), step_id(plan, 1));
/// ```
pub fn step_id(plan: Uuid, step: usize) -> Uuid {
    let mut hash = Sha256::new_with_prefix(b"execution-engine step of a plan\0");
    hash.update(plan.as_bytes());
    hash.update((step as u64).to_be_bytes());
    hash.update(ROUND.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

/// Values of a plan that only holders of the key of its pool can read.
#[derive(Default, Serialize, Deserialize)]
struct PlanSecrets {
    env: HashMap<String, String>,
    requests: Vec<HashMap<String, String>>,
    defaults: OptionSecrets,
    /// Of the steps with options of their own.
    steps: Vec<Option<OptionSecrets>>,
}

#[derive(Default, Serialize, Deserialize)]
struct OptionSecrets {
    env: BTreeMap<OsText, OsText>,
    stdin: StdinSource,
}

impl OptionSecrets {
    fn take(options: &mut ExecutionOptions) -> Self {
        let env = std::mem::take(&mut options.env.set);
        let stdin = match &options.stdin {
            StdinSource::Bytes { .. } => std::mem::take(&mut options.stdin),
            _ => StdinSource::Null,
        };
        Self { env, stdin }
    }

    fn give(self, options: &mut ExecutionOptions) {
        options.env.set = self.env;
        if self.stdin != StdinSource::Null {
            options.stdin = self.stdin;
        }
    }
}

impl PlanSecrets {
    fn take(spec: &mut PlanSpec) -> Self {
        let steps = spec.options.steps.iter_mut();
        Self {
            steps: steps.map(|step| step.options.as_mut().map(OptionSecrets::take)).collect(),
            env: std::mem::take(&mut spec.options.env),
            requests: spec.plan.commands.iter_mut().map(|it| std::mem::take(&mut it.env)).collect(),
            defaults: OptionSecrets::take(&mut spec.options.defaults),
        }
    }

    fn give(self, spec: &mut PlanSpec) {
        spec.options.env = self.env;
        spec.plan.commands.iter_mut().zip(self.requests).for_each(|(it, env)| it.env = env);
        self.defaults.give(&mut spec.options.defaults);
        for (step, secrets) in spec.options.steps.iter_mut().zip(self.steps) {
            if let (Some(options), Some(secrets)) = (&mut step.options, secrets) {
                secrets.give(options);
            }
        }
    }
}

/// Returns a plan without values of environments and stdin.
pub(super) fn shown(spec: &PlanSpec) -> PlanSpec {
    let mut shown = spec.clone();
    let _secrets = PlanSecrets::take(&mut shown);
    shown
}

/// Returns the ticket of a plan for the pool of plans.
pub(super) fn ticket(
    tenant: &str,
    pool: &Pool,
    spec: &PlanSpec,
    now_ms: u64,
) -> Result<Ticket, TicketError> {
    let (id, mut shown, mut sealed) = (spec.plan.id, spec.clone(), None);
    if !pool.sealing.is_empty() {
        let secrets = Zeroizing::new(serde_json::to_vec(&PlanSecrets::take(&mut shown))?);
        sealed = Some(seal(pool, SealedFor { tenant, id, part: SealedPart::Ticket }, &secrets)?);
    }
    let steps = spec.plan.commands.len();
    let what = spec.plan.description.as_deref().unwrap_or_default();
    Ok(Ticket {
        id,
        tenant: tenant.to_owned(),
        command: short(&format!("plan of {steps} steps {what}")).trim_end().to_owned(),
        request: json!({ "metadata": spec.plan.metadata }),
        options: Value::Null,
        requires: Requires::default(),
        // A conductor that is lost does not fail the plan: another one goes on.
        max_attempts: MAX_ATTEMPTS,
        start_by_ms: None,
        submitted_at_ms: now_ms,
        sealed,
        plan: Some(serde_json::to_value(&shown)?),
        asked: Some(asked(spec, !pool.sealing.is_empty())?),
    })
}

/// Returns the SHA-256 of what makes two plans the same: all but ids. What is sealed counts by its names alone: a
/// digest would let others try values.
fn asked(spec: &PlanSpec, is_sealed: bool) -> Result<Bytes, TicketError> {
    let mut spec = spec.clone();
    spec.plan.id = Uuid::nil();
    spec.plan.commands.iter_mut().for_each(|request| request.id = Uuid::nil());
    if is_sealed {
        let requests = spec.plan.commands.iter_mut().flat_map(|request| request.env.values_mut());
        requests.chain(spec.options.env.values_mut()).for_each(String::clear);
        let own = spec.options.steps.iter_mut().filter_map(|step| step.options.as_mut());
        own.chain([&mut spec.options.defaults]).for_each(clear_values);
    }
    digest_of(spec)
}

/// Returns the plan of a ticket, with what was sealed.
pub(super) fn open(ticket: &Ticket, opener: &Opener) -> Result<PlanSpec, TicketError> {
    let mut spec: PlanSpec = serde_json::from_value(ticket.plan.clone().unwrap_or_default())?;
    if let Some(sealed) = &ticket.sealed {
        let of = SealedFor { tenant: &ticket.tenant, id: ticket.id, part: SealedPart::Ticket };
        let secrets: PlanSecrets = serde_json::from_slice(&opener.open(of, sealed)?)?;
        secrets.give(&mut spec);
    }
    Ok(spec)
}

/// Returns what lists show of the plan of a ticket; `None` if it is none.
pub(crate) fn title_of(ticket: &Ticket) -> Option<PlanTitle> {
    let plan = ticket.plan.as_ref()?;
    let steps = plan.pointer("/plan/commands").and_then(Value::as_array).map_or(0, Vec::len);
    let description = plan.pointer("/plan/description").and_then(Value::as_str).map(short);
    Some(PlanTitle { steps: u32::try_from(steps).unwrap_or(u32::MAX), description })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{KeyKind, Seed};
    use crate::pool::{SealingKey, Size, SizeClass};
    use crate::wire::{FORMAT_VERSION, PLAN_VERSION, RecordError, decode, encode};
    use crate::{Record, WireForm as _};

    fn pool(seed: Option<&Seed>) -> Pool {
        let key = |seed: &Seed| SealingKey { id: "k".into(), public: seed.public().into() };
        Pool {
            name: super::super::PLANS_POOL.into(),
            labels: BTreeMap::new(),
            classes: vec![SizeClass { name: "any".into(), size: Size::default() }],
            sealing: seed.map(key).into_iter().collect(),
            signing: Vec::new(),
            tenants: BTreeMap::new(),
        }
    }

    fn spec() -> PlanSpec {
        let text = r#"{"description": "nightly", "env": {"A": "hidden"},
            "defaults": {"env": {"set": {"B": "hidden"}}}, "steps": [
            {"command": "true", "env": {"C": "hidden"}},
            {"command": "cat", "options": {"stdin": {"type": "bytes", "data": "hidden"}, "env": {"set": {"D": "hidden"}}}},
            {"command": "cat", "options": {"stdin": "piped"}}]}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_are_sealed_and_come_back() {
        let seed = Seed::new(KeyKind::Sealing);
        let opener = Opener::new([("k".to_owned(), &seed)]).unwrap();
        for pool in [pool(Some(&seed)), pool(None)] {
            let ticket = ticket("t", &pool, &spec(), 7).unwrap();
            let text = ticket.plan.clone().unwrap().to_string();
            assert_eq!(text.contains("hidden"), pool.sealing.is_empty(), "{text}");
            let mut wanted = spec();
            let read: Ticket = decode(&encode(&ticket).unwrap()).unwrap();
            let opened = open(&read, &opener).unwrap();
            wanted.plan.id = opened.plan.id;
            let ids = opened.plan.commands.iter().map(|it| it.id);
            wanted.plan.commands.iter_mut().zip(ids).for_each(|(it, id)| it.id = id);
            assert_eq!(opened, wanted);
        }
        assert!(!serde_json::to_string(&shown(&spec())).unwrap().contains("hidden"));
    }

    #[test]
    fn plans_are_the_same_but_for_ids_and_sealed_values() {
        let seed = Seed::new(KeyKind::Sealing);
        for pool in [pool(Some(&seed)), pool(None)] {
            let asked = |spec: &PlanSpec, now_ms| ticket("t", &pool, spec, now_ms).unwrap().asked;
            let first = asked(&spec(), 7);
            assert!(first.is_some());
            assert_eq!(asked(&spec(), 8), first, "these have other ids");
            let mut other = spec();
            other.options.steps[2].allow_failure = true;
            assert_ne!(asked(&other, 7), first);
            let text = serde_json::to_string(&spec()).unwrap().replace("hidden", "other");
            let other = asked(&serde_json::from_str(&text).unwrap(), 7);
            assert_eq!(other == first, !pool.sealing.is_empty());
        }
    }

    #[test]
    fn a_worker_that_knows_no_plans_leaves_the_ticket_alone() {
        let ticket = ticket("t", &pool(None), &spec(), 7).unwrap();
        let bytes = encode(&ticket).unwrap();
        assert_eq!((bytes[0], PLAN_VERSION > FORMAT_VERSION), (PLAN_VERSION, true));
        // All types but tickets are read as an earlier version reads them.
        assert_eq!(Record::NEWEST, FORMAT_VERSION);
        assert_eq!(
            decode::<Record>(&bytes).unwrap_err(),
            RecordError::Newer { version: PLAN_VERSION }
        );
        let command = Ticket { plan: None, ..ticket.clone() };
        assert_eq!(encode(&command).unwrap()[0], FORMAT_VERSION);
        let title = title_of(&ticket).unwrap();
        assert_eq!((title.steps, title.description.as_deref()), (3, Some("nightly")));
    }

    #[test]
    fn ids_of_steps_are_the_same_in_all_versions() {
        let plan = Uuid::from_u128(1);
        assert_eq!(step_id(plan, 0).to_string(), "b0d80d91-d59c-8d4a-af9f-7c13d5498578");
    }
}
