//! Pools of workers, as they are stored.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::name::check_name;
use crate::wire::{RecordError, WireForm, check_text, form, invalid};

/// How much a worker has, or an execution may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Cores, in thousandths.
    pub cpu_milli: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Other resources by name, such as `gpu`. A resource without a name here is 0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, u64>,
}

impl Size {
    /// Returns how often `part` fits into this size; `u64::MAX` if the part is nothing.
    ///
    /// ```
    /// use execution_engine_fleet::Size;
    ///
    /// let size = |cpu_milli| Size { cpu_milli, ..Size::default() };
    /// assert_eq!(size(8000).holds(&size(3000)), 2);
    /// assert_eq!(size(0).holds(&size(1)), 0);
    /// ```
    pub fn holds(&self, part: &Self) -> u64 {
        let has = |name| self.resources.get(name).copied().unwrap_or(0);
        let mut least = times(self.cpu_milli, part.cpu_milli);
        least = least.min(times(self.memory_bytes, part.memory_bytes));
        part.resources.iter().fold(least, |least, (name, part)| least.min(times(has(name), *part)))
    }

    pub(crate) fn check(&self) -> Result<(), RecordError> {
        self.resources.keys().try_for_each(|name| Ok(check_name("resource", name)?))
    }
}

fn times(whole: u64, part: u64) -> u64 {
    whole.checked_div(part).unwrap_or(u64::MAX)
}

/// A size of executions in a pool. Each has queues of its own, so that a small worker takes none that
/// is too large for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SizeClass {
    /// Its name in the pool.
    pub name: String,
    /// What one execution may use.
    pub size: Size,
}

/// A key that values of environments and stdin are sealed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingKey {
    /// Its name, by which workers find the private half.
    pub id: String,
    /// The public half, an xkey.
    pub public: String,
}

/// What a tenant may use of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// How often workers take from this tenant, beside the others.
    pub weight: u32,
    /// Most executions that are running in each size class and priority.
    pub running: u32,
}

/// Largest weight of a tenant.
pub const MAX_WEIGHT: u32 = 100;

/// A set of workers that run the same executions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// The labels of its workers. A worker that has all of them belongs to the pool.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its size classes.
    pub classes: Vec<SizeClass>,
    /// Clients seal to the first one. The others are there for what was sealed before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sealing: Vec<SealingKey>,
    /// Public keys that certify the keys of workers. An old one stays for the age of the log, since
    /// readers ignore what it does not certify.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signing: Vec<String>,
    /// The tenants that it serves.
    pub tenants: BTreeMap<String, Share>,
}

impl Pool {
    /// Returns `true` if a worker with these labels belongs to the pool.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

impl form::Closed for Pool {}

impl WireForm for Pool {
    fn check(&self) -> Result<(), RecordError> {
        check_name("pool", &self.name)?;
        check_labels(&self.labels)?;
        check_classes(&self.classes)?;
        for key in &self.sealing {
            check_name("sealing.id", &key.id)?;
            check_text("sealing.public", &key.public)?;
        }
        self.signing.iter().try_for_each(|key| check_text("signing", key))?;
        self.tenants.iter().try_for_each(|(tenant, share)| {
            check_name("tenant", tenant)?;
            share.check()
        })
    }
}

impl Share {
    fn check(&self) -> Result<(), RecordError> {
        if self.weight == 0 || self.weight > MAX_WEIGHT {
            let what = format!("is {} and may be 1 to {MAX_WEIGHT}", self.weight);
            return Err(invalid("weight", what));
        }
        if self.running == 0 {
            return Err(invalid("running", "is 0 and may be 1 or more".to_owned()));
        }
        Ok(())
    }
}

pub(crate) fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), RecordError> {
    for (name, value) in labels {
        check_text("label", name)?;
        check_text("label", value)?;
    }
    Ok(())
}

fn check_classes(classes: &[SizeClass]) -> Result<(), RecordError> {
    let mut names = BTreeSet::new();
    for class in classes {
        check_name("class", &class.name)?;
        class.size.check()?;
        if !names.insert(&class.name) {
            return Err(invalid("classes", format!("has {:?} twice", class.name)));
        }
    }
    if names.is_empty() {
        return Err(invalid("classes", "is empty; name at least one".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Presence, decode, encode};

    fn pool() -> Pool {
        let size = Size { cpu_milli: 1000, memory_bytes: 1 << 30, ..Size::default() };
        Pool {
            name: "linux".to_owned(),
            labels: BTreeMap::from([("os".to_owned(), "linux".to_owned())]),
            classes: vec![SizeClass { name: "small".to_owned(), size }],
            sealing: vec![SealingKey { id: "k1".to_owned(), public: "X1".to_owned() }],
            signing: vec!["A1".to_owned()],
            tenants: BTreeMap::from([("blue".to_owned(), Share { weight: 1, running: 8 })]),
        }
    }

    #[test]
    fn a_pool_that_could_not_serve_is_refused() {
        assert_eq!(decode::<Pool>(&encode(&pool()).unwrap()).unwrap(), pool());
        type Case = (fn(&mut Pool), &'static str);
        let cases: [Case; 6] = [
            (|pool| pool.name.clear(), "pool is"),
            (|pool| pool.classes.clear(), "classes is empty"),
            (|pool| pool.classes.push(pool.classes[0].clone()), "classes has \"small\" twice"),
            (|pool| pool.classes[0].name = "a.b".to_owned(), "class is"),
            (|pool| share(pool).weight = 101, "weight is 101"),
            (|pool| share(pool).running = 0, "running is 0"),
        ];
        for (change, expected) in cases {
            let mut pool = pool();
            change(&mut pool);
            let error = encode(&pool).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    fn share(pool: &mut Pool) -> &mut Share {
        pool.tenants.get_mut("blue").unwrap()
    }

    #[test]
    fn a_worker_takes_what_fits_into_it() {
        let labels = BTreeMap::from([
            ("os".to_owned(), "linux".to_owned()),
            ("site".to_owned(), "b".to_owned()),
        ]);
        let totals = Size { cpu_milli: 1999, memory_bytes: 1 << 30, ..Size::default() };
        let mut worker =
            Presence { worker: "w1".to_owned(), labels, totals, ..Presence::default() };
        assert_eq!(decode::<Presence>(&encode(&worker).unwrap()).unwrap(), worker);
        let pool = pool();
        let small = &pool.classes[0].size;
        assert!(worker.takes(&pool, small));
        assert!(!worker.takes(&pool, &Size { cpu_milli: 2000, ..small.clone() }));
        let gpu = BTreeMap::from([("gpu".to_owned(), 1)]);
        assert!(!worker.takes(&pool, &Size { resources: gpu, ..small.clone() }));
        worker.labels.remove("os");
        assert!(!worker.takes(&pool, small));
    }
}
