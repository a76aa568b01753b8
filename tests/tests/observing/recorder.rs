//! What `metrics` was told, to be read as often as one likes.

use std::sync::{Arc, OnceLock, atomic::Ordering};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use metrics_util::registry::{AtomicStorage, Registry};

/// The recorder of this process.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Registry<Key, AtomicStorage>>);

/// Labels, in any order.
pub(crate) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Metrics {
    /// Has whatever this process counts counted here.
    pub(crate) fn of_process() -> &'static Self {
        static INSTALLED: OnceLock<Metrics> = OnceLock::new();
        INSTALLED.get_or_init(|| {
            let metrics = Self(Arc::new(Registry::atomic()));
            metrics::set_global_recorder(metrics.clone()).expect("nobody else installs one");
            metrics
        })
    }

    /// A counter; zero where nobody has counted.
    pub(crate) fn counter(&self, name: &str, labels: Labels<'_>) -> u64 {
        let all = self.0.get_counter_handles();
        let found = all.iter().find(|(key, _)| is_named(key, name, labels));
        found.map_or(0, |(_, count)| count.load(Ordering::SeqCst))
    }

    /// A gauge, where somebody has set it.
    pub(crate) fn gauge(&self, name: &str, labels: Labels<'_>) -> Option<f64> {
        let all = self.0.get_gauge_handles();
        let found = all.iter().find(|(key, _)| is_named(key, name, labels));
        found.map(|(_, bits)| f64::from_bits(bits.load(Ordering::SeqCst)))
    }

    /// How many values a histogram has.
    pub(crate) fn values(&self, name: &str, labels: Labels<'_>) -> usize {
        let all = self.0.get_histogram_handles();
        let found = all.iter().find(|(key, _)| is_named(key, name, labels));
        found.map_or(0, |(_, values)| values.data().len())
    }
}

fn is_named(key: &Key, name: &str, labels: Labels<'_>) -> bool {
    let has = |(label, value): &(&str, &str)| {
        let mut own = key.labels();
        own.any(|it| it.key() == *label && it.value() == *value)
    };
    key.name() == name && labels.iter().all(has)
}

impl Recorder for Metrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let found = |count: &Arc<_>| Counter::from_arc(Arc::clone(count));
        self.0.get_or_create_counter(key, found)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let found = |value: &Arc<_>| Gauge::from_arc(Arc::clone(value));
        self.0.get_or_create_gauge(key, found)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let found = |values: &Arc<_>| Histogram::from_arc(Arc::clone(values));
        self.0.get_or_create_histogram(key, found)
    }
}
