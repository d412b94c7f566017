//! Traces by OTLP over HTTP (OpenTelemetry protocol 1.x, protobuf), when `telemetry.otlp_endpoint` is set.
//!
//! Answers: how spans reach a collector. Does not: hold mail up; spans that a collector does not take in time are dropped.

use std::pin::pin;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use tokio::runtime::Handle;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Registry;

use super::TelemetryError;

/// What a collector has to answer in.
const EXPORT_LIMIT: Duration = Duration::from_secs(5);

/// The export of traces; flushes when stopped or dropped.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Sends what waits, for at most five seconds. Blocks: call it from a thread that may.
    pub fn stop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown_with_timeout(EXPORT_LIMIT)
        {
            tracing::warn!(%error, "the last traces were not taken by the collector");
        }
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        self.stop();
    }
}

type TraceLayer = OpenTelemetryLayer<Registry, opentelemetry_sdk::trace::SdkTracer>;

/// The export to `endpoint` and the layer that feeds it; nothing if the endpoint is empty. Needs to run inside the Tokio runtime.
pub(super) fn exporter(endpoint: &str) -> Result<(Traces, Option<TraceLayer>), TelemetryError> {
    if endpoint.is_empty() {
        return Ok((Traces::default(), None));
    }
    let runtime = Handle::try_current().map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(endpoint)
        .with_timeout(EXPORT_LIMIT)
        .with_headers(std::collections::HashMap::new())
        .build()
        .map_err(|error| TelemetryError::Exporter(error.to_string()))?;
    let resource = Resource::builder().with_service_name("pennypost").build();
    let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(OnRuntime { exporter, runtime }).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("pennypost")).with_location(false).with_threads(false);
    Ok((Traces(Some(provider)), Some(layer)))
}

/// Runs an exporter, which wants Tokio, on the batch processor's thread, which is none of Tokio's.
#[derive(Debug)]
struct OnRuntime {
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Handle,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut export = pin!(self.exporter.export(batch));
        std::future::poll_fn(|context| {
            let _inside = self.runtime.enter();
            export.as_mut().poll(context)
        })
        .await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn spans_reach_a_collector_and_stopping_flushes_them() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let (mut traces, layer) = exporter(&endpoint).unwrap();
        let subscriber = Registry::default().with(layer.unwrap());
        tracing::subscriber::with_default(subscriber, || drop(tracing::info_span!("deliver.attempt").entered()));
        let stop = tokio::task::spawn_blocking(move || traces.stop());
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !String::from_utf8_lossy(&request).contains("deliver.attempt") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0, "the collector never saw the span");
        }
        assert!(request.starts_with(b"POST /v1/traces HTTP/1.1"));
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stop.await.unwrap();
    }

    #[test]
    fn no_endpoint_means_no_export() {
        let (_, layer) = exporter("").unwrap();
        assert!(layer.is_none());
    }
}
