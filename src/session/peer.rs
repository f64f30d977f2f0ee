//! Who is at the other end of a socket.

use std::{fs, io};

use tokio::net::UnixStream;

use super::origin::cleaned;
use crate::{
    plan::Access,
    run::{May, Operator, Origin},
};

/// What the kernel says of the other end, and what the plan lets it do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    uid: u32,
    login: Option<u32>,
    name: String,
    may: May,
}

/// The peer if it may talk to this process: the same user, root, or whom the plan's `[access]` lets in.
pub(super) fn admitted(stream: &UnixStream, access: Option<&Access>) -> io::Result<Option<Peer>> {
    let credentials = stream.peer_cred()?;
    let uid = credentials.uid();
    let name = login_name(uid);
    let may = may_enter(uid, rustix::process::geteuid().as_raw(), &name, access);
    let login = credentials.pid().and_then(login_of);
    Ok(may.map(|may| Peer { uid, login, name, may }))
}

/// Which seats a user may take; None: it may not even enter.
fn may_enter(peer: u32, own: u32, name: &str, access: Option<&Access>) -> Option<May> {
    if peer == own || peer == 0 {
        return Some(May::default());
    }
    let access = access.filter(|access| access.may_enter(name))?;
    Some(May { drive: access.may_drive(name), confirm: access.may_confirm(name) })
}

/// The user id that a process's login began with, which no su or sudo changes; None: the machine does not keep it.
///
/// Source: `/proc/PID/loginuid`, set by pam_loginuid(8); 4294967295 is "not set".
fn login_of(pid: i32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

impl Peer {
    /// The person at a connection. A name that their cockpit claims stands beside the login's, marked as claimed; one
    /// that only repeats it is none.
    pub(super) fn operator(self, conn: u64, origin: Origin) -> Operator {
        let Self { uid, login, name, may } = self;
        let origin = cleaned(origin);
        let claimed = origin.claim.as_ref().filter(|claim| claim.name != name);
        let name = claimed.map_or_else(|| name.clone(), |claim| format!("{name} (claims {})", claim.name));
        Operator { conn, name, uid, login, may, origin }
    }
}

/// The login name of a user of this machine, from `/etc/passwd`; `uid 1000` when it is not there (a directory service).
#[must_use]
pub fn login_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&passwd, uid).unwrap_or_else(|| format!("uid {uid}"))
}

/// Lines are `name:password:uid:...` (passwd(5)).
fn name_in(passwd: &str, uid: u32) -> Option<String> {
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, theirs) = (fields.next()?, fields.nth(1)?);
        (theirs.parse() == Ok(uid)).then_some(name)
    });
    named
        .map(|name| name.chars().filter(|c| !c.is_control()).take(32).collect())
        .filter(|name: &String| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Claim, ClaimedBy};

    #[test]
    fn only_the_same_user_root_and_whom_the_plan_names_enter() {
        let all = Some(May::default());
        assert_eq!((may_enter(1000, 1000, "a", None), may_enter(0, 1000, "root", None)), (all, all));
        for (peer, own) in [(1001, 1000), (1000, 0), (65534, 1000)] {
            assert_eq!(may_enter(peer, own, "op", None), None);
        }
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let (drivers, confirmers) = (names(&["ann"]), names(&["ann", "bob"]));
        let mut access = Access { group: "cutover".into(), drivers, confirmers, viewers: names(&["eve"]) };
        let may = |access: &Access, name: &str| may_enter(1001, 1000, name, Some(access));
        let seats = |drive, confirm| Some(May { drive, confirm });
        assert_eq!([may(&access, "ann"), may(&access, "bob")], [seats(true, true), seats(false, true)]);
        assert_eq!([may(&access, "eve"), may(&access, "mallory")], [seats(false, false), None]);
        access.viewers = names(&["*"]);
        assert_eq!(may(&access, "mallory"), seats(false, false));
    }

    #[test]
    fn a_claimed_name_is_marked_and_a_repeated_one_is_none() {
        let peer = |name: &str| Peer { uid: 7, login: None, name: name.into(), may: May::default() };
        let claim =
            |name: &str| Origin { claim: Some(Claim { name: name.into(), by: ClaimedBy::Asked }), ..Origin::default() };
        assert_eq!(peer("ubuntu").operator(1, claim("ann\u{7}")).name, "ubuntu (claims ann)");
        assert_eq!(peer("ann").operator(1, claim("ann")).name, "ann");
    }

    #[test]
    fn names_come_from_passwd_without_control_characters() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n# comment\nbroken\nop\u{1b}1:x:1000:1000::/home/op1:/bin/sh\n";
        assert_eq!(name_in(passwd, 0).as_deref(), Some("root"));
        assert_eq!(name_in(passwd, 1000).as_deref(), Some("op1"));
        assert_eq!(name_in(passwd, 100), None);
        assert_eq!(login_name(4_000_000_001), "uid 4000000001");
    }
}
