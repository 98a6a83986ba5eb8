//! Verbs of the service whose executions are on the machines of a fleet (`--on`).
//!
//! | module | content |
//! |---|---|
//! | `start` | `submit` |
//! | `look` | `ls`, `show`, `wait` |
//! | `output` | `logs`, and following an execution |
//! | `attach` | `attach`: the last lines and what follows, and input |
//! | `last_lines` | the last lines of output |
//! | `control` | `stop`, `signal`, `pause`, `resume`, `input` |

mod attach;
mod control;
mod last_lines;
mod look;
pub(crate) mod output;
mod start;

use std::process::ExitCode;
use std::sync::Arc;

use execution_engine::{Backend as _, BackendExecution, ExecutionConfig, ExecutionEngine, Uuid};
use execution_engine_fleet::{Cluster, FleetBackend, FleetClient};
use execution_engine_fleet_nats::NatsCluster;

use super::block_on;
use crate::cli::{Cli, GlobalOptions, Verb};
use crate::failure::Failure;
use crate::fleet::of_init;
use crate::fleet::servers::{Access, chosen, named};
use crate::{exit_code, run};

/// Does a verb with a fleet, if one is named. `None` if the verb is to be done here.
pub(crate) fn instead(cli: &Cli) -> Option<ExitCode> {
    let global = &cli.global;
    named(global)?;
    Some(match &cli.verb {
        Verb::Run(options) => run::run_elsewhere(global, options),
        Verb::Submit(options) => block_on(start::submit(global, options)),
        Verb::Ls(options) => block_on(look::ls(global, options)),
        Verb::Show(options) => block_on(look::show(global, options)),
        Verb::Wait(options) => block_on(look::wait(global, options)),
        Verb::Logs(options) => block_on(output::logs(global, options)),
        Verb::Stop(options) => block_on(control::stop(global, options)),
        Verb::Signal(options) => block_on(control::signal(global, options)),
        Verb::Pause(options) => block_on(control::set_paused(global, options, true)),
        Verb::Resume(options) => block_on(control::set_paused(global, options, false)),
        Verb::Attach(options) => block_on(attach::attach(global, options)),
        Verb::Input(options) => block_on(control::input(global, options)),
        Verb::Plan(options) => return options.elsewhere(global),
        Verb::Worker(_) | Verb::Fleet(_) => return None,
        // They are about executions: those of the service here could be meant or not.
        Verb::Rm(_)
        | Verb::Pin(_)
        | Verb::Rerun(_)
        | Verb::Gc(_)
        | Verb::Export(_)
        | Verb::Import(_)
        | Verb::Schedule(_)
        | Verb::Group(_)
            if global.on.is_none() =>
        {
            Failure::new(
                "EXENG_ON names a fleet, and this verb is about the service of this machine; unset EXENG_ON to use it",
            )
            .report()
        }
        // A variable is for the verbs that can; what is typed is meant.
        _ if global.on.is_none() => return None,
        _ => Failure::new(
            "--on: this verb is about this machine and its service, and not about a fleet; leave --on out. A fleet has run, \
             submit, ls, show, logs, wait, stop, attach, input, signal, pause, resume and plan (and exeng fleet)",
        )
        .report(),
    })
}

/// A fleet, for a client of one tenant.
pub(crate) struct Remote {
    pub(crate) engine: ExecutionEngine,
    pub(crate) backend: Arc<FleetBackend>,
    pub(crate) client: FleetClient,
}

/// Returns that what was submitted under a key before was another request, or plan.
pub(crate) fn other_of_key(key: &str, id: Uuid, what: &str) -> Failure {
    Failure::new(format!(
        "--key {key} belongs to {id}, which is not the same {what}; use another key, or send what was sent the first time"
    ))
}

impl Remote {
    /// Connects to the fleet that is named.
    pub(crate) async fn connect(global: &GlobalOptions) -> Result<Self, Failure> {
        let chosen = chosen(global, &Access::default())?;
        let cluster = NatsCluster::connect(&chosen.servers).await.map_err(of_init)?;
        let tenants = &cluster.fleet().tenants;
        if !tenants.contains_key(&chosen.tenant) {
            let known = tenants.keys().cloned().collect::<Vec<_>>().join(", ");
            return Err(Failure::new(format!(
                "the fleet has no tenant {}; it has {known}: name one with EXENG_TENANT, or tenant = \"NAME\" in the profile",
                chosen.tenant
            )));
        }
        let cluster: Arc<dyn Cluster> = Arc::new(cluster);
        let backend = FleetBackend::connect(cluster, &chosen.tenant, "exeng").await;
        let backend = Arc::new(backend.map_err(Failure::new)?);
        let client = backend.client().clone();
        let config = ExecutionConfig {
            default_timeout_ms: u64::MAX,
            max_timeout_ms: u64::MAX,
            ..ExecutionConfig::default()
        };
        let engine = ExecutionEngine::builder().config(config).backend(backend.clone()).build();
        Ok(Self { engine: engine.map_err(Failure::new)?, backend, client })
    }

    /// Returns the id of an execution: an id, the unique beginning of one, or `@last`.
    pub(crate) async fn id(&self, name: &str) -> Result<Uuid, Failure> {
        if let Ok(id) = Uuid::try_parse(name) {
            return Ok(id);
        }
        if name == "@last" {
            let newest = self.list().await?.into_iter().max_by_key(|known| known.accepted_at);
            return newest.map(|known| known.id).ok_or_else(|| {
                Failure::new("@last: the fleet has no execution; exeng submit makes one")
            });
        }
        let ids = self.client.list().await.map_err(Failure::new)?;
        let begins = |id: &Uuid| {
            id.to_string().starts_with(name) || id.simple().to_string().starts_with(name)
        };
        let mut found = ids.into_iter().filter(begins);
        match (found.next(), found.next()) {
            _ if name.is_empty() => Err(Failure::new("an id is empty; give one")),
            (Some(id), None) => Ok(id),
            (None, _) => Err(Failure::new(format!(
                "no execution {name} is known to the fleet; its id may be wrong, or its records have passed their age"
            ))),
            _ => {
                Err(Failure::new(format!("several executions begin with {name}; write more of it")))
            }
        }
    }

    async fn list(&self) -> Result<Vec<BackendExecution>, Failure> {
        self.engine.list_backend().await.map_err(Failure::new)
    }

    pub(crate) async fn list_one(&self, id: Uuid) -> Result<Option<BackendExecution>, Failure> {
        self.backend.find(id).await.map_err(Failure::new)
    }

    /// Does something with each of the executions that are named. What fails is told and does not keep the others from
    /// it. Returns what was done, and the code to exit with.
    async fn each<T>(
        &self,
        names: &[String],
        mut action: impl AsyncFnMut(Uuid) -> Result<T, Failure>,
    ) -> (Vec<T>, u8) {
        let (mut done, mut code) = (Vec::new(), 0);
        for name in names {
            let result = match self.id(name).await {
                Ok(id) => action(id).await,
                Err(failure) => Err(failure),
            };
            match result {
                Ok(value) => done.push(value),
                Err(failure) => {
                    failure.report();
                    code = exit_code::OURS;
                }
            }
        }
        (done, code)
    }
}

/// Refuses options that a fleet does not know.
pub(in crate::service) fn refuse(options: &[(bool, &str)]) -> Result<(), Failure> {
    match options.iter().find(|(is_given, _)| *is_given) {
        None => Ok(()),
        Some((_, name)) => Err(Failure::new(format!(
            "{name} is of the service of one machine, and a fleet has nothing of the kind; leave {name} or --on out"
        ))),
    }
}
