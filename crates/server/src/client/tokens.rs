//! Calls about tokens.

use hyper::Method;

use super::calls::{Client, json};
use super::error::ClientError;
use super::exchange::Call;
use super::path::of_token;
use crate::error::ErrorCode;
use crate::view::{CreatedToken, NewToken, TokenList};

impl Client {
    /// Makes a token. The answer has the only copy of it: if it is lost, revoke the token and make it again.
    ///
    /// # Errors
    /// As [`Service::create_token`](crate::Service::create_token), as [`ClientError::Refused`]. The name is taken, too,
    /// if the service died behind an earlier attempt of this call.
    pub async fn create_token(&self, new: &NewToken) -> Result<CreatedToken, ClientError> {
        let mut call = Call::new(Method::POST, "/v1/tokens".to_string());
        call.body = json(new)?;
        self.call(&call).await?.json()
    }

    /// Returns all tokens, by their names.
    ///
    /// # Errors
    /// Only those of the way to it.
    pub async fn tokens(&self) -> Result<TokenList, ClientError> {
        self.get_json("/v1/tokens".to_string()).await
    }

    /// Revokes a token. When this returns it is refused, and what is open for it ends.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if there is none.
    pub async fn revoke_token(&self, name: &str) -> Result<(), ClientError> {
        let call = Call::new(Method::DELETE, of_token(name)?);
        self.call_removing(&call, ErrorCode::UnknownToken).await
    }
}
