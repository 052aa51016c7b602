//! Keyrings whose key-encryption key is outside the machine: in a PKCS#11 token, in AWS KMS, in a Vault.
//! Sealing does not depend on them, moving to them disturbs no application, and an outage stops no running process.

mod clouds;
mod moving;
mod outage;
mod sealing;

use waxseal_testing::RedisServer;
use waxseal_testing::softhsm::Token;

use crate::keyring::QUICK;
use crate::program::{Output, Program};

/// The custodian in a token.
const HSM: &str = "pkcs11:token=waxseal;object=ring";
/// A token, a server, and a program on a machine of its own.
struct World {
    token: Token,
    server: RedisServer,
    program: Program,
}

impl World {
    /// Configured with these custodians; without a keyring yet.
    fn new(custodians: &[&str]) -> Self {
        let token = Token::new("waxseal");
        let server = RedisServer::start();
        let program = with_token(machine(&server, custodians), &token);
        Self {
            token,
            server,
            program,
        }
    }

    /// With a keyring under a key that was made in the token.
    #[track_caller]
    fn sealed_by_the_token() -> Self {
        let world = Self::new(&[HSM]);
        let words = [&["keyring", "init", "--create-key"], &QUICK[..]].concat();
        world.run(&words).done();
        world
    }

    /// Runs a command, and checks that the PIN shows nowhere.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Output {
        let output = self.program.run(words);
        self.assert_leaks_no_pin(&output);
        output
    }

    #[track_caller]
    fn assert_leaks_no_pin(&self, output: &Output) {
        for pin in [self.token.pin(), self.token.so_pin()] {
            let told = output.text().contains(pin) || output.stderr.contains(pin);
            assert!(!told, "a PIN shows: {output:?}");
        }
    }
}

/// A machine with this server, these custodians in its configuration and a state of its own. The keyring
/// is a file in its directory.
fn machine(server: &RedisServer, custodians: &[&str]) -> Program {
    let program = Program::at(server);
    let state = program.path("state");
    let program = program.env("STATE_DIRECTORY", state.to_str().unwrap());
    configured(program, custodians, "")
}

/// The same machine with other custodians, and more lines of configuration.
fn configured(program: Program, custodians: &[&str], more: &str) -> Program {
    let config = format!(
        "environment = \"tests\"\nkeyring = \"file:ring.json\"\ncustodian = {custodians:?}\n{more}\
         [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nplain_values = \"json\"\n"
    );
    program.file("waxseal.toml", &config)
}

/// The same machine with a token in it.
fn with_token(program: Program, token: &Token) -> Program {
    let with = token
        .env()
        .into_iter()
        .fold(program, |program, (name, value)| program.env(&name, &value));
    with.env("PKCS11_MODULE_PATH", token.module().to_str().unwrap())
        .env("PKCS11_PIN", token.pin())
}

/// The custodians of the keyring, as `keyring status` tells them.
#[track_caller]
fn custodians(program: &Program) -> Vec<String> {
    let status = program.run(&["keyring", "status", "--json"]).done().json();
    let custodians = status["custodians"].as_array().unwrap().clone();
    custodians
        .iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect()
}
