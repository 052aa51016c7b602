//! Doctor's checks.

use waxseal_service::doctor::{self, Finding, Grade};

use super::{KEY, World};

fn finding<'f>(findings: &'f [Finding], check: &str) -> &'f Finding {
    let found = findings.iter().find(|it| it.check == check);
    found.unwrap_or_else(|| panic!("{check}: {findings:?}"))
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_a_problem_and_the_machine_is_checked() {
    let world = World::new("mdoe = \"on\"\n", "");
    let findings = doctor::run(&world.flags()).await;
    let configuration = finding(&findings, "configuration");
    assert_eq!(configuration.grade, Grade::Problem);
    assert!(configuration.found.contains("did you mean mode?"));
    finding(&findings, "memory");
}

#[tokio::test]
async fn a_store_with_a_key_has_no_problem() {
    let world = World::new(
        "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n",
        &format!("REDIS_ENCRYPTION_KEY={KEY}\n"),
    );
    let findings = doctor::run(&world.flags_with_store()).await;
    let problems: Vec<_> = findings
        .iter()
        .filter(|it| it.grade == Grade::Problem)
        .collect();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(finding(&findings, "store").grade, Grade::Ok);
    assert!(finding(&findings, "mode").found.starts_with("on:"));
    assert!(
        finding(&findings, "key")
            .found
            .ends_with("0 more only open")
    );
}

#[tokio::test]
async fn a_missing_key_is_a_problem_unless_the_mode_is_off() {
    let world = World::new("", "ENABLE_REDIS_ENCRYPTION=required\n");
    let findings = doctor::run(&world.flags_with_store()).await;
    assert_eq!(finding(&findings, "key").grade, Grade::Problem);
    let world = World::new("", "ENABLE_REDIS_ENCRYPTION=false\n");
    let findings = doctor::run(&world.flags_with_store()).await;
    assert_eq!(finding(&findings, "key").grade, Grade::Warning);
}
