//! Calls about groups.

use hyper::Method;

use super::calls::{Client, json};
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_group;
use crate::error::ErrorCode;
use crate::view::{GroupChange, GroupList, GroupView};

impl Client {
    /// Returns the groups that a client has set, and those that have executions which wait or run, by their names.
    ///
    /// # Errors
    /// Only those of the way to it.
    pub async fn groups(&self) -> Result<GroupList, ClientError> {
        self.get_json("/v1/groups".to_string()).await
    }

    /// Returns a group.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if no client has set it and no execution of it waits or runs.
    pub async fn group(&self, name: &str) -> Result<GroupView, ClientError> {
        self.get_json(of_group(name)?).await
    }

    /// Sets a group, and returns it as it is then.
    ///
    /// # Errors
    /// As [`Service::set_group`](crate::Service::set_group), as [`ClientError::Refused`].
    pub async fn set_group(
        &self,
        name: &str,
        change: &GroupChange,
    ) -> Result<GroupView, ClientError> {
        let mut call = Call::new(Method::PUT, of_group(name)?);
        call.body = json(change)?;
        self.call(&call).await?.json()
    }

    /// Removes what is set of a group.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if no client has set it.
    pub async fn remove_group(&self, name: &str) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, of_group(name)?);
        self.call_removing(&call, ErrorCode::UnknownGroup).await
    }
}
