//! Which pool and size class an execution goes to; pure.

use std::cmp::Reverse;

use crate::Requires;
use crate::plan::PLANS_POOL;
use crate::pool::{Pool, Size, SizeClass};

/// Something that a pool has not, and an execution requires.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lack {
    /// The pool does not serve the tenant.
    #[error("it does not serve tenant {tenant:?}")]
    Tenant {
        /// The tenant.
        tenant: String,
    },
    /// Its workers need not have this label.
    #[error("its workers need not have {name:?} as {wanted:?}")]
    Label {
        /// The label.
        name: String,
        /// The value that is required.
        wanted: String,
    },
    /// Its size classes have too little of this.
    #[error("its nearest size class has {has} of {name:?} and not {wanted}")]
    Amount {
        /// `cpu_milli`, `memory_bytes` or the name of a resource.
        name: String,
        /// The least that is required.
        wanted: u64,
        /// What the class has.
        has: u64,
    },
}

/// Error of an execution that no pool takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPool {
    /// The fleet has no pool.
    #[error("the fleet has no pool; create one")]
    None,
    /// There is no pool with the name that is required.
    #[error("no pool is named {wanted:?}; there are {}", known.join(", "))]
    Unknown {
        /// The name.
        wanted: String,
        /// The pools that there are.
        known: Vec<String>,
    },
    /// Each pool lacks something.
    #[error("no pool takes the execution; the nearest is {pool:?}: {}", joined(lacks))]
    Lacking {
        /// The pool that lacks the fewest things.
        pool: String,
        /// What it lacks.
        lacks: Vec<Lack>,
    },
}

fn joined(lacks: &[Lack]) -> String {
    lacks.iter().map(Lack::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the pool and the size class for an execution of a tenant: the first pool that has all it
/// requires, and the smallest class there. The answer follows from the arguments alone.
///
/// # Errors
///
/// [`NoPool`] if none has; it names the nearest pool and what that one lacks.
///
/// ```
/// use std::collections::BTreeMap;
/// use execution_engine_fleet::{Pool, Requires, Share, Size, SizeClass, place};
///
/// let size = Size { cpu_milli: 2000, memory_bytes: 4 << 30, ..Size::default() };
/// let linux = Pool {
///     name: "linux".into(),
///     labels: BTreeMap::from([("os".into(), "linux".into())]),
///     classes: vec![SizeClass { name: "small".into(), size }],
///     sealing: Vec::new(),
///     signing: Vec::new(),
///     tenants: BTreeMap::from([("blue".into(), Share { weight: 1, running: 100 })]),
/// };
/// let pools = [linux];
///
/// let (pool, class) = place("blue", &Requires::default(), &pools).unwrap();
/// assert_eq!((&*pool.name, &*class.name), ("linux", "small"));
///
/// let large = Requires { cpu_milli: Some(8000), ..Requires::default() };
/// assert_eq!(
///     place("blue", &large, &pools).unwrap_err().to_string(),
///     "no pool takes the execution; the nearest is \"linux\": \
///      its nearest size class has 2000 of \"cpu_milli\" and not 8000",
/// );
/// ```
pub fn place<'a>(
    tenant: &str,
    requires: &Requires,
    pools: &'a [Pool],
) -> Result<(&'a Pool, &'a SizeClass), NoPool> {
    // Plans have a pool of their own, which takes no executions.
    let pools: Vec<_> = pools.iter().filter(|pool| pool.name != PLANS_POOL).collect();
    let is_named = |pool: &&Pool| requires.pool.as_ref().is_none_or(|name| *name == pool.name);
    let wanted = size_of(requires);
    let mut nearest: Option<(&Pool, Vec<Lack>)> = None;
    for pool in pools.iter().copied().filter(is_named) {
        let mut lacks = lacks_of_pool(pool, tenant, requires);
        match class_for(pool, &wanted) {
            Ok(class) if lacks.is_empty() => return Ok((pool, class)),
            Ok(_) => (),
            Err(more) => lacks.extend(more),
        }
        if nearest.as_ref().is_none_or(|(_, fewest)| lacks.len() < fewest.len()) {
            nearest = Some((pool, lacks));
        }
    }
    Err(match (nearest, &requires.pool) {
        (Some((pool, lacks)), _) => NoPool::Lacking { pool: pool.name.clone(), lacks },
        (None, Some(wanted)) if !pools.is_empty() => NoPool::Unknown {
            wanted: wanted.clone(),
            known: pools.iter().map(|pool| pool.name.clone()).collect(),
        },
        (None, _) => NoPool::None,
    })
}

fn size_of(requires: &Requires) -> Size {
    Size {
        cpu_milli: requires.cpu_milli.unwrap_or(0),
        memory_bytes: requires.memory_bytes.unwrap_or(0),
        resources: requires.resources.clone(),
    }
}

fn lacks_of_pool(pool: &Pool, tenant: &str, requires: &Requires) -> Vec<Lack> {
    let is_served = pool.tenants.contains_key(tenant);
    let tenant = (!is_served).then(|| Lack::Tenant { tenant: tenant.to_owned() });
    let others =
        requires.labels.iter().filter(|(name, value)| pool.labels.get(*name) != Some(value));
    let labels =
        others.map(|(name, wanted)| Lack::Label { name: name.clone(), wanted: wanted.clone() });
    tenant.into_iter().chain(labels).collect()
}

/// Returns the smallest class that has all of this, or else what the nearest one lacks: that which
/// lacks the fewest things, and the largest of those.
fn class_for<'a>(pool: &'a Pool, wanted: &Size) -> Result<&'a SizeClass, Vec<Lack>> {
    // The name makes all clients choose alike.
    let order =
        |class: &SizeClass| (class.size.cpu_milli, class.size.memory_bytes, class.name.clone());
    let fitting = pool.classes.iter().filter(|class| class.size.holds(wanted) > 0);
    if let Some(smallest) = fitting.min_by_key(|class| order(class)) {
        return Ok(smallest);
    }
    let lacks = |class: &SizeClass| lacks_of_size(&class.size, wanted);
    let nearest =
        pool.classes.iter().min_by_key(|class| (lacks(class).len(), Reverse(order(class))));
    Err(nearest.map_or_else(|| lacks_of_size(&Size::default(), wanted), lacks))
}

