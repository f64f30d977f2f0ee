//! The people: who sits at a cockpit, what of that is proven, and what they may do.

use serde::{Deserialize, Serialize};

/// A person at a cockpit.
///
/// `uid` and `login` are the kernel's word; `name` begins with the login name that belongs to the uid. Everything in
/// `origin` is what the cockpit says: shown, and never enough to count as another person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The connection, unique while one engine lives.
    pub conn: u64,
    /// How the person is shown: the login name, and beside it a claimed name, marked as claimed.
    pub name: String,
    /// User id of the peer (`SO_PEERCRED`).
    pub uid: u32,
    /// The user id with which the person logged in, whatever they became since (`/proc/PID/loginuid`); None: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<u32>,
    /// The seats that the plan allows them.
    #[serde(default)]
    pub may: May,
    /// What their cockpit says of them.
    #[serde(default, skip_serializing_if = "Origin::is_unknown")]
    pub origin: Origin,
}

/// The seats that a person may take. Whoever is attached may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct May {
    /// The driver's.
    pub drive: bool,
    /// A confirmer's.
    pub confirm: bool,
}

/// The engine's own user, who alone could attach when older journals were written.
impl Default for May {
    fn default() -> Self {
        Self { drive: true, confirm: true }
    }
}

/// Where a person comes from and who they say they are, as their cockpit tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// The name of the person behind a shared login.
    pub claim: Option<Claim>,
    /// Who became this user by sudo (`SUDO_UID`).
    pub sudo_uid: Option<u32>,
    /// The terminal, e.g. `pts/3`.
    pub tty: Option<String>,
    /// Address of the SSH client.
    pub address: Option<String>,
    /// Name of the host that the cockpit runs on.
    pub host: Option<String>,
}

/// A name that is not proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The name.
    pub name: String,
    /// Where it comes from.
    pub by: ClaimedBy,
}

/// Where a claimed name comes from, the best evidence first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimedBy {
    /// The SSH certificate that the person logged in with: its key id.
    Certificate,
    /// The comment of the SSH key in `authorized_keys`.
    Key,
    /// `SUDO_USER`.
    Sudo,
    /// The person typed it.
    Asked,
}

impl ClaimedBy {
    /// How the screen calls it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Certificate => "by SSH certificate",
            Self::Key => "by SSH key",
            Self::Sudo => "by sudo",
            Self::Asked => "as they say",
        }
    }
}

impl Origin {
    /// Nothing was told.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Where from, in a few words: address, else terminal, and the host.
    #[must_use]
    pub fn place(&self) -> String {
        let from = self.address.iter().map(|address| format!("from {address}"));
        let tty = self.tty.iter().map(|tty| format!("on {tty}"));
        from.chain(tty).collect::<Vec<_>>().join(" ")
    }
}

impl Operator {
    /// Somebody of whom only the kernel's word is known.
    #[must_use]
    pub fn new(conn: u64, name: impl Into<String>, uid: u32) -> Self {
        let (may, origin) = (May::default(), Origin::default());
        Self { conn, name: name.into(), uid, login: None, may, origin }
    }

    /// Whether these may be one person: any of the users that either is, logged in as or became another from is one of
    /// the other's. A claim can make two the same, never two different ones of one login.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        let users = |who: &Self| [Some(who.uid), who.login, who.origin.sudo_uid];
        let theirs = users(other);
        users(self).into_iter().flatten().any(|uid| theirs.contains(&Some(uid)))
    }
}
