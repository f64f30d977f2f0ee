//! What is written and what is lost: one log that machines share, of which one machine at a time may write.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cutover::journal::{
    Storage,
    remote::{RemoteError, Writer},
};

/// What becomes of the next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Luck {
    /// It is written.
    Well,
    /// So many of 256 parts of it are written, and it fails.
    Full(u8),
    /// So many of 256 parts of it are written, and the engine dies.
    Torn(u8),
    /// All of it is written, and the engine dies before it knows.
    Unheard,
}

#[derive(Debug)]
struct Shared {
    bytes: Vec<u8>,
    /// Which machine's engine has the log.
    owner: u32,
    luck: Luck,
    /// The engine that wrote last died of it.
    died: bool,
}

/// The log, seen from anywhere.
#[derive(Debug, Clone)]
pub(crate) struct Disk(Arc<Mutex<Shared>>);

/// One machine's end of it.
struct Mine {
    disk: Disk,
    machine: u32,
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Shared { bytes: Vec::new(), owner: 0, luck: Luck::Well, died: false })))
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn of(&self, machine: u32) -> Box<dyn Storage> {
        Box::new(Mine { disk: self.clone(), machine })
    }

    fn owner(&self) -> u32 {
        self.shared().owner
    }

    /// Another machine takes the log.
    pub(crate) fn claim(&self, machine: u32) {
        self.shared().owner = machine;
    }

    pub(crate) fn set_luck(&self, luck: Luck) {
        self.shared().luck = luck;
    }

    /// Whether the last write was the engine's death.
    pub(crate) fn dead(&self) -> bool {
        self.shared().died
    }

    /// The same, asked once.
    pub(crate) fn died(&self) -> bool {
        std::mem::take(&mut self.shared().died)
    }

    /// Puts what is there into a file, for a reader.
    pub(crate) fn dump(&self, path: &Path) {
        std::fs::write(path, &self.shared().bytes).unwrap();
    }

    /// What a reader found torn is cut.
    pub(crate) fn cut(&self, length: u64) {
        self.shared().bytes.truncate(usize::try_from(length).unwrap());
    }
}

impl Storage for Mine {
    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        let mut shared = self.disk.shared();
        assert_eq!(shared.bytes.len() as u64, offset, "written elsewhere than at the end");
        let luck = std::mem::replace(&mut shared.luck, Luck::Well);
        let part = |share: u8| bytes.len() * usize::from(share) / 256;
        let (written, dies) = match luck {
            Luck::Well => (bytes.len(), false),
            Luck::Full(share) => (part(share), false),
            Luck::Torn(share) => (part(share), true),
            Luck::Unheard => (bytes.len(), true),
        };
        shared.bytes.extend_from_slice(&bytes[..written]);
        shared.died = dies;
        if luck == Luck::Well { Ok(()) } else { Err(io::Error::from(io::ErrorKind::StorageFull)) }
    }

    fn cut(&mut self, offset: u64) -> io::Result<()> {
        self.check()?;
        let mut shared = self.disk.shared();
        // The dead cut nothing.
        if shared.died {
            return Err(io::Error::other("dead"));
        }
        shared.bytes.truncate(usize::try_from(offset).unwrap());
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        let owner = self.disk.owner();
        let winner = Writer { id: owner.to_string(), host: format!("machine {owner}"), pid: owner };
        if owner == self.machine { Ok(()) } else { Err(io::Error::other(RemoteError::Lost(winner))) }
    }
}
