//! Calls of a client about an execution that runs.

use execution_engine::Signal;
use uuid::Uuid;

use crate::protocol::{Answer, Call};
use crate::{InputPiece, InputTaken, KeeperClient, KeeperError};

impl KeeperClient {
    /// Stops an execution: politely, or at once if `firm`, also what is being stopped politely already. Returns `false`
    /// if the keeper does not know it. One that has ended stays as it is.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Refused`] and [`KeeperError::Disconnected`].
    pub async fn stop(&self, id: Uuid, firm: bool) -> Result<bool, KeeperError> {
        self.is_known(Call::Stop { id, firm }).await
    }

    /// Sends a signal to all processes of an execution. Returns their number; `None` if the keeper does not know it.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Refused`] with [`ControlFailed`](crate::ErrorCode::ControlFailed) if it has ended, for example,
    /// and [`KeeperError::Disconnected`].
    pub async fn signal(&self, id: Uuid, signal: Signal) -> Result<Option<u32>, KeeperError> {
        match self.call(Call::Signal { id, signal }).await? {
            Answer::Signalled { processes } => Ok(Some(processes)),
            Answer::Unknown => Ok(None),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Suspends all processes of an execution, or lets them go on. Timeouts do not run while they are suspended, however
    /// long that is. Returns `false` if the keeper does not know it. What is so already stays so.
    ///
    /// # Errors
    ///
    /// Those of [`signal`](Self::signal), and [`KeeperError::Refused`] with
    /// [`UnknownCall`](crate::ErrorCode::UnknownCall) by a keeper of an older version.
    pub async fn set_paused(&self, id: Uuid, paused: bool) -> Result<bool, KeeperError> {
        let call = if paused { Call::Pause { id } } else { Call::Resume { id } };
        self.is_known(call).await
    }

    /// Gives input to a program whose [`stdin`](execution_engine::ExecutionOptions::stdin) is piped. Returns how far it was
    /// taken, at once; `None` if the keeper does not know the execution.
    ///
    /// What is not taken may be given again when the program has read what was taken before: a
    /// [`Progress`](crate::Notice::Progress) tells that.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Refused`] with [`NoInput`](crate::ErrorCode::NoInput),
    /// [`InputClosed`](crate::ErrorCode::InputClosed), [`InputMoved`](crate::ErrorCode::InputMoved),
    /// [`ControlFailed`](crate::ErrorCode::ControlFailed) if it has ended, or
    /// [`UnknownCall`](crate::ErrorCode::UnknownCall), and [`KeeperError::Disconnected`].
    pub async fn input(
        &self,
        id: Uuid,
        piece: &InputPiece,
    ) -> Result<Option<InputTaken>, KeeperError> {
        match self.call(Call::Input { id, piece: piece.clone() }).await? {
            Answer::Input { taken } => Ok(Some(taken)),
            Answer::Unknown => Ok(None),
            other => Err(self.unexpected(&other)),
        }
    }

    /// Makes a call about an execution. Returns `false` if the keeper does not know it.
    async fn is_known(&self, call: Call) -> Result<bool, KeeperError> {
        match self.call(call).await? {
            Answer::Done => Ok(true),
            Answer::Unknown => Ok(false),
            other => Err(self.unexpected(&other)),
        }
    }
}
