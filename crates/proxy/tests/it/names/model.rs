//! Random requests, of which almost all are valid: through a proxy that seals names they are answered as by a server.

use waxseal_testing::model::{Feature, Model, run};

use super::world::{Values, World};

/// Plays so many requests, from this seed.
fn play(seed: u64, requests: usize) {
    let world = World::with(&["r:*", "g:*"], &[Values::WithElements, Values::InGroup]);
    let [direct, through, behind] = world.ports();
    let mut model = Model::new(direct, through, behind);
    (model.seed, model.requests) = (seed, requests);
    model.sealed_names = true;
    // The server has them since Redis 7.4.
    model
        .features
        .retain(|feature| *feature != Feature::FieldLifetimes);
    match run(&model) {
        Ok(figures) => assert!(figures.transactions > 0, "no transaction was carried out"),
        Err(finding) => panic!("{finding}"),
    }
}

#[test]
fn valid_requests_are_answered_as_where_names_are_plain() {
    play(77, 8_000);
}
