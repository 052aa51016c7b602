//! Frameworks in Node.

use waxseal_testing::Application;

use super::proves;

#[test]
fn rate_limiter_flexible_limits_across_processes() {
    let application = Application::named("rate-limiter-flexible");
    proves(application, &application.node("program.mjs"));
}

#[test]
fn redlock_is_taken_extended_and_released() {
    let application = Application::named("redlock");
    proves(application, &application.node("program.mjs"));
}

#[test]
fn bull_works_through_jobs_that_name_sealed_records() {
    let application = Application::named("bull");
    proves(application, &application.node("program.mjs"));
}

#[test]
fn socket_io_broadcasts_through_a_stream_and_restores_sessions() {
    let application = Application::named("socket.io");
    proves(application, &application.node("program.mjs"));
}
