//! A collector of OpenTelemetry: takes spans by OTLP and tells what they say, read by OpenTelemetry's own messages.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::deadline::DEADLINE;

const SCRIPT: &str = r#"
import http.server, json, sys
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
class Collector(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path != "/v1/traces" or self.headers["content-type"] != "application/x-protobuf":
            return self.send_error(404)
        told = ExportTraceServiceRequest.FromString(body)
        for resource in told.resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
                    print(json.dumps({
                        "service": service.get("service.name"), "name": span.name, "kind": span.kind,
                        "trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex(),
                        "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                        "error": span.status.code == 2, "attributes": attributes}), flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ExportTraceServiceResponse().SerializeToString())
server = http.server.ThreadingHTTPServer((sys.argv[1], 0), Collector)
print(server.server_address[1], flush=True)
server.serve_forever()
"#;

/// The collector, until it is dropped.
pub struct Collector {
    child: Child,
    lines: Receiver<String>,
    /// Where it is, as usher's configuration names it.
    pub address: String,
}

impl Collector {
    /// Starts it on `ip`.
    pub fn start(ip: &str) -> Self {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/validator/bin/python3");
        let mut child = Command::new(python)
            .args(["-c", SCRIPT, ip])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the validator is installed; tests/install-peers does it");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut port = String::new();
        out.read_line(&mut port).unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line).ok());
        });
        Self { child, lines, address: format!("http://{ip}:{}", port.trim()) }
    }

    /// Waits for a span that is `wanted`.
    pub fn span(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("no such span: {seen:?}"));
            let span = serde_json::from_str(&line).unwrap();
            if wanted(&span) {
                return span;
            }
            seen.push(span);
        }
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
