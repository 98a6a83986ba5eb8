//! Ids that follow from keys of submitters.

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::FleetClient;

impl FleetClient {
    /// Returns the id of the execution that is submitted under a key of the submitter's choice: the same for the same
    /// key and tenant, for all clients. So what is submitted twice under it is one execution, for as long as the fleet
    /// knows it.
    pub fn id_of_key(&self, key: &str) -> Uuid {
        self.keyed(b"execution-engine key 1\0", key)
    }

    /// Returns the id of the plan that is submitted under a key, as [`id_of_key`](Self::id_of_key) does for an
    /// execution. Plans and executions have keys of their own.
    pub fn id_of_plan_key(&self, key: &str) -> Uuid {
        self.keyed(b"execution-engine key of a plan 1\0", key)
    }

    fn keyed(&self, of: &[u8], key: &str) -> Uuid {
        // A tenant has no zero byte.
        let text = [of, self.tenant.as_bytes(), b"\0", key.as_bytes()];
        let digest = Sha256::digest(text.concat());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        Builder::from_custom_bytes(id).into_uuid()
    }
}
