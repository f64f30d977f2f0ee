//! Who a person says they are: what their cockpit can find out before it says hello. Nothing here is proof; the engine
//! cleans it, marks it as claimed, and believes only the kernel.

use std::{env, fs, path::Path};

use crate::{
    journal::host_name,
    run::{Claim, ClaimedBy, Origin},
};

/// Longest text that a cockpit may say of a person, characters.
const LONGEST: usize = 48;

/// What this process can know of its person. `asked` is a name that they gave.
///
/// The name comes from the SSH certificate or the comment of the SSH key that they logged in with (`SSH_USER_AUTH`, with
/// sshd's `ExposeAuthInfo yes`), else from `SUDO_USER`, else it is what they said.
#[must_use]
pub fn origin_here(asked: Option<&str>) -> Origin {
    origin(asked, |name| env::var(name).ok())
}

fn origin(asked: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Origin {
    let claim = |name: String, by| Claim { name, by };
    let ssh = variable("SSH_USER_AUTH").and_then(|path| fs::read_to_string(path).ok()).and_then(|methods| {
        let keys =
            variable("HOME").and_then(|home| fs::read_to_string(Path::new(&home).join(".ssh/authorized_keys")).ok());
        logged_in_with(&methods, &keys.unwrap_or_default())
    });
    let sudo = || variable("SUDO_USER").map(|name| claim(name, ClaimedBy::Sudo));
    let said = || asked.map(|name| claim(name.to_owned(), ClaimedBy::Asked));
    let tty = fs::read_link("/proc/self/fd/0")
        .ok()
        .and_then(|path| Some(path.strip_prefix("/dev").ok()?.display().to_string()));
    cleaned(Origin {
        claim: ssh.map(|(name, by)| claim(name, by)).or_else(sudo).or_else(said),
        sudo_uid: variable("SUDO_UID").and_then(|uid| uid.parse().ok()),
        tty: tty.filter(|tty| tty != "null"),
        address: variable("SSH_CONNECTION").and_then(|all| Some(all.split(' ').next()?.to_owned())),
        host: Some(host_name()),
    })
}

/// Without control characters, short, and nothing that is empty. The engine does it again: a cockpit may say anything.
pub(super) fn cleaned(origin: Origin) -> Origin {
    let clean = |text: String| -> Option<String> {
        let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    Origin {
        claim: origin.claim.and_then(|claim| Some(Claim { name: clean(claim.name)?, ..claim })),
        sudo_uid: origin.sudo_uid,
        tty: origin.tty.and_then(clean),
        address: origin.address.and_then(clean),
        host: origin.host.and_then(clean),
    }
}

/// The name behind the key that opened this login. Lines of the file are `publickey TYPE BASE64` (sshd_config(5),
/// `ExposeAuthInfo`).
fn logged_in_with(methods: &str, authorized: &str) -> Option<(String, ClaimedBy)> {
    methods.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "publickey").skip(1);
        let (kind, key) = (words.next()?, words.next()?);
        if kind.contains("-cert-v01@") {
            let certificate = aws_smithy_types::base64::decode(key).ok()?;
            return Some((key_id(kind, &certificate)?, ClaimedBy::Certificate));
        }
        Some((comment_of(kind, key, authorized)?, ClaimedBy::Key))
    })
}

/// What stands behind a key in `authorized_keys` (sshd(8)): options may stand before its type.
fn comment_of(kind: &str, key: &str, authorized: &str) -> Option<String> {
    authorized.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let (_, comment) = line.split_once(&format!("{kind} {key}"))?;
        let comment = comment.trim();
        (!comment.is_empty()).then(|| comment.to_owned())
    })
}

/// The key id of an OpenSSH certificate, else its first principal.
///
/// Source: `PROTOCOL.certkeys` of OpenSSH: type, nonce, the fields of the public key, serial (u64), kind (u32), key id,
/// principals; strings have their length before them.
fn key_id(kind: &str, certificate: &[u8]) -> Option<String> {
    let of_key = match kind {
        _ if kind.starts_with("ssh-ed25519-") => 1,
        _ if kind.starts_with("ssh-rsa-") => 2,
        _ if kind.starts_with("ecdsa-") || kind.starts_with("sk-ssh-ed25519-") => 2,
        _ if kind.starts_with("sk-ecdsa-") => 3,
        _ => return None,
    };
    let mut rest = certificate;
    for _ in 0..2 + of_key {
        string(&mut rest)?;
    }
    rest = rest.get(8 + 4..)?;
    let id = string(&mut rest)?;
    let mut principals = string(&mut rest)?;
    let name = if id.is_empty() { string(&mut principals)? } else { id };
    String::from_utf8(name.to_vec()).ok()
}

/// A string of the SSH protocol: its length in four bytes, then its bytes (RFC 4251, section 5).
fn string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (text, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = tail;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made with `ssh-keygen -t ed25519` and `ssh-keygen -s ca -I ann@example.com -n ann,ops`.
    include!("tests/certificate.rs");

    #[test]
    fn a_certificate_tells_its_key_id() {
        let told = logged_in_with(&format!("publickey {CERTIFICATE}\n"), "");
        assert_eq!(told, Some(("ann@example.com".to_owned(), ClaimedBy::Certificate)));
        for cut in [0, 9, 40, 200] {
            let (kind, key) = CERTIFICATE.split_once(' ').unwrap();
            assert_eq!(logged_in_with(&format!("publickey {kind} {}", &key[..cut]), ""), None);
        }
    }

    #[test]
    fn a_key_tells_its_comment() {
        let authorized = format!("# {KEY} nobody\nfrom=\"10.0.0.0/8\" {KEY} ann on her laptop\n");
        let told = logged_in_with(&format!("password\npublickey {KEY}\n"), &authorized);
        assert_eq!(told, Some(("ann on her laptop".to_owned(), ClaimedBy::Key)));
        assert_eq!(logged_in_with(&format!("publickey {KEY}\n"), ""), None);
    }

    #[test]
    fn sudo_counts_for_more_than_what_is_said_and_everything_is_cleaned() {
        let variables = |name: &str| match name {
            "SUDO_USER" => Some("an\u{1b}[2Jn".to_owned()),
            "SUDO_UID" => Some("1000".to_owned()),
            "SSH_CONNECTION" => Some("192.0.2.7 50022 192.0.2.1 22".to_owned()),
            _ => None,
        };
        let origin = origin(Some("bob"), variables);
        assert_eq!(origin.claim, Some(Claim { name: "an[2Jn".into(), by: ClaimedBy::Sudo }));
        assert_eq!((origin.sudo_uid, origin.address.as_deref()), (Some(1000), Some("192.0.2.7")));
        assert_eq!(super::origin(Some(" \n"), |_| None).claim, None);
    }
}
