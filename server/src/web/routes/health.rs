//! `/healthz` and `/readyz`: probes.

use axum::response::Response;
use serde_json::json;

use crate::web::extract::Current;
use crate::web::respond;

/// Answers while the process runs.
pub(super) async fn healthz() -> Response {
    respond::text("text/plain; charset=utf-8", "ok\n")
}

/// Reports whether the store works: the database file can be written, or the changes of the other servers have been
/// read within `revocation_bound`. A provider that is down is reported too, but does not make the server unready:
/// signed-in users do not need it.
pub(super) async fn readyz(Current(app): Current) -> Response {
    let store = app.store.is_ready().await;
    let providers: serde_json::Map<_, _> = app
        .providers
        .iter()
        .map(|provider| {
            let health = provider.remote.health();
            let state = json!({
                "discovered": health.discovered,
                "keys": provider.remote.jws().key_report().usable,
                "keys_age": health.keys_age,
            });
            (provider.config.id.clone(), state)
        })
        .collect();
    let mut report = json!({"store": store, "providers": providers});
    if let Some(state) = app.store.node_state() {
        report["lease_age"] = json!(state.lease_age.as_secs_f64());
        report["synchronous_standby"] = json!(state.has_synchronous_standby);
    }
    respond::readiness(store, report)
}
