//! What of a plan must not be read: all of it, with the values of variables and input. Sealed in the store.

use std::collections::BTreeMap;

use execution_engine::{ExecutionOptions, ExecutionRequest, InheritEnv, OsText, PlanSpec};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::ServiceError;
use crate::view::{NewExecution, NewPlan};

/// The whole plan, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Sealed {
    spec: PlanSpec,
    #[serde(flatten)]
    secret: Secret,
}

/// What the steps of a plan inherit.
#[derive(Serialize, Deserialize)]
pub(super) struct Secret {
    // Pairs, because a name that is not UTF-8 cannot be a key in JSON.
    inherited_env: Vec<(OsText, OsText)>,
    inherited_umask: Option<u32>,
}

impl Secret {
    /// Returns the bytes to seal of a plan.
    ///
    /// # Errors
    /// It has no JSON form.
    pub(super) fn write(new: NewPlan) -> Result<Vec<u8>, ServiceError> {
        let secret = Self {
            inherited_env: new.inherited_env.into_iter().collect(),
            inherited_umask: new.inherited_umask,
        };
        serde_json::to_vec(&Sealed { spec: new.spec, secret }).map_err(|error| {
            ServiceError::invalid("spec", format!("the plan has no JSON form: {error}"))
                .fix("use names of variables that are UTF-8")
        })
    }

    /// Reads what [`write`](Self::write) has written.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, PlanSpec), String> {
        let read = serde_json::from_slice(bytes);
        let Sealed { spec, secret } =
            read.map_err(|error| format!("the stored plan cannot be read: {error}"))?;
        Ok((secret, spec))
    }

    /// Returns the execution of a step.
    pub(super) fn new_execution(
        &self,
        mut request: ExecutionRequest,
        mut options: ExecutionOptions,
        round: u32,
    ) -> NewExecution {
        if round > 1 {
            // That of the first round is the id of another execution.
            request.id = Uuid::new_v4();
        }
        // What a step inherits is what the caller had, and nothing of the keeper's.
        let inherits = std::mem::replace(&mut options.env.inherit, InheritEnv::Nothing {});
        let is_inherited = |name: &OsText| match &inherits {
            InheritEnv::All => true,
            InheritEnv::Only { names } => names.contains(name),
            _ => false,
        };
        let inherited_env = self.inherited_env.iter().filter(|(name, _)| is_inherited(name));
        NewExecution {
            options,
            inherited_env: inherited_env.cloned().collect::<BTreeMap<_, _>>(),
            inherited_umask: self.inherited_umask,
            ..NewExecution::new(request)
        }
    }
}
