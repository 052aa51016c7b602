//! As much of a collector as a test needs: takes exports over HTTP, and reads OTLP in JSON into the samples
//! that Prometheus would have.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// Name and labels, and the value.
pub(super) type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// Listens until the test ends.
pub(super) struct Receiver {
    port: u16,
    exports: Arc<Mutex<Vec<Export>>>,
    /// What it answers; 0 is nothing at all.
    status: Arc<AtomicU16>,
}

/// One request.
#[derive(Clone)]
pub(super) struct Export {
    pub(super) path: String,
    headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Receiver {
    pub(super) fn start() -> Self {
        Self::answering(200)
    }

    /// Takes requests, and answers never.
    pub(super) fn silent() -> Self {
        Self::answering(0)
    }

    /// Answers that the credentials are wrong.
    pub(super) fn refusing() -> Self {
        Self::answering(401)
    }

    fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let exports = Arc::new(Mutex::new(Vec::new()));
        let status = Arc::new(AtomicU16::new(status));
        let (taken, answered) = (exports.clone(), status.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (taken, answered) = (taken.clone(), answered.clone());
                thread::spawn(move || serve(stream, &taken, &answered));
            }
        });
        Self {
            port,
            exports,
            status,
        }
    }

    /// From now on it takes what it is sent.
    pub(super) fn accept(&self) {
        self.status.store(200, Ordering::Relaxed);
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn count(&self) -> usize {
        self.exports.lock().unwrap().len()
    }

    pub(super) fn last(&self) -> Option<Export> {
        self.exports.lock().unwrap().last().cloned()
    }
}

/// Reads requests of one connection until it ends.
fn serve(stream: TcpStream, exports: &Mutex<Vec<Export>>, status: &AtomicU16) {
    let mut reader = BufReader::new(stream);
    while let Some(export) = read(&mut reader) {
        exports.lock().unwrap().push(export);
        let status = status.load(Ordering::Relaxed);
        if status == 0 {
            continue;
        }
        let answer = format!("HTTP/1.1 {status} So\r\nContent-Length: 2\r\n\r\n{{}}");
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Export> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let path = lines[0].split(' ').nth(1)?.to_owned();
    assert!(lines[0].starts_with("POST "), "{}", lines[0]);
    let headers = lines[1..].iter().filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<_, _> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers["content-length"].parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Export {
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}

impl Export {
    pub(super) fn header(&self, name: &str) -> &str {
        &self.headers[name]
    }

    fn document(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn resource(&self, name: &str) -> String {
        let document = self.document();
        attributes(&document["resourceMetrics"][0]["resource"])[name].clone()
    }

    /// Everything in it, as the lines of Prometheus' text format would have it.
    #[track_caller]
    pub(super) fn samples(&self) -> Samples {
        let document = self.document();
        let metrics = &document["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        let mut samples = Samples::new();
        for metric in metrics.as_array().unwrap() {
            let name = metric["name"].as_str().unwrap();
            let mut add = |end: &str, labels: BTreeMap<String, String>, value: f64| {
                let before = samples.insert((format!("{name}{end}"), labels), value);
                assert!(before.is_none(), "twice: {name}{end}");
            };
            if let Some(sum) = metric.get("sum") {
                assert_eq!(sum["isMonotonic"], true);
                assert_eq!(sum["aggregationTemporality"], 2);
                for point in points(sum) {
                    add("", attributes(point), integer(&point["asInt"]));
                }
            } else if let Some(gauge) = metric.get("gauge") {
                for point in points(gauge) {
                    add("", attributes(point), double(&point["asDouble"]));
                }
            } else {
                let histogram = &metric["histogram"];
                assert_eq!(histogram["aggregationTemporality"], 2);
                for point in points(histogram) {
                    add("_count", attributes(point), integer(&point["count"]));
                    add("_sum", attributes(point), double(&point["sum"]));
                    for (bound, value) in buckets(point) {
                        let mut labels = attributes(point);
                        labels.insert("le".to_owned(), bound);
                        add("_bucket", labels, value);
                    }
                }
            }
        }
        samples
    }
}

fn points(data: &Value) -> &[Value] {
    data["dataPoints"].as_array().unwrap()
}

/// Bounds, and how many were at most so large.
fn buckets(point: &Value) -> Vec<(String, f64)> {
    let bounds = point["explicitBounds"].as_array().unwrap();
    // Prometheus' text has neither `.0` nor exponents.
    let bounds = bounds.iter().map(|it| it.as_f64().unwrap().to_string());
    let counts = point["bucketCounts"].as_array().unwrap();
    assert_eq!(counts.len(), bounds.len() + 1);
    let mut all = 0.0;
    let bounds = bounds.chain(["+Inf".to_owned()]);
    bounds
        .zip(counts)
        .map(|(bound, count)| {
            all += integer(count);
            (bound, all)
        })
        .collect()
}

fn attributes(of: &Value) -> BTreeMap<String, String> {
    let attributes = of["attributes"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    attributes
        .map(|it| (text(&it["key"]), text(&it["value"]["stringValue"])))
        .collect()
}

/// Numbers of 64 bits are texts in JSON.
fn integer(value: &Value) -> f64 {
    value.as_str().unwrap().parse::<u64>().unwrap() as f64
}

fn double(value: &Value) -> f64 {
    match value {
        Value::String(word) if word == "Infinity" => f64::INFINITY,
        other => other.as_f64().unwrap(),
    }
}
