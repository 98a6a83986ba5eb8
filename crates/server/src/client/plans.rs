//! Calls for plans.

use hyper::{Method, StatusCode};
use uuid::Uuid;

use super::calls::{Client, check_name, json as body};
use super::error::ClientError;
use super::exchange::Call;
use super::path::{of_plan, of_plans};
use crate::error::ErrorCode;
use crate::http::KEY_HEADER;
use crate::view::{CancelPlan, NewPlan, PlanPage, PlanQuery, PlanView, ResumePlan, SubmittedPlan};

impl Client {
    /// Submits a plan, under a key or its own id. When this returns it is durable.
    ///
    /// # Errors
    /// As [`Service::submit_plan`](crate::Service::submit_plan), as [`ClientError::Refused`].
    pub async fn submit_plan(
        &self,
        new: &NewPlan,
        key: Option<&str>,
    ) -> Result<SubmittedPlan, ClientError> {
        let mut call = Call::new(Method::POST, "/v1/plans".to_string());
        if let Some(key) = key {
            call = call.header(KEY_HEADER, key);
        }
        call.body = body(new)?;
        let answer = self.call(&call).await?;
        let created = answer.status == StatusCode::CREATED;
        Ok(SubmittedPlan { plan: answer.json()?, created })
    }

    /// Returns a plan with all of its steps.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn plan(&self, name: &str) -> Result<PlanView, ClientError> {
        check_name(name)?;
        self.get_json(of_plan(name, "")).await
    }

    /// Returns a page of plans, newest first, without their steps.
    ///
    /// # Errors
    /// [`ClientError::Refused`] for a cursor that no page has returned.
    pub async fn plans(&self, query: &PlanQuery) -> Result<PlanPage, ClientError> {
        self.get_json(of_plans(query)).await
    }

    /// Waits, across restarts of the service, until a plan has changed behind a version or has ended, and returns it
    /// with the steps that have changed; with all of them once it has ended, and from version 0 on.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn plan_changes(&self, id: Uuid, after: u64) -> Result<PlanView, ClientError> {
        let path = of_plan(&id.to_string(), &format!("/changes?after={after}"));
        let (answer, _) = self.call_patiently(&Call::new(Method::GET, path), None).await;
        answer?.json()
    }

    /// Stops a plan, and returns it as it is then. It may need its time to end.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, or it has ended.
    pub async fn cancel_plan(
        &self,
        name: &str,
        cancel: CancelPlan,
    ) -> Result<PlanView, ClientError> {
        let id = self.plan(name).await?.id.to_string();
        let mut call = Call::new(Method::POST, of_plan(&id, "/cancel"));
        call.body = body(&cancel)?;
        match self.call_until_answered(&call).await {
            (Ok(answer), _) => answer.json(),
            // The answer to an earlier attempt was lost, and this is what it has done.
            (Err(error), true) if error.code() == Some(ErrorCode::AlreadyEnded.as_str()) => {
                self.plan(&id).await
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Runs what of a plan has not completed, and returns the plan as it is then.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, it has not ended, or it has completed.
    pub async fn resume_plan(&self, name: &str) -> Result<PlanView, ClientError> {
        let plan = self.plan(name).await?;
        let mut call = Call::new(Method::POST, of_plan(&plan.id.to_string(), "/resume"));
        // So that it may be repeated.
        let after_round = plan.status.is_terminal().then_some(plan.round);
        call.body = body(&ResumePlan { after_round })?;
        self.call(&call).await?.json()
    }

    /// Removes a plan that has ended. The executions of its steps stay.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none, or it has not ended.
    pub async fn remove_plan(&self, name: &str) -> Result<(), ClientError> {
        let id = self.plan(name).await?.id.to_string();
        let call = Call::new(Method::DELETE, of_plan(&id, ""));
        self.call_removing(&call, ErrorCode::UnknownPlan).await
    }
}
