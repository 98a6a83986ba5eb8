//! Calls for plans.

use std::sync::Arc;

use uuid::Uuid;

use crate::error::ServiceError;
use crate::service::Service;
use crate::view::{CancelPlan, NewPlan, PlanPage, PlanQuery, PlanView, ResumePlan, SubmittedPlan};

impl Service {
    /// Accepts a plan. When this returns it is durable, and goes on whatever becomes of the caller and of this
    /// service. The same key, or the same id, with the same plan again returns the same plan.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) names the step and the field;
    /// [`KeyReused`](crate::ErrorCode::KeyReused), [`IdReused`](crate::ErrorCode::IdReused),
    /// [`StoreFull`](crate::ErrorCode::StoreFull), [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn submit_plan(
        &self,
        new: NewPlan,
        key: Option<&str>,
        owner: u32,
    ) -> Result<SubmittedPlan, ServiceError> {
        let (inner, key) = (Arc::clone(self.inner()), key.map(str::to_string));
        self.to_its_end(async move { inner.submit_plan(new, key, owner).await }).await
    }

    /// Finds a plan by its id, by the beginning of it, or as `@last`, the newest. A whole id is returned whether it is
    /// known or not.
    ///
    /// # Errors
    /// [`UnknownPlan`](crate::ErrorCode::UnknownPlan), [`AmbiguousId`](crate::ErrorCode::AmbiguousId),
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) for what is no id.
    pub async fn resolve_plan(&self, text: &str) -> Result<Uuid, ServiceError> {
        self.inner().resolve_plan(text).await
    }

    /// Returns a plan with all of its steps.
    ///
    /// # Errors
    /// [`UnknownPlan`](crate::ErrorCode::UnknownPlan).
    pub async fn plan(&self, id: Uuid) -> Result<PlanView, ServiceError> {
        self.inner().plan(id).await
    }

    /// Waits until a plan has changed behind a [version](PlanView::version), or has ended, and returns it with the
    /// steps that have changed; with all of them once it has ended, and from version 0 on.
    ///
    /// # Errors
    /// [`UnknownPlan`](crate::ErrorCode::UnknownPlan), [`Stopping`](crate::ErrorCode::Stopping).
    pub async fn plan_changes(&self, id: Uuid, after: u64) -> Result<PlanView, ServiceError> {
        self.inner().plan_changes(id, after).await
    }

    /// Returns a page of plans, newest first, without their steps.
    ///
    /// # Errors
    /// [`InvalidRequest`](crate::ErrorCode::InvalidRequest) for a cursor that no page has returned.
    pub async fn list_plans(&self, query: PlanQuery) -> Result<PlanPage, ServiceError> {
        self.inner().list_plans(query).await
    }

    /// Stops a plan: its steps that run are stopped, and no other starts, but for those that always run. Returns when
    /// this is stored; [`plan_changes`](Self::plan_changes) waits for the end.
    ///
    /// # Errors
    /// [`UnknownPlan`](crate::ErrorCode::UnknownPlan), [`AlreadyEnded`](crate::ErrorCode::AlreadyEnded),
    /// [`StoreFull`](crate::ErrorCode::StoreFull).
    pub async fn cancel_plan(
        &self,
        id: Uuid,
        cancel: CancelPlan,
    ) -> Result<PlanView, ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.cancel_plan(id, cancel).await }).await
    }

    /// Runs what of a plan has not completed. Steps that have are not run again, but for those that always run or have
    /// conditions and come behind one that is run again.
    ///
    /// # Errors
    /// [`UnknownPlan`](crate::ErrorCode::UnknownPlan), [`NotEnded`](crate::ErrorCode::NotEnded),
    /// [`AlreadyEnded`](crate::ErrorCode::AlreadyEnded) if it has completed,
    /// [`StoreFull`](crate::ErrorCode::StoreFull).
    pub async fn resume_plan(
        &self,
        id: Uuid,
        resume: ResumePlan,
    ) -> Result<PlanView, ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.resume_plan(id, resume).await }).await
    }

    /// Removes a plan that has ended. The executions of its steps stay.
    ///
    /// # Errors
    /// [`UnknownPlan`](crate::ErrorCode::UnknownPlan), [`NotEnded`](crate::ErrorCode::NotEnded),
    /// [`StoreFull`](crate::ErrorCode::StoreFull).
    pub async fn remove_plan(&self, id: Uuid) -> Result<(), ServiceError> {
        let inner = Arc::clone(self.inner());
        self.to_its_end(async move { inner.remove_plan(id).await }).await
    }
}
