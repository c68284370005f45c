//! Metrics in the Prometheus text format.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use claimgate::identity::GroupsState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::process_metrics::ProcessMetrics;
use super::provider::Provider;
use crate::store::Store;
use crate::store::postgres::NodeState;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verification {
    algorithm: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderOutcome {
    provider: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabel {
    provider: String,
}

/// The labels of a metric that has none, and that is there in some servers only.
type NoLabels = [(&'static str, &'static str); 0];

type Durations = Family<Request, Histogram, fn() -> Histogram>;

/// Upper bounds in seconds: from half a millisecond (a look-up of a session) to the provider's time limit.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// The metrics of a node of PostgreSQL.
struct NodeMetrics {
    lease_age: Family<NoLabels, Gauge<f64, AtomicU64>>,
    waiting_writes: Family<NoLabels, Gauge>,
    synchronous_standby: Family<NoLabels, Gauge>,
}

impl NodeMetrics {
    fn register(registry: &mut Registry) -> Self {
        let lease_age = Family::default();
        let help = "Time since the changes of other servers were last read; beyond revocation_bound no session is served";
        registry.register_with_unit("store_lease_age", help, Unit::Seconds, lease_age.clone());
        let waiting_writes = Family::default();
        let help = "Changes that wait for the database, or are being written";
        registry.register("store_waiting_writes", help, waiting_writes.clone());
        let synchronous_standby = Family::default();
        let help = "Whether the database has a synchronous standby";
        registry.register("store_synchronous_standby", help, synchronous_standby.clone());
        Self { lease_age, waiting_writes, synchronous_standby }
    }

    fn set(&self, state: NodeState) {
        self.lease_age.get_or_create(&[]).set(state.lease_age.as_secs_f64());
        self.waiting_writes.get_or_create(&[]).set(i64::try_from(state.waiting).unwrap_or(i64::MAX));
        self.synchronous_standby.get_or_create(&[]).set(i64::from(state.has_synchronous_standby));
    }
}

/// The metrics of a server.
pub(crate) struct Metrics {
    registry: Registry,
    process: ProcessMetrics,
    verifications: Family<Verification, Counter>,
    logouts: Family<Outcome, Counter>,
    front_channel_logouts: Family<Outcome, Counter>,
    security_events: Family<Outcome, Counter>,
    sign_ins: Family<ProviderOutcome, Counter>,
    reloads: Family<Outcome, Counter>,
    groups_left_out: Family<ProviderLabel, Counter>,
    passwords: Family<Outcome, Counter>,
    refreshes: Family<ProviderOutcome, Counter>,
    requests: Durations,
    sessions: Gauge,
    dropped_logouts: Gauge,
    dropped_events: Counter,
    node: NodeMetrics,
    jwks_age: Family<ProviderLabel, Gauge>,
    provider_keys: Family<ProviderLabel, Gauge>,
    provider_clock_offset: Family<ProviderLabel, Gauge>,
}

/// Registers counters by labels.
fn counters<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: EncodeLabelSet + Clone + Eq + Hash + Debug + Send + Sync + 'static,
{
    let counters = Family::<L, Counter>::default();
    registry.register(name, help, counters.clone());
    counters
}

/// Registers a gauge.
fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// Registers a gauge of seconds for each provider.
fn seconds_of_provider(registry: &mut Registry, name: &str, help: &str) -> Family<ProviderLabel, Gauge> {
    let gauges = Family::<ProviderLabel, Gauge>::default();
    registry.register_with_unit(name, help, Unit::Seconds, gauges.clone());
    gauges
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::default();
        let process = ProcessMetrics::register(&mut all);
        let registry = all.sub_registry_with_prefix("claimgate");
        let help = "Tokens verified, by the algorithm of the accepted and the error code of the refused";
        let verifications = counters(registry, "verifications", help);
        let logouts = counters(registry, "backchannel_logouts", "Back-channel logout requests by outcome");
        let help = "Front-channel logout requests by outcome";
        let front_channel_logouts = counters(registry, "frontchannel_logouts", help);
        let help = "Pushed security event tokens by outcome";
        let security_events = counters(registry, "security_events", help);
        let sign_ins = counters(registry, "sign_ins", "Sign-ins through a provider by outcome");
        let reloads = counters(registry, "reloads", "Reloads of the configuration by outcome");
        let passwords = counters(registry, "password_sign_ins", "Sign-ins by password by outcome");
        let help = "Sign-ins whose groups the provider left out, so that the teams stayed as they were";
        let groups_left_out = counters(registry, "groups_left_out", help);
        let refreshes = counters(registry, "refreshes", "Refreshes of sessions at a provider by outcome");
        let requests: Durations = Family::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register_with_unit(
            "request_duration",
            "Time from the request's head to the answer's, by route and status",
            Unit::Seconds,
            requests.clone(),
        );
        let sessions = gauge(registry, "sessions", "Sessions in memory");
        let help = "Logouts dropped from memory before their end, because it was full";
        let dropped_logouts = gauge(registry, "dropped_logouts", help);
        let dropped_events = Counter::default();
        let help = "Events that were counted alone, or not recorded at all, because there were too many or the store failed";
        registry.register("dropped_events", help, dropped_events.clone());
        let node = NodeMetrics::register(registry);
        let help = "Time since a provider's keys were fetched";
        let jwks_age = seconds_of_provider(registry, "jwks_age", help);
        let provider_keys = Family::default();
        registry.register("provider_keys", "Usable keys of a provider", provider_keys.clone());
        let help = "Time by which a provider's clock is ahead of this machine's, by the last answer with its metadata or keys";
        let provider_clock_offset = seconds_of_provider(registry, "provider_clock_offset", help);
        Self {
            registry: all,
            process,
            verifications,
            logouts,
            front_channel_logouts,
            security_events,
            sign_ins,
            reloads,
            groups_left_out,
            passwords,
            refreshes,
            requests,
            sessions,
            dropped_logouts,
            dropped_events,
            node,
            jwks_age,
            provider_keys,
            provider_clock_offset,
        }
    }
}

impl Metrics {
    /// Counts a verification: the algorithm of an accepted token, or the error code of a refused one.
    pub(crate) fn verified(&self, result: Result<&str, &'static str>) {
        let (algorithm, result) = match result {
            Ok(algorithm) => (algorithm.to_owned(), "ok"),
            // The algorithm named in a refused token is text of the client's.
            Err(code) => ("-".to_owned(), code),
        };
        self.verifications.get_or_create(&Verification { algorithm, result }).inc();
    }

    /// Counts a back-channel logout request by its outcome.
    pub(crate) fn logged_out(&self, outcome: &'static str) {
        self.logouts.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a front-channel logout request by its outcome.
    pub(crate) fn logged_out_by_front_channel(&self, outcome: &'static str) {
        self.front_channel_logouts.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a pushed security event token by its outcome.
    pub(crate) fn received_event(&self, outcome: &'static str) {
        self.security_events.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a sign-in through a provider by its outcome. `provider` is the name of one that the configuration has;
    /// `None` where the request names another.
    pub(crate) fn signed_in(&self, provider: Option<&str>, outcome: &'static str) {
        let provider = provider.unwrap_or("-").to_owned();
        self.sign_ins.get_or_create(&ProviderOutcome { provider, outcome }).inc();
    }

    /// Counts a reload of the configuration: one that is in use now, or one that is refused.
    pub(crate) fn reloaded(&self, in_use: bool) {
        let outcome = if in_use { "ok" } else { "refused" };
        self.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a sign-in whose groups the provider left out.
    pub(crate) fn groups(&self, provider: &str, state: &GroupsState) {
        if matches!(state, GroupsState::LeftOut { .. }) {
            let label = ProviderLabel { provider: provider.to_owned() };
            self.groups_left_out.get_or_create(&label).inc();
        }
    }

    /// Counts a sign-in with a password by its outcome.
    pub(crate) fn password_sign_in(&self, outcome: &'static str) {
        self.passwords.get_or_create(&Outcome { outcome }).inc();
    }

    /// Counts a refresh of a session by its outcome.
    pub(crate) fn refreshed(&self, provider: &str, outcome: &'static str) {
        self.refreshes.get_or_create(&ProviderOutcome { provider: provider.to_owned(), outcome }).inc();
    }

    /// Counts events that were counted alone, or not recorded at all.
    pub(crate) fn dropped_events(&self, number: u64) {
        self.dropped_events.inc_by(number);
    }

    /// Counts a response, and the time it took.
    pub(crate) fn answered(&self, route: &str, status: u16, seconds: f64) {
        self.requests.get_or_create(&Request { route: route.to_owned(), status }).observe(seconds);
    }

    /// Returns the metrics as text, with the present state of the store and of the providers.
    pub(crate) fn text(&self, store: &Store, providers: &[Arc<Provider>]) -> String {
        self.sessions.set(i64::try_from(store.sessions_in_memory()).unwrap_or(i64::MAX));
        self.dropped_logouts.set(i64::try_from(store.dropped_logouts()).unwrap_or(i64::MAX));
        if let Some(state) = store.node_state() {
            self.node.set(state);
        }
        for provider in providers {
            let name = ProviderLabel { provider: provider.config.id.clone() };
            if let Some(age) = provider.remote.health().keys_age {
                self.jwks_age.get_or_create(&name).set(age);
            }
            if let Some(ahead) = provider.clock_ahead() {
                self.provider_clock_offset.get_or_create(&name).set(ahead);
            }
            let usable = i64::try_from(provider.remote.jws().key_report().usable).unwrap_or(i64::MAX);
            self.provider_keys.get_or_create(&name).set(usable);
        }
        self.process.read();
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a `String` takes all text");
        text
    }
}
