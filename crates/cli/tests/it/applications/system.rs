//! Frameworks in PHP and Ruby, as the operating system's packages have them.

use waxseal_testing::Application;

use super::proves;

#[test]
fn sessions_of_php_with_the_lock_of_phpredis_lose_no_update() {
    let application = Application::named("phpredis");
    proves(application, &application.system("php", "program.php"));
}

#[test]
fn sidekiq_runs_jobs_retries_one_and_schedules_another() {
    let application = Application::named("sidekiq");
    proves(application, &application.system("ruby", "program.rb"));
}

#[test]
fn rack_keeps_sessions_through_login_and_logout() {
    let application = Application::named("rack-session");
    proves(application, &application.system("ruby", "program.rb"));
}
