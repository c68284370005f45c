//! `claimgate-services axum|tonic|actix ISSUER AUDIENCE`, or `claimgate-services sign-in ISSUER CLIENT_ID` with the
//! secret in `CLIENT_SECRET`: serves on a free port of loopback, and prints its address.

use std::io::Write;

use claimgate_services::sign_in_axum::{self, Registration};
use claimgate_services::{Failure, actix_service, axum_service, tonic_service};
use claimgate_tower::claimgate::claims::{AccessToken, Policy};
use claimgate_tower::claimgate::oidc::client::Secret;
use claimgate_tower::{BearerLayer, Issuer, RemoteVerifier};

fn access_tokens(issuer: &str, audience: &str) -> Result<RemoteVerifier<AccessToken>, Failure> {
    let policy = Policy::access_token(issuer, audience);
    Ok(Issuer::discover(issuer).algorithms(["RS256", "ES256"]).policy(policy).spawn()?)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter("info").with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [service, issuer, audience] = arguments.as_slice() else {
        return Err("usage: claimgate-services axum|tonic|actix|sign-in ISSUER AUDIENCE".into());
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = format!("http://{}", listener.local_addr()?);
    println!("{address}");
    std::io::stdout().flush()?;
    let to_tokio = tokio::net::TcpListener::from_std;
    match service.as_str() {
        "axum" => {
            let database = std::env::var("LOGOUTS").unwrap_or_else(|_| ":memory:".to_owned());
            let client = std::env::var("CLIENT_ID").unwrap_or_else(|_| audience.clone());
            let app = axum_service::app(&access_tokens(issuer, audience)?, &client, &database).await?;
            Ok(axum::serve(to_tokio(listener)?, app).await?)
        }
        "tonic" => tonic_service::serve(access_tokens(issuer, audience)?, to_tokio(listener)?).await,
        "actix" => actix_service::serve(BearerLayer::new(access_tokens(issuer, audience)?), listener).await,
        "sign-in" => {
            let registration = Registration {
                issuer: issuer.clone(),
                client_id: audience.clone(),
                client_secret: Secret::new(std::env::var("CLIENT_SECRET")?),
                public_url: address,
            };
            Ok(axum::serve(to_tokio(listener)?, sign_in_axum::app(registration)?).await?)
        }
        other => Err(format!("there is no service {other}").into()),
    }
}
