//! `claimgate-services axum|tonic|actix ISSUER AUDIENCE`: serves on a free port of loopback, and prints its address.

use std::io::Write;

use claimgate_services::{Failure, actix_service, axum_service, tonic_service};
use claimgate_tower::claimgate::claims::Policy;
use claimgate_tower::{BearerLayer, Issuer};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [framework, issuer, audience] = arguments.as_slice() else {
        return Err("usage: claimgate-services axum|tonic|actix ISSUER AUDIENCE".into());
    };
    let policy = Policy::access_token(issuer, audience);
    let tokens = Issuer::discover(issuer).algorithms(["RS256", "ES256"]).policy(policy).spawn()?;

    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    println!("http://{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    match framework.as_str() {
        "axum" => {
            let database = std::env::var("LOGOUTS").unwrap_or_else(|_| ":memory:".to_owned());
            let client = std::env::var("CLIENT_ID").unwrap_or_else(|_| audience.clone());
            let app = axum_service::app(&tokens, &client, &database)?;
            axum::serve(tokio::net::TcpListener::from_std(listener)?, app).await?;
            Ok(())
        }
        "tonic" => tonic_service::serve(tokens, tokio::net::TcpListener::from_std(listener)?).await,
        "actix" => actix_service::serve(BearerLayer::new(tokens), listener).await,
        other => Err(format!("there is no service on {other}").into()),
    }
}
