//! Bad plans and what their authors are told. Every file of `cases/` lists plans, each the base plan with some texts
//! replaced; the rendered messages of a file are a snapshot.

use serde::Deserialize;

use super::{super::Severity, BASE, check, edited, given, try_base};

#[derive(Deserialize)]
struct Group {
    environment: String,
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    title: String,
    edits: Vec<(String, String)>,
}

impl Group {
    fn parse(text: &str) -> Self {
        toml::from_str(text).unwrap()
    }

    /// What is told about each case: errors, or for plans that load warnings.
    fn told(&self, refused: bool) -> String {
        let told = self.case.iter().map(|Case { title, edits }| {
            let edits: Vec<_> = edits.iter().map(|(find, replace)| (find.as_str(), replace.as_str())).collect();
            let (was_refused, problems) = match try_base(&edits, &self.environment) {
                Ok(checked) => (false, checked.warnings),
                Err(errors) => (true, errors),
            };
            assert_eq!(was_refused, refused, "{title}\n{}", problems.render(false));
            assert!(!problems.is_empty(), "{title}: nothing is told");
            format!("# {title}\n{}", problems.render(false))
        });
        told.collect::<Vec<_>>().join("\n\n")
    }
}

macro_rules! refused {
    ($($group:ident),+ $(,)?) => {$(
        #[test]
        fn $group() {
            let group = Group::parse(include_str!(concat!("cases/", stringify!($group), ".toml")));
            insta::assert_snapshot!(stringify!($group), group.told(true));
        }
    )+};
}
refused!(shape, variables, environment, sandbox, world, database, people, records, watches, steps, rds, order);

#[test]
fn warnings() {
    insta::assert_snapshot!("warnings", Group::parse(include_str!("cases/warnings.toml")).told(false));
}

#[test]
fn the_base_plan_is_good() {
    let checked = try_base(&[], "test").unwrap_or_else(|errors| panic!("{}", errors.render(false)));
    assert!(checked.warnings.is_empty(), "{}", checked.warnings.render(false));
}

#[test]
fn an_unknown_environment_names_the_known_ones() {
    let unknown = check(BASE, "base.toml", "tset", &given()).unwrap_err();
    assert_eq!(unknown.problems()[0].message, "the plan has no environment `tset`");
    assert_eq!(unknown.problems()[0].help.as_deref(), Some("did you mean `test`?"));
}

#[test]
fn a_plan_has_at_most_500_steps() {
    let step = |n| format!("[[step]]\nid = \"s{n}\"\ntitle = \"S\"\nkind = \"manual\"\nitems = [\"x\"]\n");
    let head = BASE.split("[[step]]").next().unwrap_or_default().replace("after = \"switch\"\n", "");
    let plan = |count: usize| head.clone() + &(0..count).map(step).collect::<String>();
    assert!(check(&plan(500), "base.toml", "test", &given()).is_ok());
    let errors = check(&plan(501), "base.toml", "test", &given()).unwrap_err();
    assert_eq!(errors.problems().len(), 1);
    assert_eq!(errors.problems()[0].message, "a plan has at most 500 steps");
}

#[test]
fn all_errors_are_told_at_once_and_in_the_order_of_the_file() {
    let text = edited(&[
        ("kind = \"staging\"", "kind = \"stagging\""),
        ("window = \"2h\"", "window = \"2\""),
        ("region = \"us-east-1\"", "region = \"mars\"\nregio = 1"),
        ("ttl = 1800", "ttl = \"${nothing}\""),
        ("https://shop.${zone}/", "nowhere"),
        ("2 %", "2 s"),
        ("kind = \"dns.switch\"", "kind = \"dns.switch\"\ngate = \"start\""),
        ("desired = 1", "desired = 1\nforce = true"),
    ]);
    let errors = check(&text, "base.toml", "test", &given()).unwrap_err();
    let lines: Vec<_> = errors.problems().iter().map(|problem| problem.line).collect();
    assert_eq!(errors.count(Severity::Error), 9, "{}", errors.render(false));
    assert!(lines.is_sorted(), "{lines:?}");
    let shown = |fragment: &str| text.lines().position(|line| line.contains(fragment)).map(|line| line + 1);
    for fragment in ["stagging", "window", "regio =", "${nothing}", "nowhere", "2 s", "gate =", "force"] {
        assert!(lines.contains(&shown(fragment).unwrap()), "{fragment}: {lines:?}");
    }
}

#[test]
fn errors_for_programs_have_place_and_help() {
    let errors =
        check(&edited(&[("metric = \"share\"", "metric = \"shares\"")]), "base.toml", "test", &given()).unwrap_err();
    let json = serde_json::to_value(&errors).unwrap();
    assert_eq!(
        json,
        serde_json::json!([{
            "severity": "error",
            "file": "base.toml",
            "line": 71,
            "column": 10,
            "message": "unknown metric `shares`",
            "help": "did you mean `share`?",
        }])
    );
    assert_eq!(errors.to_string(), "failed to load base.toml: 1 error, first at line 71: unknown metric `shares`");
}

#[test]
fn colour_adds_styles_only() {
    let errors = check(&edited(&[("2 %", "2 s")]), "base.toml", "test", &given()).unwrap_err();
    let (plain, styled) = (errors.render(false), errors.render(true));
    assert!(!plain.contains('\u{1b}') && styled.contains('\u{1b}'));
    let mut terminal = vt100::Parser::new(40.try_into().unwrap(), 200.try_into().unwrap(), 0);
    terminal.process(styled.replace('\n', "\r\n").as_bytes());
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned();
    assert_eq!(trimmed(&terminal.screen().contents()), trimmed(&plain));
}
