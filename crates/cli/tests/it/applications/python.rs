//! Frameworks in Python.

use waxseal_testing::Application;

use super::{proves, proves_trial};

#[test]
fn django_with_django_redis_keeps_sessions_values_counters_and_locks() {
    let application = Application::named("django-redis");
    proves(application, &application.python("program.py"));
}

#[test]
fn django_with_its_own_cache_keeps_sessions_values_and_counters() {
    let application = Application::named("django");
    proves(application, &application.python("program.py"));
}

#[test]
fn rq_runs_jobs_with_dependents_and_retries() {
    let application = Application::named("rq");
    proves(application, &application.python("program.py"));
}

#[test]
fn huey_runs_tasks_with_retries_schedules_and_locks() {
    let application = Application::named("huey");
    proves(application, &application.python("program.py"));
}

#[test]
fn celery_runs_tasks_and_finishes_a_chord() {
    let application = Application::named("celery");
    proves(application, &application.python("program.py"));
}

#[test]
fn aiogram_loses_no_update_of_a_chat_with_event_isolation() {
    let application = Application::named("aiogram");
    proves(application, &application.python("program.py"));
}

#[test]
fn flask_limiter_limits_by_every_strategy() {
    let application = Application::named("flask-limiter");
    proves(application, &application.python("program.py"));
}

#[test]
fn a_trial_of_flask_limiter_names_a_configuration_with_which_it_works() {
    let application = Application::named("flask-limiter");
    proves_trial(application, &application.python("program.py"));
}
