//! The key file of a store, and what is done with the key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::rand_core::RngCore as _;
use chacha20poly1305::aead::{Aead as _, OsRng, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use crate::error::{Result, StoreError};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const ID_BYTES: usize = 8;

/// Key of a store. It seals values of environments and hashes bodies of requests.
pub(crate) struct Key {
    path: PathBuf,
    id: [u8; ID_BYTES],
    bodies: [u8; KEY_BYTES],
    cipher: XChaCha20Poly1305,
}

impl Key {
    /// Reads the key file, or creates it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let bytes = match File::open(path) {
            Ok(file) => read(path, file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
            Err(error) => return Err(StoreError::io("cannot open", path)(error)),
        };
        let derived = |purpose: &str| mac(&bytes, &[purpose.as_bytes()]);
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&derived("id")[..ID_BYTES]);
        let cipher = XChaCha20Poly1305::new(&derived("seal").into());
        Ok(Self { path: path.to_path_buf(), id, bodies: derived("bodies"), cipher })
    }

    /// Returns a name of the key, from which the key cannot be found out.
    pub(crate) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Returns a hash of the body of a request that says nothing to those who do not have the key.
    pub(crate) fn body_mac(&self, body: &[u8]) -> [u8; KEY_BYTES] {
        mac(&self.bodies, &[body])
    }

    /// Seals a value for an execution.
    pub(crate) fn seal(&self, id: Uuid, value: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = vec![0; NONCE_BYTES];
        OsRng.fill_bytes(&mut sealed);
        let payload = Payload { msg: value, aad: id.as_bytes() };
        let text = self.cipher.encrypt(XNonce::from_slice(&sealed), payload);
        let text =
            text.map_err(|_| StoreError::Database { reason: "sealing failed".to_string() })?;
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// Opens what [`seal`](Self::seal) has sealed for the execution.
    pub(crate) fn unseal(&self, id: Uuid, key_id: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let other = || self.other_key(id, "the environment of execution");
        if key_id != self.id {
            return Err(other());
        }
        let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(other)?;
        let payload = Payload { msg: text, aad: id.as_bytes() };
        self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| other())
    }

    pub(crate) fn other_key(&self, id: Uuid, what: &'static str) -> StoreError {
        StoreError::OtherKey { id, what, path: self.path.clone() }
    }
}

fn mac(key: &[u8; KEY_BYTES], parts: &[&[u8]]) -> [u8; KEY_BYTES] {
    // Any length of key is allowed.
    let mut mac =
        <Hmac<Sha256> as hmac::Mac>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Checks a key file, if there is one.
pub(crate) fn check(path: &Path) -> Result<()> {
    match File::open(path) {
        Ok(file) => read(path, file).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StoreError::io("cannot open", path)(error)),
    }
}

fn read(path: &Path, mut file: File) -> Result<[u8; KEY_BYTES]> {
    let fail = |what: String| StoreError::KeyFile { path: path.to_path_buf(), what };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = file.metadata().map_err(StoreError::io("cannot examine", path))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(fail(format!("others can read it (mode {mode:o}); run chmod 600 on it")));
        }
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(StoreError::io("cannot read", path))?;
    let length = bytes.len();
    bytes.try_into().map_err(|_| {
        fail(format!(
            "it has {length} bytes instead of {KEY_BYTES}; restore it from a copy, or remove it to go on with \
             a new key: then executions that wait cannot be started, because their environment cannot be \
             read, and a repeated idempotency key cannot be compared; all else is kept"
        ))
    })
}

/// Creates the key file. It has its name only when it is whole and on the disk.
fn create(path: &Path) -> Result<[u8; KEY_BYTES]> {
    let new = path.with_extension("new");
    let mut bytes = [0; KEY_BYTES];
    OsRng.fill_bytes(&mut bytes);
    let _ = fs::remove_file(&new);
    let mut file = open_private(&new, OpenOptions::new().write(true).create_new(true))
        .map_err(StoreError::io("cannot create", &new))?;
    let written = file.write_all(&bytes).and_then(|()| file.sync_all());
    written.map_err(StoreError::io("cannot write", &new))?;
    // A link fails where a rename would replace the key of another process.
    fs::hard_link(&new, path).map_err(StoreError::io("cannot create", path))?;
    fs::remove_file(&new).map_err(StoreError::io("cannot remove", &new))?;
    sync_parent(path)?;
    Ok(bytes)
}

/// Opens a file that may be created. It is private to its owner from the first moment on, and its owner can use it,
/// whatever the umask.
pub(crate) fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    let file = options.open(path)?;
    // A umask may have taken the owner's own rights.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Makes names in the directory of a file survive a loss of power.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(path);
    if cfg!(windows) {
        // Directories cannot be synced there.
        return Ok(());
    }
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io("cannot sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_file_is_created_once_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let first = Key::open(&path).unwrap();
        let id = Uuid::new_v4();
        let sealed = first.seal(id, b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));

        let again = Key::open(&path).unwrap();
        assert_eq!(again.unseal(id, again.id(), &sealed).unwrap(), b"secret");
        assert_eq!(first.body_mac(b"body"), again.body_mac(b"body"));
        assert_ne!(first.body_mac(b"body"), again.body_mac(b"bodz"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn value_is_sealed_for_one_execution_and_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::open(&dir.path().join("key")).unwrap();
        let other = Key::open(&dir.path().join("other")).unwrap();
        let id = Uuid::new_v4();
        let sealed = key.seal(id, b"secret").unwrap();
        assert_eq!(key.unseal(id, key.id(), &sealed).unwrap(), b"secret");
        for fails in [
            key.unseal(Uuid::new_v4(), key.id(), &sealed),
            other.unseal(id, key.id(), &sealed),
            key.unseal(id, key.id(), &sealed[..10]),
        ] {
            assert_eq!(fails.unwrap_err().code(), "other_key");
        }
    }

    #[test]
    fn file_that_is_no_key_is_refused_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        open_private(&path, OpenOptions::new().write(true).create(true)).unwrap();
        fs::write(&path, b"short").unwrap();
        let error = Key::open(&path).err().unwrap();
        assert_eq!(error.code(), "key_file");
        assert!(error.to_string().contains("5 bytes"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"short");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::write(&path, [7; 32]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            let error = Key::open(&path).err().unwrap();
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}
