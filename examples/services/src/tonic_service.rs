//! A service on tonic. The layer is the same as for axum, and refuses with the statuses of gRPC.
//!
//! The service is tonic's own health service by another implementation: it serves names to those who have a token.

use std::pin::Pin;

use claimgate_tower::claimgate::claims::AccessToken;
use claimgate_tower::{BearerLayer, Refusal, RemoteVerifier, Require, Verified};
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::Failure;

/// The claims that the service reads.
#[derive(serde::Deserialize)]
struct User {
    sub: String,
}

struct Checks;

fn status(refusal: &Refusal) -> Status {
    Status::new(refusal.grpc_status().into(), refusal.public_message())
}

#[tonic::async_trait]
impl Health for Checks {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Reports `SERVING` for the service that has the name of the caller.
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let user = Verified::<User>::of(request.extensions()).map_err(|refusal| status(&refusal))?.0;
        let is_own = request.get_ref().service == user.sub;
        let status = if is_own { ServingStatus::Serving } else { ServingStatus::ServiceUnknown };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

/// Serves until the listener fails.
///
/// # Errors
/// As tonic's server.
pub async fn serve(tokens: RemoteVerifier<AccessToken>, listener: TcpListener) -> Result<(), Failure> {
    Server::builder()
        .layer(BearerLayer::new(tokens))
        .layer(Require::scope("orders:read"))
        .add_service(HealthServer::new(Checks))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
