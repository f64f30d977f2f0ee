//! `[preflight]`: where secrets, roles and log groups are.

use super::{
    super::{
        error::Report,
        preflight::{LOG_SILENCE, Preflight, SecretPlace, SecretStore},
        raw::{List, split},
        scalar::{Fault, nearest, quote, span_of_time},
    },
    Context,
};

const STORES: [(&str, SecretStore); 2] = [("secretsmanager", SecretStore::SecretsManager), ("ssm", SecretStore::Ssm)];

pub(super) fn preflight(context: &Context<'_>, report: &mut Report) -> Option<Preflight> {
    let raw = context.raw.preflight.as_ref()?;
    Some(Preflight {
        secrets: each(raw.secrets.as_ref(), report, secret_place),
        not_secrets: each(raw.not_secrets.as_ref(), report, variable),
        task_roles: each(raw.task_roles.as_ref(), report, role),
        log_groups: each(raw.log_groups.as_ref(), report, log_group),
        log_silence: report.read_or(raw.log_silence.as_ref(), LOG_SILENCE, span_of_time),
    })
}

fn each<T: PartialEq>(list: Option<&List>, report: &mut Report, parse: impl Fn(&str) -> Result<T, Fault>) -> Vec<T> {
    let mut all = Vec::new();
    for item in list.into_iter().flat_map(split) {
        let Some(value) = report.read(&item, &parse) else { continue };
        if all.contains(&value) {
            let message = format!("{} is listed twice", quote(item.get_ref().as_str()));
            report.error(item.span(), message).help("leave one of them out");
        }
        all.push(value);
    }
    all
}

/// `secretsmanager:PREFIX` or `ssm:PREFIX`.
fn secret_place(text: &str) -> Result<SecretPlace, Fault> {
    let help = "write `secretsmanager:PREFIX` or `ssm:PREFIX`, such as `secretsmanager:acme-shop/`";
    let fault = || Fault::new(format!("{} is not a place of secrets", quote(text)), help);
    let (store, prefix) = text.split_once(':').ok_or_else(fault)?;
    let Some((_, store)) = STORES.iter().find(|(name, _)| *name == store) else {
        let hint = nearest(store, STORES.map(|(name, _)| name)).map(|name| format!("; did you mean `{name}`?"));
        let message = format!("{} keeps no secrets", quote(store));
        return Err(Fault::new(message, format!("{help}{}", hint.unwrap_or_default())));
    };
    let letters = prefix.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c));
    if !letters || prefix.len() > 400 {
        let message = format!("{} cannot begin the name of a secret", quote(prefix));
        return Err(Fault::new(message, "use letters, digits and `/_+=.@-`"));
    }
    Ok(SecretPlace { store: *store, prefix: prefix.to_owned() })
}

/// A name of an environment variable.
fn variable(text: &str) -> Result<String, Fault> {
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if letters && !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not the name of a config var", quote(text));
    Err(Fault::new(message, "write its name alone, such as `WEB_CONCURRENCY`, never its value"))
}

/// A role's name with its path, without account.
fn role(text: &str) -> Result<String, Fault> {
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=,.@-".contains(c));
    if letters && !text.is_empty() && !text.starts_with('/') && text.len() <= 512 {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not the name of an IAM role", quote(text));
    Err(Fault::new(message, "write the name (with its path, if it has one), such as `acme-release-task`, not the ARN"))
}

/// Source: CloudWatch Logs API reference, `CreateLogGroup`.
fn log_group(text: &str) -> Result<String, Fault> {
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || "/_.#-".contains(c));
    if letters && !text.is_empty() && text.len() <= 512 {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not the name of a log group", quote(text));
    Err(Fault::new(message, "use letters, digits and `/_.#-`, such as `/ecs/acme-web`"))
}
