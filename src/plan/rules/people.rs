//! Who may attach, and who is told.

use super::{
    super::{
        error::Report,
        people::{Access, EVERYONE, NOTIFY_FIELDS, NOTIFY_TEMPLATE, Notify, NotifyFormat, Topic},
        raw::{List, RawNotify, split},
        scalar::{Fault, choice, quote, slug, suggest, words},
    },
    Context,
};

const FORMATS: [(&str, NotifyFormat); 2] = [("slack", NotifyFormat::Slack), ("json", NotifyFormat::Json)];

pub(super) fn access(context: &Context<'_>, report: &mut Report) -> Option<Access> {
    let table = context.raw.access.as_ref()?;
    let raw = table.get_ref();
    let lists = [&raw.drivers, &raw.confirmers, &raw.viewers];
    let Some(group) = &raw.group else {
        if lists.iter().any(|list| list.is_some()) {
            report
                .error(table.span(), "`[access]` without a `group`")
                .help("name the Unix group that may reach the socket, such as `group = \"cutover\"`");
        }
        return None;
    };
    let [drivers, confirmers, viewers] = lists.map(|list| logins(list.as_ref(), report));
    let everyone = || vec![EVERYONE.to_owned()];
    Some(Access {
        group: report.read(group, login)?,
        drivers: drivers.unwrap_or_default(),
        confirmers: confirmers.unwrap_or_default(),
        viewers: viewers.unwrap_or_else(everyone),
    })
}

fn logins(list: Option<&List>, report: &mut Report) -> Option<Vec<String>> {
    let names = split(list?);
    Some(names.iter().filter_map(|name| report.read(name, login_or_everyone)).collect())
}

fn login_or_everyone(text: &str) -> Result<String, Fault> {
    if text == EVERYONE { Ok(text.to_owned()) } else { login(text) }
}

/// A user's or group's name as useradd(8) takes it.
fn login(text: &str) -> Result<String, Fault> {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let other = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    let ok = text.len() <= 32 && text.starts_with(first) && text.chars().all(other);
    if ok {
        return Ok(text.to_owned());
    }
    let message = format!("{} is not a name of a user or group of this machine", quote(text));
    Err(Fault::new(message, "write login names, such as `ann`; `*` in a list is every member of the group"))
}

pub(super) fn notify(context: &Context<'_>, report: &mut Report) -> Vec<Notify> {
    let mut all: Vec<Notify> = Vec::new();
    for raw in &context.raw.notify {
        let Some(one) = webhook(raw, report) else { continue };
        if all.iter().any(|known| known.id == one.id) {
            report
                .error(raw.id.span(), format!("notify {} is defined twice", quote(&one.id)))
                .help("give each its own id");
        }
        all.push(one);
    }
    all
}

fn webhook(raw: &RawNotify, report: &mut Report) -> Option<Notify> {
    let id = report.read(&raw.id, slug);
    let url_env = report.read(&raw.url_env, variable);
    let format =
        raw.format.as_ref().map(|text| report.read(text, |text| choice("a format of a webhook", &FORMATS, text)));
    let events = raw.events.as_ref().map(|list| {
        let topic = |text: &str| choice("something to be told of", &Topic::ALL, text);
        split(list).iter().filter_map(|item| report.read(item, topic)).collect::<Vec<_>>()
    });
    let template = raw.template.as_ref().map(|text| report.read(text, template));
    Some(Notify {
        id: id?,
        url_env: url_env?,
        format: format.unwrap_or(Some(NotifyFormat::Slack))?,
        events: events.unwrap_or_else(|| Topic::ALL.map(|(_, topic)| topic).to_vec()),
        template: template.unwrap_or_else(|| Some(NOTIFY_TEMPLATE.to_owned()))?,
    })
}

/// The name of an environment variable. A URL here would be a secret in the plan: it is not repeated.
fn variable(text: &str) -> Result<String, Fault> {
    let ok = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if ok {
        return Ok(text.to_owned());
    }
    let help = "a webhook's URL is a secret: put it into a variable of the engine's environment, and write the \
                variable's name here, such as `CUTOVER_SLACK_URL`";
    Err(Fault::new("this is not the name of an environment variable", help))
}

fn template(text: &str) -> Result<String, Fault> {
    let text = words(text)?;
    for (_, rest) in text.match_indices('{').map(|(at, _)| text.split_at(at + 1)) {
        let name = rest.split('}').next().unwrap_or_default();
        if !NOTIFY_FIELDS.contains(&name) {
            let message = format!("{} is no field of a notification", quote(name));
            return Err(Fault::new(message, suggest(name, NOTIFY_FIELDS)));
        }
    }
    Ok(text)
}
