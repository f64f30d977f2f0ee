//! Who is at the other end of a socket.

use std::{fs, io};

use tokio::net::UnixStream;

/// The peer's uid if it may talk to this process: the same user, or root.
pub(super) fn admitted(stream: &UnixStream) -> io::Result<Option<u32>> {
    let uid = stream.peer_cred()?.uid();
    Ok(may_enter(uid, rustix::process::geteuid().as_raw()).then_some(uid))
}

const fn may_enter(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
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

    #[test]
    fn only_the_same_user_and_root_enter() {
        assert!(may_enter(1000, 1000) && may_enter(0, 1000) && may_enter(0, 0));
        assert!(!may_enter(1001, 1000) && !may_enter(1000, 0) && !may_enter(65534, 1000));
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
