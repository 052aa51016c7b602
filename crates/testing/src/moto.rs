//! AWS KMS on this machine: the server of the Python package moto on a free port of 127.0.0.1, in
//! memory, accepting any credentials. Called in plain HTTP, never through an SDK.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::{exchange, request};
use crate::process::{Process, on_a_free_port};
use crate::tools::{on_path, services, workspace_root};

/// The region of keys unless specified otherwise.
pub const REGION: &str = "eu-west-1";

/// A running server. Dropping it kills the process, and with it all keys.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    port: u16,
    /// Holds its log.
    _directory: TempDir,
}

impl Moto {
    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    ///
    /// If it is not installed, or does not start.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("waxseal-moto-")
            .tempdir()
            .expect("make a directory for the server");
        let packages = services();
        let program = workspace_root().join("crates/testing/services/kms.py");
        let (process, port) = on_a_free_port("moto", |port| {
            let mut server = std::process::Command::new(on_path("python3"));
            server.arg(&program);
            server.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            server
                .env("PYTHONPATH", &packages)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .current_dir(directory.path());
            let log = directory.path().join(format!("{port}.log"));
            // Only its own message proves that this server has the port.
            let listens = format!("Running on http://127.0.0.1:{port}");
            let process = Process::start(&mut server, &log, |log| log.contains(&listens))?;
            Ok((process, port))
        });
        Self {
            process,
            port,
            _directory: directory,
        }
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Environment variables for a program with the AWS SDK that is to use this server.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let endpoint = self.endpoint();
        [
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "testing"),
            ("AWS_SECRET_ACCESS_KEY", "testing"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    /// Creates a symmetric key. Returns its ARN.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    #[must_use]
    pub fn create_key(&self) -> String {
        self.create_key_in(REGION)
    }

    /// Creates a symmetric key in a region. Returns its ARN.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    #[must_use]
    pub fn create_key_in(&self, region: &str) -> String {
        let answer = self.succeed(region, "CreateKey", &json!({}));
        let arn = answer["KeyMetadata"]["Arn"].as_str();
        arn.expect("a key has an ARN").to_owned()
    }

    /// Disables a key: it is refused with `DisabledException`.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    pub fn disable_key(&self, arn: &str) {
        self.about("DisableKey", arn);
    }

    /// Enables a key again.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    pub fn enable_key(&self, arn: &str) {
        self.about("EnableKey", arn);
    }

    /// Schedules a key's deletion, the closest AWS has to destroying it: it is refused with
    /// `KMSInvalidStateException`.
    ///
    /// # Panics
    ///
    /// If there is no such key.
    pub fn schedule_deletion(&self, arn: &str) {
        self.about("ScheduleKeyDeletion", arn);
    }

    /// Gives a key an alias, such as `alias/waxseal`.
    ///
    /// # Panics
    ///
    /// If the server refuses.
    pub fn create_alias(&self, alias: &str, arn: &str) {
        let (region, id) = parts(arn);
        let body = json!({"AliasName": alias, "TargetKeyId": id});
        self.succeed(region, "CreateAlias", &body);
    }

    /// One call in a region, such as `Encrypt`. Returns the status and the body.
    ///
    /// # Panics
    ///
    /// If the server does not answer.
    #[must_use]
    pub fn call(&self, region: &str, action: &str, body: &Value) -> (u16, Value) {
        // The server takes service and region from here, and does not verify the signature.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=testing/20260101/{region}/kms/aws4_request, \
             SignedHeaders=host, Signature=none"
        );
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/x-amz-json-1.1"),
            ("X-Amz-Target", &format!("TrentService.{action}")),
        ];
        let request = request("POST", "/", self.port, &headers, body.to_string().into());
        let answer = exchange(self.port, &request).expect("moto answers");
        let status = answer.status().expect("a status");
        (
            status,
            serde_json::from_slice(&answer.body).unwrap_or_default(),
        )
    }

    /// SIGSTOP: connections stay open and are not answered.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn freeze(&self) {
        self.process.freeze();
    }

    /// SIGCONT: resumes after [`Moto::freeze`].
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn thaw(&self) {
        self.process.thaw();
    }

    fn about(&self, action: &str, arn: &str) {
        let (region, id) = parts(arn);
        // Unlike AWS, it accepts only the id of these keys here.
        self.succeed(region, action, &json!({"KeyId": id}));
    }

    fn succeed(&self, region: &str, action: &str, body: &Value) -> Value {
        let (status, answer) = self.call(region, action, body);
        assert_eq!(status, 200, "{action}: {answer}");
        answer
    }
}

/// The region and the id out of `arn:aws:kms:<region>:<account>:key/<id>`.
fn parts(arn: &str) -> (&str, &str) {
    let region = arn.split(':').nth(3).expect("an ARN");
    (region, arn.split_once(":key/").expect("the ARN of a key").1)
}