fn lacks_of_size(size: &Size, wanted: &Size) -> Vec<Lack> {
    let named = wanted.resources.iter().map(|(name, wanted)| {
        (name.as_str(), size.resources.get(name).copied().unwrap_or(0), *wanted)
    });
    [
        ("cpu_milli", size.cpu_milli, wanted.cpu_milli),
        ("memory_bytes", size.memory_bytes, wanted.memory_bytes),
    ]
    .into_iter()
    .chain(named)
    .filter(|(_, has, wanted)| has < wanted)
    .map(|(name, has, wanted)| Lack::Amount { name: name.to_owned(), wanted, has })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pool::Share;

    fn class(name: &str, cpu_milli: u64, gpu: u64) -> SizeClass {
        let resources = BTreeMap::from([("gpu".to_owned(), gpu)]);
        let size = Size { cpu_milli, memory_bytes: 1 << 30, resources };
        SizeClass { name: name.to_owned(), size }
    }

    fn pool(name: &str, os: &str, classes: Vec<SizeClass>) -> Pool {
        Pool {
            name: name.to_owned(),
            labels: BTreeMap::from([("os".to_owned(), os.to_owned())]),
            classes,
            sealing: Vec::new(),
            signing: Vec::new(),
            tenants: BTreeMap::from([("t".to_owned(), Share { weight: 1, running: 1 })]),
        }
    }

    fn pools() -> [Pool; 2] {
        let linux = vec![class("large", 8000, 0), class("small", 1000, 0), class("gpu", 4000, 2)];
        [pool("linux", "linux", linux), pool("mac", "mac", vec![class("all", 16000, 0)])]
    }

    fn requires(cpu_milli: u64, gpu: u64, os: Option<&str>) -> Requires {
        let labels = os.map(|os| ("os".to_owned(), os.to_owned())).into_iter().collect();
        let resources = BTreeMap::from([("gpu".to_owned(), gpu)]);
        Requires { cpu_milli: Some(cpu_milli), labels, resources, ..Requires::default() }
    }

    #[test]
    fn the_smallest_class_of_the_first_pool_is_taken() {
        let cases = [
            (requires(1, 0, None), ("linux", "small")),
            (requires(1001, 0, None), ("linux", "gpu")),
            (requires(4001, 0, None), ("linux", "large")),
            (requires(1, 1, None), ("linux", "gpu")),
            (requires(8001, 0, None), ("mac", "all")),
            (requires(1, 0, Some("mac")), ("mac", "all")),
        ];
        let pools = pools();
        for (requires, expected) in cases {
            let (pool, class) = place("t", &requires, &pools).unwrap();
            assert_eq!((&*pool.name, &*class.name), expected, "{requires:?}");
        }
    }

    #[test]
    fn the_error_names_the_nearest_pool() {
        let pools = pools();
        let lacking = |requires| match place("t", &requires, &pools) {
            Err(NoPool::Lacking { pool, lacks }) => (pool, lacks),
            other => panic!("{other:?}"),
        };
        let amount = |name: &str, wanted, has| Lack::Amount { name: name.to_owned(), wanted, has };
        let (pool, lacks) = lacking(requires(9000, 1, Some("linux")));
        assert_eq!((pool.as_str(), lacks), ("linux", vec![amount("cpu_milli", 9000, 4000)]));
        let (pool, lacks) = lacking(requires(20_000, 0, None));
        assert_eq!((pool.as_str(), lacks), ("linux", vec![amount("cpu_milli", 20_000, 8000)]));
        let (pool, lacks) = lacking(requires(1, 0, Some("bsd")));
        assert_eq!(pool, "linux");
        assert!(matches!(&lacks[..], [Lack::Label { .. }]), "{lacks:?}");
        let error = place("u", &requires(1, 0, None), &pools).unwrap_err().to_string();
        assert!(error.ends_with("it does not serve tenant \"u\""), "{error}");
    }

    #[test]
    fn a_pool_that_is_named_must_exist() {
        let named = Requires { pool: Some("bsd".to_owned()), ..Requires::default() };
        let error = place("t", &named, &pools()).unwrap_err().to_string();
        assert_eq!(error, "no pool is named \"bsd\"; there are linux, mac");
        let error = place("t", &Requires::default(), &[]).unwrap_err().to_string();
        assert_eq!(error, "the fleet has no pool; create one");
    }
}
